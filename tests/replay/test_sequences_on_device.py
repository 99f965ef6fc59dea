"""Sequences drawn where the learner computes: those that were written, by priority, and the same after a restart."""

import dataclasses

import jax
import numpy as np

from acme_agents.core.interfaces import REPLAY, LearnerCore, UpdateOutput
from acme_agents.replay import ring
from acme_agents.replay.device_replay import DeviceReplay
from acme_agents.replay.intake import RingIntake
from acme_agents.replay.memory_transport import MemoryTransport
from acme_agents.replay.writer import ChunkWriter
from tests.replay import toys

SPEC = dataclasses.replace(toys.SEQUENCES, max_size=20, drawn_by="learner")


def _sent(directory, *lengths):
    transport = MemoryTransport(toys.STEPS, SPEC, directory)
    writer = ChunkWriter(transport, toys.STEPS, SPEC.experience, writer_id=1)
    for number, length in enumerate(lengths):
        toys.write(writer, toys.episode(number, length))
    return transport


def test_a_batch_is_the_chunks_that_were_written(tmp_path):
    lengths = [3, 5, 6, 9, 14, 2, 30]
    written = _sent(tmp_path, *lengths).poll(100)
    held = ring.Ring(toys.STEPS, SPEC)
    assert held.insert(written) == len(written)
    assert held.size == 20  # The oldest have gone.
    state = held.state
    places = (int(state.oldest) + np.arange(20)) % 20
    batch = SPEC.experience.gather(state.rows, places)
    for i, chunk in enumerate(written[-20:]):
        jax.tree.map(lambda x, y, i=i: np.testing.assert_array_equal(x[i], y), batch.steps, chunk.steps)
        assert (batch.num_steps[i], batch.episode_step[i]) == (chunk.num_steps, chunk.episode_step)
        np.testing.assert_array_equal(batch.previous_action[i], chunk.previous_action)
        np.testing.assert_array_equal(batch.previous_reward[i], chunk.previous_reward)


def _core():
    """Its state is a sum of all that it saw; its priorities favour later rows."""

    def update(state, batch):
        seen = batch.steps.observation.sum((1, 2)) + batch.previous_action.sum(-1)
        return state + seen.sum(), UpdateOutput({"seen": seen.mean()}, 1.0 + batch.episode_step)

    return LearnerCore(init=lambda key: jax.numpy.float32(0), update=update, params=lambda state: state)


def _learn(transport, num_updates):
    source = RingIntake(transport, toys.STEPS, SPEC, tolerance=1e9, on_new=lambda new: None)
    replay, state = DeviceReplay(_core(), SPEC, 5, {REPLAY: source}), jax.numpy.float32(0)
    assert replay.ingest() >= num_updates
    state, metrics, done = replay.update(state, 0, num_updates)
    assert done == num_updates
    return float(state), float(metrics["seen"]), np.asarray(source.priorities.weights)


def test_the_seed_decides_every_bit_and_priorities_change(tmp_path):
    first, again = (_learn(_sent(tmp_path, *[14] * 6), 3) for _ in range(2))
    assert first[:2] == again[:2]
    np.testing.assert_array_equal(first[2], again[2])
    assert len(np.unique(first[2])) > 2
