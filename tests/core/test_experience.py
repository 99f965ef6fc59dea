"""How episodes are cut, and the batches that a kind of experience makes of their rows."""

import jax
import numpy as np
import pytest

from acme_agents.core.experience import Sequences, Transitions, Unrolls, of_trajectories
from acme_agents.core.types import ArraySpec, Step, Trajectory

STEPS = Step(ArraySpec((2,)), ArraySpec((1,)), ArraySpec(()), ArraySpec(()), ArraySpec((), "bool"))


def _episode(number, length):
    """Random actions and rewards; observed are the episode's number, and t."""
    rng = np.random.default_rng((number, length))
    observation = np.stack([np.full(length + 1, number), np.arange(length + 1)], axis=1).astype(np.float32)
    action, reward = (rng.normal(size=shape).astype(np.float32) for shape in ((length, 1), (length,)))
    return Trajectory(observation, action, reward, np.ones(length, np.float32))


def _rows(experience, *episodes):
    return jax.tree.map(jax.numpy.asarray, of_trajectories(STEPS, episodes, experience))


@pytest.mark.parametrize(
    ("experience", "length", "expected"),
    [
        (Sequences(6, 3), 5, [(0, 6, 5)]),
        (Sequences(6, 3), 6, [(0, 6, 3), (3, 4, 3)]),
        (Sequences(6, 3), 9, [(0, 6, 3), (3, 6, 3), (6, 4, 3)]),
        (Sequences(6, 5), 1, [(0, 2, 1)]),
        (Transitions(3, 0.9), 33, [(0, 34, 32), (32, 2, 1)]),
        (Transitions(3, 0.9), 36, [(0, 35, 32), (32, 5, 4)]),
    ],
)
def test_an_episode_is_cut_into_pieces(experience, length, expected):
    assert list(experience.layout.cut(length)) == expected


@pytest.mark.parametrize("experience", [Sequences(6, 3), Sequences(4, 1), Transitions(3, 0.9), Transitions(40, 0.9)])
def test_every_action_begins_one_piece_of_its_own(experience):
    for length in range(1, 120):
        pieces = list(experience.layout.cut(length))
        begun = [step for piece in pieces for step in range(piece.first, piece.first + piece.num_starts)]
        assert begun == list(range(length))
        assert all(2 <= piece.num_steps <= experience.layout.num_rows for piece in pieces)


def test_sequences_are_stretches_with_what_came_before_and_zeros_behind():
    episodes = [_episode(0, 7), _episode(1, 2)]
    experience = Sequences(length=6, period=3)
    rows = _rows(experience, *episodes)
    assert rows.item_rows.tolist() == [0, 3, 8]
    batch = experience.gather(rows, np.arange(3))
    assert batch.num_steps.tolist() == [6, 5, 3] and batch.episode_step.tolist() == [0, 3, 0]
    for i, (number, first, used) in enumerate([(0, 0, 6), (0, 3, 5), (1, 0, 3)]):
        e = episodes[number]
        np.testing.assert_array_equal(batch.steps.observation[i, :used], e.observation[first : first + used])
        acting = min(used, len(e.reward) - first)
        np.testing.assert_array_equal(batch.steps.reward[i, :acting], e.reward[first : first + acting])
        np.testing.assert_array_equal(batch.steps.action[i, :acting], e.action[first : first + acting])
        assert batch.steps.last[i].tolist() == [first + t == len(e.reward) for t in range(6)]
        assert all(not np.any(leaf[i, used:]) for leaf in jax.tree.leaves(batch.steps))
    np.testing.assert_array_equal(batch.previous_action, [[0.0], episodes[0].action[2], [0.0]])
    np.testing.assert_array_equal(batch.previous_reward, [0.0, episodes[0].reward[2], 0.0])


def test_an_n_step_window_ends_with_its_episode():
    """Rewards 1, 2, 4, discounts 1, 1, 0, gamma 1/2: by hand."""
    e = _episode(0, 3)._replace(reward=np.float32([1, 2, 4]), discount=np.float32([1, 1, 0]))
    experience = Transitions(2, 0.5)
    batch = experience.gather(_rows(experience, e), np.arange(3))
    assert batch.reward.tolist() == [2.0, 4.0, 4.0]
    assert batch.discount.tolist() == [0.25, 0.0, 0.0]
    assert batch.next_observation[:, 1].tolist() == [2.0, 3.0, 3.0]
    assert batch.next_last.tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("experience", "problem"),
    [
        (Transitions(0, 0.9), "asks for transitions of 0 steps"),
        (Transitions(1, 1.1), "has a discount of 1.1"),
        (Sequences(4, 4), "leaves transitions out"),
        (Sequences(4, 0), "leaves transitions out"),
        (Transitions(1, 1.0), ""),
        (Sequences(4, 3), ""),
    ],
)
def test_numbers_that_cannot_be_are_said(experience, problem):
    assert experience.problem.startswith(problem) and bool(experience.problem) == bool(problem)


def test_steps_that_an_amount_of_experience_takes():
    assert (Transitions(3, 0.9).steps_for(100), Sequences(81, 40).steps_for(5)) == (100, 241)


def test_unrolls_are_cut_across_episodes_and_each_row_is_in_one():
    episodes = [_episode(0, 3), _episode(1, 6)]  # 4 + 7 rows
    rows = _rows(Unrolls(4), *episodes)
    assert rows.item_rows.tolist() == [0, 4]  # and three rows are left
    batch = Unrolls(4).gather(rows, np.arange(2))
    assert batch.version.tolist() == [0, 0]
    assert batch.steps.observation.astype(int).tolist() == [
        [[0, 0], [0, 1], [0, 2], [0, 3], [1, 0]],
        [[1, 0], [1, 1], [1, 2], [1, 3], [1, 4]],
    ]
    assert batch.steps.last.tolist() == [[False, False, False, True, False], [False] * 5]
    np.testing.assert_array_equal(batch.steps.reward[0, :3], episodes[0].reward)
    np.testing.assert_array_equal(batch.steps.reward[1, :4], episodes[1].reward[:4])


def test_unrolls_of_no_rows_are_refused():
    assert "one is the least" in Unrolls(0).problem and not Unrolls(1).problem
