"""`key-to-door:SPREAD`: three rooms in a row, and what is paid in each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.environments import key_to_door

UP, DOWN, LEFT, RIGHT = range(4)


@pytest.fixture(scope="module")
def steps():
    """A function that plays actions from a state, or from a new episode, jitted once."""
    functions = key_to_door.rooms(3.0)
    init, step = jax.jit(functions.init), jax.jit(functions.step)

    def play(actions, seed=0, **changes):
        state, observation = init(jax.random.PRNGKey(seed))
        state, found = state._replace(**changes), []
        for action in actions:
            state, timestep = step(state, jnp.int32(action))
            found.append(jax.tree.map(np.asarray, timestep))
        return np.asarray(observation), found, state

    return play


def _things(*cells: int) -> jnp.ndarray:
    """A room with something on each of the cells, [25]."""
    return jnp.zeros(25, bool).at[jnp.array(cells, int)].set(True)


def test_an_episode_has_three_rooms_that_begin_in_the_middle(steps) -> None:
    first, found, _ = steps([LEFT] * 32)
    seen = [first, *(timestep.observation for timestep in found)]
    assert [int(np.argmax(x[50:])) for x in seen] == [0] * 8 + [1] * 16 + [2] * 9
    cells = [int(np.argmax(x[:25])) for x in seen]
    assert cells[:5] == [12, 11, 10, 10, 10] and cells[7:11] == [10, 12, 11, 10] and cells[24:26] == [12, 11]
    assert [bool(timestep.last) for timestep in found] == [False] * 31 + [True]
    assert [float(timestep.discount) for timestep in found] == [1.0] * 31 + [0.0]


def test_what_lies_in_the_rooms_is_random_and_never_in_the_middle() -> None:
    functions = key_to_door.rooms(3.0)
    states, _ = jax.jit(jax.vmap(functions.init))(jax.random.split(jax.random.PRNGKey(0), 2000))
    assert (np.asarray(states.things).sum(2) == [1, 5, 1]).all()
    shares = np.asarray(states.things).mean(0)
    assert not shares[:, 12].any()
    np.testing.assert_allclose(np.delete(shares, 12, axis=1), np.array([[1], [5], [1]]) / np.full(24, 24), atol=0.05)
    np.testing.assert_allclose(np.asarray(states.signs).mean(), 0.0, atol=0.02)


def test_the_key_pays_at_the_door_alone_and_once(steps) -> None:
    things = jnp.stack([_things(7), _things(), _things(13)])
    _, found, state = steps([UP] + [DOWN] * 23 + [RIGHT, LEFT, RIGHT], things=things)
    assert [float(timestep.reward) for timestep in found] == [0.0] * 24 + [5.0, 0.0, 0.0]
    assert found[0].observation[25:50].sum() == 0 and state.has_key  # The key is gone.


def test_the_door_stays_shut_without_the_key(steps) -> None:
    things = jnp.stack([_things(7), _things(), _things(13)])
    _, found, state = steps([DOWN] * 24 + [RIGHT, LEFT, RIGHT], things=things)
    assert not any(timestep.reward for timestep in found) and found[-1].observation[25:50].sum() == 1
    assert not state.has_key


def test_apples_are_eaten_once_and_earn_more_or_less(steps) -> None:
    things = jnp.stack([_things(), _things(7, 2), _things()])
    signs = jnp.ones(25).at[2].set(-1.0)
    _, found, _ = steps([UP, UP, UP, DOWN], things=things, signs=signs, t=jnp.int32(8))
    assert [float(timestep.reward) for timestep in found] == [4.0, -2.0, 0.0, 0.0]


def test_what_is_earned_does_not_show(steps) -> None:
    things = jnp.stack([_things(), _things(7), _things()])
    shown = [
        steps([LEFT, UP], things=things, signs=sign * jnp.ones(25), has_key=key, t=jnp.int32(8))[1][-1].observation
        for sign, key in ((1.0, jnp.bool_(True)), (-1.0, jnp.bool_(False)))
    ]
    np.testing.assert_array_equal(*shown)
