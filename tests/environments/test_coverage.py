"""Which cells a record says were visited."""

import numpy as np
import pytest

from acme_agents import environments
from acme_agents.core import errors
from acme_agents.environments import coverage


def _record(name, actions):
    env = environments.make(name, 0)
    observations = [env.reset().observation, *(env.step(action).observation for action in actions)]
    return np.array(observations), np.array(actions)


@pytest.mark.parametrize("wrapper", ["", "scaled:0:", "delayed:0:scaled:2:"])
def test_trackers(wrapper):
    name = f"{wrapper}trackers:none"
    counts = coverage.visits(name, *_record(name, [4, 4, 4, 3, 0, 2, 3]))  # Thrice right, left, nothing, down, left.
    expected = np.zeros((17, 17), int)
    expected[4, 1:5] = 1, 1, 3, 1  # It stands on (4, 3) before and after the step that does nothing.
    expected[5, 2:4] = 1
    np.testing.assert_array_equal(counts, expected)
    assert coverage.free(name).sum() == 200 and coverage.free(name)[expected > 0].all()


def test_mazes():
    name = "energy:maze:four-rooms"
    counts = coverage.visits(name, *_record(name, [np.array([1, 0], np.float32)] * 12))
    assert counts.shape == (11, 11) and counts.sum() == 13
    assert (counts[0, :3] > 0).all() and counts[0, 1] == 5 and not counts[1:].any()  # Five steps to a cell.
    assert coverage.free(name).sum() == 104


@pytest.mark.parametrize("name", ["noisy-tv:symbols", "persistive:noisy-tv:picture"])
def test_noisy_televisions(name):
    counts = coverage.visits(name, *_record(name, [1, 1, 0, 1, 1]))
    np.testing.assert_array_equal(counts, [[1, 2, 2, 1, 0, 0, 0, 0, 0]])
    assert coverage.free(name).shape == (1, 9)


@pytest.mark.parametrize("name", ["probe:reach", "repeat:2:trackers:none", "gym:CartPole-v1"])
def test_others_cannot_be_read(name):
    with pytest.raises(errors.UserError, match="are read from trackers:NOISE, maze:NAME and noisy-tv:SCREEN, and '"):
        coverage.visits(name, np.zeros((2, 1)), np.zeros(1))
