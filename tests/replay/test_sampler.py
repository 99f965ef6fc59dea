"""Sequences drawn by a real Reverb server: by priority, from each source by its share, and back after a kill."""

import dataclasses
import subprocess
import sys
import threading
import time

import jax
import numpy as np
import pytest
import reverb
from scipy import stats

from acme_agents.core.interfaces import DATASET, REPLAY
from acme_agents.core.types import ArraySpec, Trajectory
from acme_agents.replay import tables
from acme_agents.replay.demonstrations import Demonstrations
from acme_agents.replay.sampler import ChunkSampler
from tests.replay import toys

LENGTH = toys.SEQUENCES.experience.length
NUM_EPISODES = 12  # of one sequence each
NEVER = threading.Event()
SOURCES = {DATASET: 1 / 64, REPLAY: 63 / 64}


@pytest.fixture
def replay():
    with toys.serve(toys.SEQUENCES) as replay:
        yield replay


def _write(replay, numbers, length=LENGTH - 1, table=tables.REPLAY):
    """Episodes of one sequence each, into one table."""
    writer = replay.writer(into=(table,))
    for number in numbers:
        toys.write(writer, toys.episode(number, length))
    writer.flush()
    writer.close()


def _sampler(replay, sources=None, seed=0):
    spec = dataclasses.replace(toys.SEQUENCES, sources=sources or {REPLAY: 1.0})
    return ChunkSampler(replay.client, replay.steps, spec, seed)


def _next(sampler):
    drawn = sampler.next(20)
    assert drawn is not None
    return drawn


def _numbers(drawn):
    """The episode of each element, by which the tests know it."""
    return drawn.batch.steps.observation[:, 0, 0].astype(int)


def _counts(sampler, num_batches):
    found = np.concatenate([_numbers(_next(sampler)) for _ in range(num_batches)])
    return np.bincount(found, minlength=NUM_EPISODES)


def test_a_batch_is_whole_sequences_as_they_were_written(replay):
    e = toys.episode(3, 10)
    writer = replay.writer()
    toys.write(writer, e)  # three sequences, from steps 0, 3 and 6
    writer.flush()
    sampler = _sampler(replay)
    sequences = _next(sampler).batch
    sampler.close()
    writer.close()
    assert sequences.steps.observation.shape == (8, LENGTH, 2)
    for i, first in enumerate(sequences.episode_step):
        used = int(sequences.num_steps[i])
        assert used == (5 if first == 6 else 6)
        np.testing.assert_array_equal(sequences.steps.observation[i, :used], e.observations[first : first + used])
        num_actions = min(used, 10 - first)
        np.testing.assert_array_equal(sequences.steps.action[i, :num_actions], e.actions[first : first + num_actions])
        np.testing.assert_array_equal(sequences.steps.reward[i, :num_actions], e.rewards[first : first + num_actions])
        np.testing.assert_array_equal(sequences.previous_reward[i], e.rewards[first - 1] if first else 0)


def test_new_priorities_change_what_is_drawn(replay):
    _write(replay, range(NUM_EPISODES))
    sampler = _sampler(replay)
    equal = _counts(sampler, 250)
    assert stats.chisquare(equal).pvalue > 1e-3

    rng = np.random.default_rng(0)
    priorities = rng.uniform(0.2, 5.0, NUM_EPISODES).astype(np.float32)
    known: dict[int, int] = {}
    while len(known) < NUM_EPISODES:  # Each gets its priority when it is met.
        drawn = _next(sampler)
        sampler.prioritise(drawn, priorities[_numbers(drawn)])
        known |= dict(zip(_numbers(drawn).tolist(), drawn.keys.tolist()))
    weights = priorities**0.5
    for _ in range(1000):  # what was drawn before the last of them arrived
        drawn = _next(sampler)
        expected = weights[_numbers(drawn)] / weights.sum()
        if np.allclose(drawn.batch.sample_info.probability, expected, rtol=1e-4):
            break
    np.testing.assert_allclose(drawn.batch.sample_info.probability, expected, rtol=1e-4)
    counts = _counts(sampler, 400)
    sampler.close()
    assert stats.chisquare(counts, weights / weights.sum() * counts.sum()).pvalue > 1e-3
    assert stats.chisquare(counts).pvalue < 1e-6


@pytest.mark.slow
def test_each_element_is_from_the_dataset_by_a_coin_of_its_own_even_where_less_than_one_of_a_batch_is(replay):
    """A share of 1/64 and batches of 8: an eighth of an element in each."""
    _write(replay, range(NUM_EPISODES))
    _write(replay, [100], table=tables.DATASET)
    sampler = _sampler(replay, SOURCES)
    draws = [_next(sampler) for _ in range(4000)]
    sampler.close()
    for drawn in draws[:50]:
        from_dataset = drawn.batch.sample_info.source == 0
        np.testing.assert_array_equal(_numbers(drawn) == 100, from_dataset)
        assert np.all(drawn.batch.sample_info.probability[from_dataset] == 1)  # of its own source, which holds one
        np.testing.assert_allclose(drawn.batch.sample_info.probability[~from_dataset], 1 / NUM_EPISODES, rtol=1e-5)
    in_batch = np.bincount([int(np.sum(drawn.batch.sample_info.source == 0)) for drawn in draws], minlength=3)
    expected = stats.binom(8, 1 / 64).pmf(np.arange(3)) * len(draws)
    expected[2] = len(draws) - expected[:2].sum()
    observed = np.array([in_batch[0], in_batch[1], in_batch[2:].sum()])
    assert stats.chisquare(observed, expected).pvalue > 1e-3


def test_each_source_has_priorities_of_its_own(replay):
    _write(replay, [0, 1])
    _write(replay, [100, 101], table=tables.DATASET)
    sampler = _sampler(replay, {DATASET: 0.5, REPLAY: 0.5})
    priorities = {0: 1.0, 1: 4.0, 100: 9.0, 101: 1.0}
    for _ in range(10):
        drawn = _next(sampler)
        sampler.prioritise(drawn, np.array([priorities[n] for n in _numbers(drawn).tolist()], np.float32))
    found, expected = {}, {0: 1 / 3, 1: 2 / 3, 100: 3 / 4, 101: 1 / 4}
    for _ in range(1000):  # until what was drawn before the priorities arrived is used up
        drawn = _next(sampler)
        found |= dict(zip(_numbers(drawn).tolist(), drawn.batch.sample_info.probability.tolist()))
        if found == pytest.approx(expected):
            break
    sampler.close()
    assert found == pytest.approx(expected)


def test_there_is_no_batch_while_a_source_is_empty(replay):
    _write(replay, [0])
    sampler = _sampler(replay, {DATASET: 0.5, REPLAY: 0.5})
    assert sampler.next(0.5) is None
    _write(replay, [100], table=tables.DATASET)
    assert set(_numbers(_next(sampler)).tolist()) == {0, 100}
    sampler.close()


def _trajectories(*lengths):
    made = []
    for number, length in enumerate(lengths):
        e = toys.episode(100 + number, length, final_discount=1.0)
        made.append(Trajectory(e.observations, e.actions, e.rewards, e.discounts))
    return made


@pytest.mark.parametrize("length", range(1, 20))
def test_demonstrations_are_cut_as_actors_cut_and_counted_before(replay, length):
    demonstrations = Demonstrations(
        replay.client, replay.steps, replay.replay, _trajectories(length), stop=threading.Event()
    )
    assert demonstrations.ready()
    assert replay.size(tables.DATASET) == demonstrations.size
    writer = replay.writer()
    toys.write(writer, toys.episode(100, length, final_discount=1.0))
    writer.close()
    assert writer.num_chunks == demonstrations.size


def test_demonstrations_are_sent_once_and_again_where_the_server_has_not_all_of_them():
    steps = toys.STEPS._replace(extras=(ArraySpec((3,)),))
    with toys.serve(toys.SEQUENCES, steps) as replay:
        demonstrations = Demonstrations(
            replay.client, steps, replay.replay, _trajectories(4, 10), stop=threading.Event()
        )
        assert demonstrations.size == 1 + 3
        assert demonstrations.ready()
        first = _next(_sampler(replay, {DATASET: 1.0}))
        assert first.batch.steps.extras[0].shape == (8, LENGTH, 3)
        assert np.all(first.batch.steps.extras[0] == 0)
        assert demonstrations.ready()
        (key, *_), keys = first.keys.tolist(), set(first.keys.tolist())
        assert keys & set(_next(_sampler(replay, {DATASET: 1.0})).keys.tolist())  # the same items as before
        replay.client.mutate_priorities(tables.DATASET, deletes=[key])
        assert demonstrations.ready()
        assert replay.size(tables.DATASET) == demonstrations.size


def _start(port, directory, repository):
    """A replay server in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.replay.serve", str(port), str(directory), "sequences"],
        cwd=repository, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.slow
def test_a_server_that_dies_while_demonstrations_are_sent_does_not_keep_a_learner_that_is_to_stop(
    tmp_path, repository, monkeypatch
):
    port = reverb.Server(tables=[reverb.Table.queue("free", 1)]).port
    process = _start(port, tmp_path, repository)
    replay, stop = toys.Replay(port, toys.SEQUENCES), threading.Event()
    demonstrations = Demonstrations(replay.client, replay.steps, replay.replay, _trajectories(*[10] * 20), stop=stop)
    found = demonstrations._held()

    def held_and_then_dies():
        process.kill()
        process.wait()
        return found

    monkeypatch.setattr(demonstrations, "_held", held_and_then_dies)
    answers = []
    learner = threading.Thread(target=lambda: answers.append(demonstrations.ready()), daemon=True)
    learner.start()
    learner.join(3)
    assert (found, learner.is_alive()) == (0, True)
    stop.set()
    learner.join(10)
    assert (answers, learner.is_alive()) == ([False], False)


@pytest.mark.slow
def test_a_killed_server_gives_nothing_and_then_again_batches(tmp_path, repository):
    port = reverb.Server(tables=[reverb.Table.queue("free", 1)]).port  # The server goes, and its port is free.
    process = _start(port, tmp_path, repository)
    replay = toys.Replay(port, toys.SEQUENCES)
    _write(replay, range(NUM_EPISODES))
    demonstrations = Demonstrations(
        replay.client, replay.steps, replay.replay, _trajectories(4), stop=threading.Event()
    )
    assert demonstrations.ready()
    replay.client.checkpoint()
    sampler = _sampler(replay, {DATASET: 0.5, REPLAY: 0.5})
    try:
        for _ in range(10):
            drawn = _next(sampler)
            sampler.prioritise(drawn, np.full(8, 2.0, np.float32))
        process.kill()
        process.wait()
        while sampler.next(1.0) is not None:  # what was on its way
            pass
        assert not demonstrations.ready()
        process = _start(port, tmp_path, repository)
        deadline = time.monotonic() + 60
        while (drawn := sampler.next(1.0)) is None:
            assert time.monotonic() < deadline
        assert set(_numbers(drawn).tolist()) <= {*range(NUM_EPISODES), 100}
        assert demonstrations.ready()
        assert replay.size(tables.DATASET) == 1  # from the checkpoint
    finally:
        process.kill()
        process.wait()
    began = time.monotonic()
    sampler.close()
    assert time.monotonic() - began < 60


def test_closing_does_not_wait_for_a_server_that_has_nothing(replay):
    sampler = _sampler(replay)
    began = time.monotonic()
    sampler.close()
    assert time.monotonic() - began < 60  # The server would have it wait for ever.
    assert jax.tree.structure(sampler.next(0.1)) == jax.tree.structure(None)


def test_what_ends_the_thread_is_raised_where_a_batch_is_waited_for(replay):
    _write(replay, range(3))
    sampler = _sampler(replay)
    sampler.prioritise(_next(sampler), np.full(8, np.nan, np.float32))
    with pytest.raises(ValueError, match="Priority must not be NaN"):
        for _ in range(10):  # what was drawn before
            _next(sampler)
    with pytest.raises(ValueError, match="Priority must not be NaN"):
        sampler.next(20)
    sampler.close()
