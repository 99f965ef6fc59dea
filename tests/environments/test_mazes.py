"""`maze:NAME`: moves and walls by hand."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents import environments
from acme_agents.core import errors
from acme_agents.environments import mazes

_CELL = 2 / 11


def _at(x: float, y: float) -> np.ndarray:
    """The position of a point given in cells."""
    return np.array([x, y], np.float32) * np.float32(_CELL) - 1


@pytest.mark.parametrize(
    ("name", "start", "action", "end"),
    [
        ("four-rooms", (0.5, 0.5), (1.0, 0.5), (0.7, 0.6)),
        ("four-rooms", (0.5, 0.5), (3.0, -0.25), (0.7, 0.45)),  # Clipped to [-1, 1].
        ("four-rooms", (0.1, 0.5), (-1.0, 1.0), (0.1, 0.7)),  # The way along x leads outside, and is left out.
        ("four-rooms", (0.1, 0.1), (-1.0, -1.0), (0.1, 0.1)),
        ("four-rooms", (10.9, 10.9), (1.0, 1.0), (10.9, 10.9)),
        ("four-rooms", (4.9, 0.5), (1.0, 0.0), (4.9, 0.5)),  # A wall.
        ("four-rooms", (4.9, 0.5), (0.25, 0.0), (4.95, 0.5)),  # As far as that it may go.
        ("four-rooms", (4.9, 2.5), (1.0, 0.0), (5.1, 2.5)),  # A door.
        ("four-rooms", (5.5, 2.9), (0.0, 1.0), (5.5, 2.9)),  # Its frame.
        ("four-rooms", (4.9, 2.9), (1.0, 1.0), (5.1, 2.9)),  # First along x, and then y is barred.
        ("four-rooms", (2.5, 4.9), (0.0, 1.0), (2.5, 5.1)),
        ("four-rooms", (8.5, 5.1), (0.0, -1.0), (8.5, 4.9)),
        ("u", (2.9, 0.5), (1.0, 0.0), (2.9, 0.5)),  # Between the arms there is wall, ...
        ("u", (2.9, 7.9), (1.0, 0.0), (2.9, 7.9)),
        ("u", (2.9, 8.1), (1.0, 0.0), (3.1, 8.1)),  # ... down to the turn.
        ("u", (7.9, 8.1), (1.0, -1.0), (8.1, 7.9)),
    ],
)
def test_a_move_ends_where_it_does_by_hand(name, start, action, end) -> None:
    functions = environments.make_pure(f"maze:{name}")
    state, _ = functions.init(jax.random.PRNGKey(0))
    state = state._replace(state=mazes.State(jnp.asarray(_at(*start))))
    state, timestep = functions.step(state, jnp.array(action, jnp.float32))
    np.testing.assert_allclose(timestep.observation, _at(*end), atol=1e-6)
    assert (timestep.reward, timestep.discount, bool(timestep.last)) == (0, 1, False)
    np.testing.assert_array_equal(mazes.cells(timestep.observation), np.floor(end[::-1]))


def test_an_episode_starts_in_the_corner_and_is_cut_short_after_200_steps() -> None:
    env = environments.make("maze:u", 0)
    starts = np.array([env.reset().observation for _ in range(200)])
    assert (starts >= -1).all() and (starts < -1 + _CELL).all() and len(np.unique(starts)) == 400
    np.testing.assert_allclose(starts.mean(0), -1 + _CELL / 2, atol=0.02)
    timesteps = [env.step(np.zeros(2, np.float32)) for _ in range(200)]
    assert [step.last() for step in timesteps] == [False] * 199 + [True] and timesteps[-1].discount == 1


def test_the_far_arm_can_be_reached_within_an_episode() -> None:
    functions = environments.make_pure("maze:u")
    step = jax.jit(functions.step)
    state, observation = functions.init(jax.random.PRNGKey(0))
    visited = [mazes.cells(observation)]
    for _ in range(150):
        x, y = state.state.position
        action = (0, 1) if x < 0 and y < _at(0, 9)[1] else (1, 0) if x < _at(9, 0)[0] else (0, -1)
        state, timestep = step(state, jnp.array(action, jnp.float32))
        visited.append(mazes.cells(timestep.observation))
    assert tuple(visited[-1]) == (0, 9) and not timestep.last
    assert mazes.free("u")[tuple(np.array(visited).T)].all() and mazes.free("u").sum() == 81
    assert mazes.free("four-rooms").sum() == 104


def test_a_wrong_name_is_told_in_one_sentence() -> None:
    with pytest.raises(errors.UserError, match=re.escape("there is no maze 'four-room', did you mean four-rooms?")):
        environments.make("maze:four-room", 0)
    with pytest.raises(errors.UserError, match=re.escape("there is no maze 'z', the known ones are four-rooms, u.")):
        environments.make("maze:z", 0)
