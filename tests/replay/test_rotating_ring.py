"""A part of a dataset in memory: every item is right, drawn as often as any other, and again so after a restart."""

import dataclasses

import jax
import numpy as np
import pytest

from acme_agents.core import experience
from acme_agents.core.interfaces import DATASET, LearnerCore, UpdateOutput
from acme_agents.core.types import Trajectory
from acme_agents.datasets import DatasetError
from acme_agents.replay import ring
from acme_agents.replay.device_replay import DeviceReplay
from acme_agents.replay.rotating_ring import RotatingRing, num_bytes
from tests.replay import toys

EPISODES = toys.episodes(200, 150)
TRAJECTORIES = [Trajectory(e.observations, e.actions, e.rewards, e.discounts) for e in EPISODES]
REPLAY = dataclasses.replace(toys.REPLAY, batch_size=16, sources={DATASET: 1.0})
SEQUENCES = dataclasses.replace(toys.SEQUENCES, sources={DATASET: 1.0}, drawn_by="learner", priority_exponent=0.0)


class Stored:
    """The rows of the episodes, in memory; it counts what is read."""

    def __init__(self):
        rows = experience.of_trajectories(toys.STEPS, TRAJECTORIES, REPLAY.experience)
        self.lengths = np.array([len(e.rewards) for e in EPISODES], np.int32)
        self.num_rows = len(rows.steps.last)
        self.most = 0
        self._steps = rows.steps

    def read(self, first, stop):
        assert 0 <= first < stop <= self.num_rows
        self.most = max(self.most, stop - first)
        return jax.tree.map(lambda x: x[first:stop], self._steps)


def _make(replay=REPLAY, share=0.2, seed=0, stored=None):
    stored = stored or Stored()
    memory = int(share * num_bytes(toys.STEPS, replay, stored.num_rows))
    return RotatingRing(toys.STEPS, replay, stored, memory, seed)


def _update(rotating, number=1, replay=REPLAY):
    """Counts as that many updates, as a learner would."""
    while number:
        some = min(number, rotating.ingest())
        assert some >= 1
        rotating.count(int(some) * replay.batch_size)
        number -= some
    rotating.ingest()


_gather = jax.jit(lambda rows, places, kind: kind.gather(rows, places), static_argnums=2)


def _items(rotating, kind=REPLAY.experience):
    """What is in the ring, oldest first."""
    state = jax.tree.map(np.asarray, rotating.state)
    places = (state.oldest + np.arange(rotating.capacity)) % rotating.capacity
    return jax.tree.map(lambda x: np.asarray(x)[: int(state.size)], _gather(state.rows, places, kind))


def _keys(observations):
    return [tuple(observation) for observation in observations.tolist()]


def test_every_transition_is_that_of_its_episode_while_blocks_come_and_go():
    expected = {}
    for e in EPISODES:
        expected |= toys.transitions(e, REPLAY.experience.n, REPLAY.experience.discount)
    rotating, seen = _make(), set()
    assert rotating.num_items == len(expected) and not rotating.is_whole
    rotating.recover()
    for _ in range(40):
        items = _items(rotating)
        assert 0.1 * len(expected) < rotating.size == len(items.reward) < 0.2 * len(expected)
        wanted = [expected[key] for key in _keys(items.observation)]
        for found, column in zip((items.action, items.reward, items.discount, items.next_observation), zip(*wanted)):
            np.testing.assert_allclose(found, np.stack(column), rtol=1e-5, atol=1e-6)
        seen |= set(_keys(items.observation))
        _update(rotating, 30)
    assert seen == set(expected)


@pytest.mark.parametrize("share", [0.3, 1.5])
def test_every_sequence_is_what_it_is_in_memory(share):
    kind = SEQUENCES.experience
    fixed = ring.from_trajectories(toys.STEPS, TRAJECTORIES, kind)
    num_items = len(fixed.rows.item_rows)
    whole = _gather(fixed.rows, np.arange(num_items), kind)
    places = {key: place for place, key in enumerate(_keys(np.asarray(whole.steps.observation)[:, 0]))}
    rotating, seen = _make(SEQUENCES, share), set()
    assert rotating.is_whole is (share > 1)
    rotating.recover()
    for _ in range(1 if share > 1 else 30):
        items = _items(rotating, kind)
        where = np.array([places[key] for key in _keys(items.steps.observation[:, 0])])
        jax.tree.map(lambda x, y, where=where: np.testing.assert_array_equal(x, np.asarray(y)[where]), items, whole)
        seen |= set(where.tolist())
        _update(rotating, 30, SEQUENCES)
    assert seen == set(range(num_items))


def test_over_passes_every_item_is_as_likely_to_be_drawn_as_any_other():
    """The exact number of draws to be expected: of each update batch_size / size, while an item is there."""
    rotating = _make()
    rotating.recover()
    a_pass = rotating.num_items / REPLAY.batch_size  # updates
    numbers = np.cumsum([0, *(len(e.rewards) for e in EPISODES)])[:-1]  # of the episodes' first items
    draws, update, changes = np.zeros((4, rotating.num_items)), 0, 0  # of four passes
    while update < 4 * a_pass:
        observation = _items(rotating).observation.astype(int)
        here, number = numbers[observation[:, 0]] + observation[:, 1], int(rotating.ingest())
        draws[int(update / a_pass), here] += number * REPLAY.batch_size / rotating.size
        _update(rotating, number)
        update, changes = update + number, changes + 1
    assert changes > 4 * 100  # Blocks come one by one.
    np.testing.assert_allclose(draws.mean(), 1, rtol=0.02)
    assert draws[0].max() < 2.5  # It may be there twice: at a pass's end, and at the beginning of the next one.
    mean = draws.mean(axis=0)
    assert 0.7 < mean.min() and mean.max() < 1.3  # Of four stays one may be cut short, or not be over.
    assert np.std(mean) < 0.1


def test_of_what_is_there_all_is_drawn_alike():
    rotating = _make()
    rotating.recover()
    _update(rotating, 100)
    held = {DATASET: rotating.state}
    replay = dataclasses.replace(REPLAY, batch_size=100_000)
    _, places = jax.jit(lambda held, key: ring.sample(held, {}, key, replay))(held, jax.random.PRNGKey(0))
    index = (np.asarray(places) - int(rotating.state.oldest)) % rotating.capacity
    counts = np.bincount(index, minlength=rotating.size)
    assert len(counts) == rotating.size
    mean = 100_000 / rotating.size
    assert np.sum((counts - mean) ** 2 / mean) < rotating.size + 5 * np.sqrt(2 * rotating.size)  # chi squared


def test_it_goes_on_from_a_checkpoint_as_it_would_have_gone_on():
    rotating, counts = _make(), {}
    rotating.recover()
    for number in (7, 50, 31):
        _update(rotating, number)
        counts = rotating.save()
        again = _make()
        again.restore(counts)
        assert again.recover() == again.recover() == []  # Two replays may share it.
        assert again.ingest() == rotating.ingest()
        jax.tree.map(np.testing.assert_array_equal, _items(again), _items(rotating))
    other = _make(seed=1)
    other.restore(counts)
    other.recover()
    assert _keys(_items(other).observation) != _keys(_items(rotating).observation)


def test_with_priorities_what_is_there_can_be_drawn_and_new_items_get_the_largest():
    replay = dataclasses.replace(REPLAY, priority_exponent=0.5)
    rotating = _make(replay)

    def update(state, batch):
        times = batch.observation[:, 1]
        return state, UpdateOutput({"time": times.mean()}, 1.0 + times)

    core = LearnerCore(init=lambda key: np.zeros(1), update=update, params=lambda state: state)
    learner_replay = DeviceReplay(core, replay, 0, {DATASET: rotating})
    learner_replay.recover()
    assert learner_replay.size == rotating.size > 0
    done = 0
    for _ in range(60):
        number = int(min(learner_replay.ingest(), 16))
        learner_replay.update(np.zeros(1), done, number)
        done += number
    learner_replay.ingest()
    weights = np.asarray(rotating.priorities.weights).reshape(-1)[: rotating.capacity]
    state = jax.tree.map(np.asarray, rotating.state)
    held = (np.arange(rotating.capacity) - state.oldest) % rotating.capacity < state.size
    assert np.all((weights > 0) == held)
    np.testing.assert_allclose(weights.sum(), float(rotating.priorities.sums.sum()), rtol=1e-5)
    ages = weights[(state.oldest + np.arange(state.size)) % rotating.capacity]
    assert len(set(ages[: state.size // 4].tolist())) > 5  # They were drawn, and got their own.
    np.testing.assert_allclose(ages[-10:], float(rotating.priorities.largest) ** 0.5)


def test_too_little_memory_is_one_sentence():
    with pytest.raises(ValueError, match=r"cannot be as small as 0\.0 MiB: the least is about 0\.0\d+ MiB"):
        _make(share=0.01)


def test_what_the_disk_does_not_give_stops_the_learner():
    class Broken(Stored):
        def read(self, first, stop):
            if self.most and first > 9000:
                raise DatasetError("it is gone")
            return super().read(first, stop)

    with pytest.raises(DatasetError, match="it is gone"):
        rotating = _make(stored=Broken())
        rotating.recover()
        _update(rotating, 1000)
