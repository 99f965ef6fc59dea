"""`trackers:NOISE`: each rule of the grid by hand, and each kind of noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents import environments
from acme_agents.core import errors
from acme_agents.environments import trackers
from acme_agents.environments.trackers import BLOCK, DOWN, FIRST_FLOOR, LEFT, NOISE, NOOP, RIGHT, UP, WALL


class Walk:
    """An episode: its steps so far."""

    def __init__(self, noise: str, seed: int = 0):
        functions = environments.make_pure(f"trackers:{noise}")
        self._step = jax.jit(functions.step)
        self.limited, observation = jax.jit(functions.init)(jax.random.PRNGKey(seed))
        self.observations = [np.asarray(observation).reshape(5, 5, 7)]
        self.actions, self.rewards, self.positions = [], [], [self.position]
        self.timestep = None

    @property
    def position(self):
        return tuple(self.limited.state.position.tolist())

    @property
    def blocks(self):
        return self.limited.state.blocks.tolist()

    def take(self, *actions):
        for action in actions:
            self.limited, self.timestep = self._step(self.limited, jnp.int32(action))
            self.observations.append(np.asarray(self.timestep.observation).reshape(5, 5, 7))
            self.actions.append(action)
            self.rewards.append(float(self.timestep.reward))
            self.positions.append(self.position)

    def go(self, action, times):
        """Moves on so many cells, and waits where the way is barred."""
        for _ in range(times):
            before = self.position
            while self.position == before:
                self.take(action)


def test_the_agent_moves_and_the_first_tracker_pays_once() -> None:
    walk = Walk("none")
    assert walk.position == (4, 1) and walk.blocks == [0, 0, 0, 0]
    walk.take(UP, DOWN, DOWN, UP, LEFT, NOOP)  # A wall is on the left.
    assert walk.positions[1:] == [(3, 1), (4, 1), (5, 1), (4, 1), (4, 1), (4, 1)]
    walk = Walk("none")
    walk.take(*[RIGHT] * 7)
    assert walk.position == (4, 8) and walk.rewards == [0, 0, 0, 0, 0, 0, 1]
    walk.take(RIGHT, LEFT)
    assert walk.position == (4, 8) and walk.rewards[7:] == [0, 0]
    assert walk.timestep.discount == 1.0 and not walk.timestep.last


def test_blocks_move_to_and_fro_and_wait_a_step_at_each_end() -> None:
    walk = Walk("none")
    places = [walk.blocks[0]]
    for _ in range(16):
        walk.take(NOOP)
        places.append(walk.blocks[0])
        assert walk.blocks == [places[-1]] * 4
    assert places == [0, 1, 2, 3, 4, 5, 6, 6, 5, 4, 3, 2, 1, 0, 0, 1, 2]


def test_a_block_bars_the_agent() -> None:
    walk = Walk("none")
    walk.take(*[RIGHT] * 5, *[NOOP] * 5)  # The first block moves on rows 1 to 7; after 10 steps it is in row 4.
    assert walk.position == (4, 6) and walk.blocks[0] == 3
    assert walk.observations[-1][2, 3, BLOCK] == 1 and walk.observations[-1][..., BLOCK].sum() == 1
    walk.take(RIGHT)
    assert walk.position == (4, 6) and walk.blocks[0] == 2
    walk.take(RIGHT)
    assert walk.position == (4, 7)


def test_the_agent_bars_a_block_which_turns_round() -> None:
    walk = Walk("none")
    walk.take(*[RIGHT] * 6, *[NOOP] * 5)
    assert walk.position == (4, 7)
    places = [0]
    for observation in walk.observations[7:]:  # As seen from (4, 7): rows 2 to 6.
        rows = np.flatnonzero(observation[:, 2, BLOCK])
        places.append(int(rows[0]) + 2 if len(rows) else None)
    assert places[1:] == [None, 6, 5, 5, 6]  # Row 4 was barred.


def test_a_view_is_the_cells_around_the_agent() -> None:
    walk = Walk("none")
    first = walk.observations[0]  # From (4, 1): rows 2 to 6, columns -1 to 3.
    np.testing.assert_array_equal(first[..., WALL], [[1, 1, 0, 0, 0]] * 5)
    np.testing.assert_array_equal(first[..., FIRST_FLOOR], [[0, 0, 1, 1, 1]] * 5)
    assert first[..., FIRST_FLOOR + 1 :].sum() == first[..., BLOCK].sum() == 0
    walk.take(*[RIGHT] * 7)
    door = walk.observations[-1]  # From (4, 8): the wall between two rooms in the middle column.
    np.testing.assert_array_equal(door[..., WALL], [[0, 0, i != 2, 0, 0] for i in range(5)])
    np.testing.assert_array_equal(door[..., FIRST_FLOOR], [[1, 1, i == 2, 0, 0] for i in range(5)])
    np.testing.assert_array_equal(door[..., FIRST_FLOOR + 1], [[0, 0, 0, 1, 1]] * 5)


@pytest.mark.parametrize("noise", trackers.names())
def test_all_four_can_be_reached_and_the_record_tells_the_way(noise: str) -> None:
    walk = Walk(noise)
    for action, times in ((RIGHT, 11), (DOWN, 8), (LEFT, 12)):
        walk.go(action, times)
    assert walk.position == (12, 0) and sum(walk.rewards) == 4
    reached = [walk.positions[1 + i] for i in np.flatnonzero(walk.rewards)]
    assert reached == [(4, 8), (8, 12), (12, 8), (12, 0)] == [tuple(cell) for cell in trackers.TRACKERS]
    np.testing.assert_array_equal(trackers.positions(walk.observations, walk.actions), walk.positions)
    np.testing.assert_array_equal(walk.observations[-1][..., WALL][:, :2], 1)  # Outside there is wall.


def test_without_noise_nothing_is_random_and_with_it_the_key_decides() -> None:
    def observations(noise, seed):
        walk = Walk(noise, seed)
        walk.take(*[RIGHT] * 6, *[NOOP] * 12)
        return np.array(walk.observations)

    np.testing.assert_array_equal(observations("none", 0), observations("none", 1))
    for noise in ("brownian", "pixels", "no-op"):
        np.testing.assert_array_equal(observations(noise, 0), observations(noise, 0))
        assert not np.array_equal(observations(noise, 0), observations(noise, 1))


def test_brownian_blocks_move_to_either_side_with_equal_chance() -> None:
    walk = Walk("brownian")
    places = [walk.blocks]
    for _ in range(400):
        walk.take(NOOP)
        places.append(walk.blocks)
    before, moves = np.array(places)[:-1], np.diff(places, axis=0)
    inside = (before > 0) & (before < 6)
    assert set(moves[inside].tolist()) == {-1, 1}  # No step is missed within the track.
    assert abs(np.mean(moves[inside] == 1) - 0.5) < 0.06  # 1,000 or so: 3.5 standard deviations.
    assert set(moves[before == 0].tolist()) == {0, 1} and set(moves[before == 6].tolist()) == {-1, 0}
    assert abs(np.mean(moves[:-1] * moves[1:])) < 0.1  # It does not remember where it went.
    assert not np.array_equal(moves[:, 0], moves[:, 1])


def test_pixels_are_noise_in_a_quarter_of_the_frames() -> None:
    walk = Walk("pixels", seed=3)
    walk.take(*[RIGHT, NOOP] * 225)
    planes = np.array(walk.observations)[..., NOISE]
    noisy = planes.any((1, 2))
    assert abs(noisy.mean() - 0.25) < 0.07
    assert abs(noisy[1::2].mean() - noisy[2::2].mean()) < 0.1  # Whatever the action was.
    assert set(np.unique(planes)) == {0, 1} and abs(planes[noisy].mean() - 0.5) < 0.04
    assert not np.array_equal(*planes[noisy][:2])


def test_a_no_op_calls_noise() -> None:
    walk = Walk("no-op")
    walk.take(NOOP, NOOP, RIGHT, LEFT, NOOP, UP, DOWN)
    planes = np.array(walk.observations)[..., NOISE]
    assert planes.any((1, 2)).tolist() == [False, True, True, False, False, True, False, False]
    assert not np.array_equal(planes[1], planes[2])
    for noise in ("none", "brownian"):
        walk = Walk(noise)
        walk.take(NOOP, RIGHT)
        assert np.array(walk.observations)[..., NOISE].sum() == 0


def test_an_episode_is_cut_short_after_500_steps() -> None:
    walk = Walk("none")
    for steps, last in ((498, False), (499, True)):
        walk.limited = walk.limited._replace(num_steps=jnp.int32(steps))
        walk.take(NOOP)
        assert bool(walk.timestep.last) == last and walk.timestep.discount == 1.0


def test_the_dm_env_face_has_the_same_numbers() -> None:
    env, walk = environments.make("trackers:brownian", 5), Walk("brownian")
    functions = environments.make_pure("trackers:brownian")
    walk.limited, observation = functions.init(jax.random.fold_in(jax.random.PRNGKey(5), 0))
    np.testing.assert_array_equal(env.reset().observation, observation)
    for action in [RIGHT] * 9 + [DOWN] * 5:
        timestep = env.step(action)
        walk.take(action)
        np.testing.assert_array_equal(timestep.observation, walk.observations[-1].ravel())
        assert timestep.reward == walk.rewards[-1]


def test_a_wrong_name_is_told_in_one_sentence() -> None:
    for name, sentence in (
        ("trackers:brown", "trackers:NOISE has no noise 'brown', did you mean brownian?"),
        ("trackers:", "trackers:NOISE has no noise '', the known ones are none, brownian, pixels, no-op."),
    ):
        with pytest.raises(errors.UserError, match=f"Unknown environment '{name}'") as raised:
            environments.make(name, 0)
        assert sentence in str(raised.value) and "\n" not in str(raised.value)
