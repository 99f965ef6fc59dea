"""What one environment went through, cut into unrolls: trajectory in, chunks out."""

import itertools

import numpy as np
import pytest

from acme_agents.core.experience import Unrolls
from acme_agents.replay.episodes import EpisodeAssembler, parts
from acme_agents.replay.writer import ChunkWriter
from tests.replay import toys

T = 4


class Sent(list):
    """Keeps what is sent."""

    def send(self, chunk):
        self.append(chunk)

    def flush(self):
        pass

    def close(self):
        pass


@pytest.fixture
def sent():
    return Sent()


@pytest.fixture
def writer(sent):
    return ChunkWriter(sent, toys.STEPS, Unrolls(T), writer_id=1)


def _rows(chunk):
    return chunk.steps.observation[: chunk.num_steps].astype(int).tolist()


def test_an_unroll_goes_on_into_the_next_episode(writer, sent):
    first, second = toys.episode(0, 2, final_discount=1.0), toys.episode(1, 5)
    toys.write(writer, first)
    assert sent == []
    toys.write(writer, second, 2)
    (chunk,) = sent  # as soon as the observation behind its last step is there
    assert _rows(chunk) == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1]]
    assert chunk.steps.last.tolist() == [False, False, True, False, False]
    assert (int(chunk.num_starts), int(chunk.episode_step)) == (3, 0)
    np.testing.assert_array_equal(chunk.steps.reward, [*first.rewards, 0.0, second.rewards[0], 0.0])
    np.testing.assert_array_equal(chunk.steps.discount, [*first.discounts, 0.0, second.discounts[0], 0.0])


def test_each_action_is_in_one_unroll_and_the_next_begins_with_what_ended_the_last(writer, sent):
    episodes = toys.episodes(40, 9)
    for e in episodes:
        toys.write(writer, e)
    acting = [(row, action) for chunk in sent for row, action, last in zip(
        _rows(chunk)[:T], chunk.steps.action, chunk.steps.last) if not last]  # fmt: skip
    expected = [([int(x) for x in o], a) for e in episodes for o, a in zip(e.observations[:-1], e.actions)]
    assert acting == expected[: len(acting)] and len(expected) - len(acting) < T
    assert sum(int(chunk.num_starts) for chunk in sent) == len(acting)
    rows = [row for chunk in sent for row in _rows(chunk)[:T]]
    everything = [[int(x) for x in o] for e in episodes for o in e.observations]
    assert rows == everything[: len(rows)]
    for chunk, after in itertools.pairwise(sent):
        if chunk.num_steps == T:
            assert chunk.steps.last[T - 1] and after.episode_step == 0 and not after.previous_action.any()
        else:
            assert _rows(chunk)[T] == _rows(after)[0]
            assert after.episode_step == _rows(after)[0][1]
            np.testing.assert_array_equal(chunk.steps.action[T - 1], after.previous_action)


def test_an_unroll_that_ends_with_an_episode_is_written_at_once(writer, sent):
    toys.write(writer, toys.episode(0, 3))
    (chunk,) = sent
    assert chunk.num_steps == T and chunk.steps.last.tolist() == [False, False, False, True, False]


def test_the_version_is_that_of_the_first_action(writer, sent):
    writer.version = 3
    toys.write(writer, toys.episode(0, T))  # the final observation begins the next unroll
    writer.version = 4
    toys.write(writer, toys.episode(1, 7), 2)
    writer.version = 5
    toys.write(writer, toys.episode(2, 7), 4)
    assert [int(chunk.version) for chunk in sent] == [3, 5]
    assert _rows(sent[1])[0] == [0, T]


def test_an_unfinished_episode_is_dropped_as_far_as_it_was_not_written(writer, sent):
    toys.write(writer, toys.episode(0, 1))
    toys.write(writer, toys.episode(1, 9), 1)
    toys.write(writer, toys.episode(2, 9), 2)
    assert _rows(sent[0]) == [[0, 0], [0, 1], [2, 0], [2, 1], [2, 2]]


def test_episodes_are_put_together_from_unrolls(writer, sent):
    episodes = toys.episodes(30, 9)
    for e in episodes:
        toys.write(writer, e)
    assembler = EpisodeAssembler()
    found = list(filter(None, [assembler.add(part) for chunk in sent for part in parts(chunk)]))
    assert len(found) >= len(episodes) - T
    for trajectory, e in zip(found, episodes):
        np.testing.assert_array_equal(trajectory.observation, e.observations)
        np.testing.assert_array_equal(trajectory.action, e.actions)
        np.testing.assert_array_equal(trajectory.discount, e.discounts)
