"""Chunks within one process: in order, once, and again from the log after a restart."""

import dataclasses

import jax
import numpy as np
import pytest

from acme_agents.core.checkpoint import CheckpointError
from acme_agents.replay.memory_transport import MemoryTransport
from acme_agents.replay.writer import ChunkWriter
from tests.replay import toys

SPEC = dataclasses.replace(toys.REPLAY, max_size=100)


def _transport(directory, spec=SPEC, counts=None):
    transport = MemoryTransport(toys.STEPS, spec, directory)
    if counts is not None:
        transport.restore(counts)
    return transport


def _write(transport, *lengths, first=0):
    writer = ChunkWriter(transport, toys.STEPS, SPEC.experience, writer_id=1)
    for number, length in enumerate(lengths, start=first):
        toys.write(writer, toys.episode(number, length))


def _names(found):
    return [tuple(chunk.steps.observation[0].astype(int).tolist()) for chunk in found]


def test_chunks_come_once_and_in_order(tmp_path):
    transport = _transport(tmp_path)
    _write(transport, 70, 5)
    assert _names(transport.poll(2)) == [(0, 0), (0, 32)]
    _write(transport, 1, first=2)
    assert _names(transport.poll(9)) == [(0, 64), (1, 0), (2, 0)]
    assert transport.poll(9) == []


def test_a_later_process_gets_what_was_delivered_apart_from_what_was_not(tmp_path):
    transport = _transport(tmp_path)
    _write(transport, 40, 3)
    delivered = transport.poll(2)
    transport.checkpoint()
    counts = transport.save()
    _write(transport, 7, first=2)
    transport.checkpoint()  # of a learner that then dies before its own
    again = _transport(tmp_path, counts=counts)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["00000000.npz"]  # The second is undone.
    for found, chunk in zip(again.recover(), delivered, strict=True):
        jax.tree.map(np.testing.assert_array_equal, found, chunk)
    assert _names(again.poll(9)) == [(1, 0)]
    _write(again, 9, first=5)
    assert _names(again.poll(9)) == [(5, 0)]
    again.checkpoint()
    third = _transport(tmp_path, counts=again.save())
    assert _names(third.recover()) == [(0, 0), (0, 32), (1, 0), (5, 0)]


def test_a_checkpoint_costs_what_is_new_and_the_log_keeps_what_replay_holds_for_the_newest_two(tmp_path):
    """Room for 100 transitions; each checkpoint brings 30, so the newest four files hold enough."""
    transport, sizes = _transport(tmp_path), []
    saved = []
    for number in range(8):
        _write(transport, 30, first=number)
        transport.poll(9)
        transport.checkpoint()
        saved.append(transport.save())
        sizes.append((tmp_path / f"{number:08d}.npz").stat().st_size)
    assert max(sizes) < 1.2 * min(sizes)
    newest = _transport(tmp_path, counts=saved[7])
    assert _names(newest.recover()) == [(n, 0) for n in range(4, 8)]
    assert [path.stem for path in sorted(tmp_path.iterdir())] == [f"{n:08d}" for n in range(3, 8)]
    before = _transport(tmp_path, counts=saved[6])
    assert _names(before.recover()) == [(n, 0) for n in range(3, 7)]


def test_without_anything_new_nothing_is_written(tmp_path):
    transport = _transport(tmp_path / "log")
    transport.checkpoint()
    assert not (tmp_path / "log").exists()
    assert _transport(tmp_path / "log", counts=transport.save()).recover() == []


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "cannot be read .* the newest checkpoint, which is"),
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: np.savez(path, **{f"{i}": np.zeros(3) for i in range(20)}), "is of another agent, environment"),
    ],
)
def test_a_log_that_cannot_be_read_is_one_sentence(tmp_path, spoil, sentence):
    transport = _transport(tmp_path)
    _write(transport, 40)
    transport.checkpoint()
    spoil(tmp_path / "00000000.npz")
    with pytest.raises(CheckpointError, match=sentence):
        _transport(tmp_path, counts=transport.save()).recover()


def test_a_full_disk_is_one_sentence_and_the_chunks_are_in_the_next_checkpoint(tmp_path, monkeypatch):
    transport = _transport(tmp_path)
    _write(transport, 3)
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", lambda file: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(CheckpointError, match=r"No space left on device; the newest checkpoint is intact: free"):
            transport.checkpoint()
    assert not list(tmp_path.iterdir())
    _write(transport, 4, first=1)
    transport.checkpoint()
    assert _names(_transport(tmp_path, counts={**transport.save(), "waiting": 0}).recover()) == [(0, 0), (1, 0)]


def test_a_replay_server_takes_over_the_log_of_one_process(tmp_path):
    transport = _transport(tmp_path / "chunks")
    _write(transport, 40, 3, 5)
    transport.poll(3)
    transport.checkpoint()
    with toys.serve(toys.REPLAY) as replay:
        replay.directory = tmp_path
        receiver = replay.receiver(transport.save())
        assert _names(receiver.recover()) == [(0, 0), (0, 32), (1, 0)]
        assert _names(receiver.poll(9)) == [(2, 0)]
        writer = replay.writer()
        toys.write(writer, toys.episode(9, 2))
        writer.flush()
        assert _names(receiver.poll(9)) == [(9, 0)]
        again = replay.receiver(receiver.save())
        assert _names(again.recover()) == [(0, 0), (0, 32), (1, 0), (2, 0), (9, 0)]
        assert again.poll(9) == []
