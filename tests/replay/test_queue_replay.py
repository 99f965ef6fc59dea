"""A queue of unrolls: each learned from once, oldest first, in one process as in many."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.core.experience import Unrolls
from acme_agents.core.interfaces import LearnerCore, ReplaySpec, UpdateOutput
from acme_agents.replay.memory_transport import MemoryTransport
from acme_agents.replay.queue_replay import QueueReplay
from acme_agents.replay.writer import ChunkWriter
from tests.replay import toys

T, B = 4, 2
REPLAY = ReplaySpec(Unrolls(T), B, B, B, 1.0, max_policy_lag=1)


def _update(state, batch):
    """Counts how often each step of one episode was learned from."""
    times = batch.steps.observation[:, :-1, 1].astype(jnp.int32).reshape(-1)
    return state.at[times].add(1), UpdateOutput({"version": jnp.mean(batch.version.astype(jnp.float32))})


CORE = LearnerCore(init=lambda key: jnp.zeros(100, jnp.int32), update=_update, params=lambda state: state)


class Learner:
    """A queue, its transport and a writer of one long episode."""

    def __init__(self, directory, replay=REPLAY):
        self.transport = MemoryTransport(toys.STEPS, replay, directory)
        self.new = []
        self.queue = QueueReplay(CORE, replay, toys.STEPS, self.transport, self.new.extend)
        self.writer = ChunkWriter(self.transport, toys.STEPS, replay.experience, writer_id=1)
        self.state = CORE.init(None)
        self.steps = toys.timesteps(toys.episode(0, 99))
        self.writer.observe_first(next(self.steps))
        self.updates = 0

    def act(self, num_unrolls, version):
        self.writer.version = version
        for _ in range(num_unrolls * T):
            self.writer.observe(np.zeros(1), next(self.steps))

    def learn(self):
        allowed = self.queue.ingest()
        if allowed:
            self.state, metrics, done = self.queue.update(self.state, self.updates, int(allowed))
            self.updates += done
            return {name: float(value) for name, value in metrics.items()}
        return None

    @property
    def learned(self):
        return np.asarray(self.state).tolist()


@pytest.fixture
def learner(tmp_path):
    return Learner(tmp_path)


def test_an_update_waits_for_a_full_batch_and_each_step_is_learned_from_once(learner):
    learner.act(1, 0)
    assert learner.learn() is None and learner.queue.size == 1
    learner.act(1, 0)
    assert learner.learn() == {"version": 0.0, "policy_lag": 0.0, "largest_policy_lag": 0.0, "dropped_items": 0.0}
    assert learner.learned[: B * T + 1] == [1] * B * T + [0]
    assert learner.learn() is None and learner.queue.samples_per_insert == 1.0


def test_it_takes_in_no_more_than_the_next_batch_needs(learner):
    learner.act(5, 0)
    assert learner.queue.ingest() == 1 and len(learner.new) == B and learner.queue.size == B
    assert learner.queue.ingest() == 1 and len(learner.new) == B


def test_what_is_too_old_is_dropped_and_counted(learner):
    learner.act(7, 0)
    assert learner.learn()["policy_lag"] == 0.0
    assert learner.learn()["policy_lag"] == 1.0
    assert learner.learn() is None  # Three more are of version 0, two updates ago.
    learner.act(1, 2)
    learner.act(1, 1)
    found = learner.learn()
    assert (found["policy_lag"], found["largest_policy_lag"], found["dropped_items"]) == (0.5, 1.0, 3.0)
    assert learner.learned[: 9 * T] == [1] * 4 * T + [0] * 3 * T + [1] * 2 * T


def test_a_learner_that_was_set_back_drops_what_newer_parameters_did(learner):
    learner.act(2, 5)
    assert learner.learn() is None and learner.queue.size == 0


def test_what_waited_at_a_checkpoint_is_learned_from_after_it_and_nothing_twice(learner, tmp_path):
    learner.act(3, 0)
    assert learner.learn() is not None and learner.learn() is None  # One is held,
    learner.act(1, 1)  # and one was not taken in.
    learner.queue.checkpoint()
    counts = learner.queue.save()
    again = Learner(tmp_path)
    again.updates = 1
    again.queue.restore(counts, 1)
    again.queue.recover()
    assert again.queue.size == 1
    assert again.learn() is not None
    assert again.learned[: 4 * T + 1] == [0] * 2 * T + [1] * 2 * T + [0]
    assert again.queue.samples_per_insert == 1.0


def test_compiling_changes_nothing(learner):
    assert not learner.queue.is_compiled
    learner.queue.compile(jnp.copy(learner.state))
    assert learner.queue.is_compiled and not any(learner.learned)


def test_a_policy_that_must_be_the_newest(tmp_path):
    learner = Learner(tmp_path, dataclasses.replace(REPLAY, max_policy_lag=0))
    learner.act(4, 0)
    assert learner.learn() is not None and learner.learn() is None
    assert learner.queue.samples_per_insert == 0.5
