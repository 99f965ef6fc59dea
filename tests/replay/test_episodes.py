"""Chunks in, whole episodes out."""

import numpy as np
import pytest

from acme_agents.replay.episodes import EpisodeAssembler
from tests.replay import toys

PERIOD = toys.REPLAY.experience.items_per_chunk


def _assert_is(trajectory, episode, length=None):
    length = len(episode.rewards) if length is None else length
    np.testing.assert_array_equal(trajectory.observation, episode.observations[: length + 1])
    np.testing.assert_array_equal(trajectory.action, episode.actions[:length])
    np.testing.assert_array_equal(trajectory.reward, episode.rewards[:length])
    np.testing.assert_array_equal(trajectory.discount, episode.discounts[:length])


@pytest.fixture
def replay():
    with toys.serve() as replay:
        yield replay


@pytest.mark.parametrize("length", [1, PERIOD - 1, PERIOD, PERIOD + 1, PERIOD + 3, PERIOD + 4, 3 * PERIOD])
def test_an_episode_comes_whole_with_its_last_chunk_and_no_earlier(replay, length):
    episodes = [toys.episode(number, length, final_discount=number % 2) for number in range(2)]
    assembler = EpisodeAssembler()
    got = [assembler.add(chunk) for chunk in replay.cut(episodes)]
    assert [i for i, trajectory in enumerate(got) if trajectory] == [len(got) // 2 - 1, len(got) - 1]
    for trajectory, episode in zip(filter(None, got), episodes, strict=True):
        _assert_is(trajectory, episode)
    assert list(assembler.unfinished()) == []


def test_writers_take_turns(replay):
    episodes = [toys.episode(number, 100) for number in range(2)]
    assembler = EpisodeAssembler()
    chunks = [replay.cut([episode]) for episode in episodes]  # each by a writer of its own
    got = [assembler.add(chunk) for pair in zip(*chunks, strict=True) for chunk in pair]
    assert not any(got[:-2])
    for trajectory, episode in zip(got[-2:], episodes, strict=True):
        _assert_is(trajectory, episode)


def test_an_episode_that_lacks_a_chunk_is_dropped_and_the_next_is_whole(replay):
    first, second = (toys.episode(number, 100) for number in range(2))
    for lost in range(3):
        assembler = EpisodeAssembler()
        chunks = replay.cut([first, second])
        del chunks[lost]
        (trajectory,) = filter(None, map(assembler.add, chunks))
        _assert_is(trajectory, second)


def test_what_did_not_end_is_cut_short_where_it_is(replay):
    episode = toys.episode(0, 100)
    assembler = EpisodeAssembler()
    for chunk in replay.cut([episode])[:2]:
        assert assembler.add(chunk) is None
    (trajectory,) = assembler.unfinished()
    _assert_is(trajectory, episode, length=2 * PERIOD)
    assert trajectory.discount[-1] > 0


@pytest.mark.parametrize("length", [1, 5, 6, 7, 40])
def test_overlapping_sequences_give_every_step_once(length):
    """Of six rows, one begun every three steps: most steps are in two of them."""
    episodes = [toys.episode(number, length, final_discount=number % 2) for number in range(2)]
    assembler = EpisodeAssembler()
    with toys.serve(toys.SEQUENCES) as replay:
        chunks = replay.cut(episodes)
    if length == 40:
        assert sum(int(chunk.num_steps) - 1 for chunk in chunks) > 1.5 * 2 * length
    for trajectory, episode in zip(filter(None, map(assembler.add, chunks)), episodes, strict=True):
        _assert_is(trajectory, episode)
    assert list(assembler.unfinished()) == []
