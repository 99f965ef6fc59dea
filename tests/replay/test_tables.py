"""The server's tables: how much they keep, how often they give it, and that a checkpoint has both."""

import jax
import numpy as np
import pytest

from acme_agents.replay import sizes, tables
from tests.replay import toys


def test_the_durable_table_drops_the_oldest_chunks_and_the_stream_gives_each_once(replay):
    num_chunks = sizes.num_chunks(toys.REPLAY)
    assert num_chunks == 39 + 16 + 1
    found = replay.cut([toys.episode(i, 2) for i in range(num_chunks + 5)])
    assert [chunk.steps.observation[0, 0] for chunk in found] == list(range(num_chunks + 5))
    assert (replay.size(tables.REPLAY), replay.size(tables.STREAM)) == (num_chunks, 0)
    receiver = replay.receiver()
    assert receiver.recover() == []
    assert [chunk.steps.observation[0, 0] for chunk in receiver.poll(10_000)] == list(range(5, num_chunks + 5))


def test_a_server_comes_back_with_both_tables(tmp_path):
    directory = tmp_path / "replay"
    with toys.serve(directory=directory) as replay:
        writer, receiver = replay.writer(), replay.receiver()
        toys.write(writer, toys.episode(1, 60))
        writer.flush()
        before = receiver.poll(10_000)
        toys.write(writer, toys.episode(2, 60))
        writer.flush()
        replay.client.checkpoint()
        toys.write(writer, toys.episode(3, 60))  # after the checkpoint: lost
        writer.flush()
        writer.close()
    with toys.serve(directory=directory) as replay:
        assert (replay.size(tables.REPLAY), replay.size(tables.STREAM)) == (4, 2)
        after = replay.receiver(receiver.save())
        waiting = after.poll(10_000)
        known, unknown = after.recover(), after.poll(10_000)
    assert [chunk.steps.observation[0].tolist() for chunk in waiting] == [[2, 0], [2, 32]]
    assert unknown == []
    for chunk, restored in zip([*before, *waiting], known, strict=True):
        jax.tree.map(np.testing.assert_array_equal, restored, chunk)


def _checkpoints(directory):
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def _three_checkpoints(directory):
    """Of one, two and three episodes; the names of those that were kept, the newest last."""
    with toys.serve(directory=directory) as replay:
        for i in range(3):
            replay.cut([toys.episode(i, 5)])
            tables.keep_newest(directory)
            replay.client.checkpoint()
    (newest,), (before,) = _checkpoints(directory), _checkpoints(_before(directory))
    return before, newest


def _before(directory):
    return directory.with_name("replay-before")


def test_the_newest_checkpoint_and_the_one_before_it_are_kept(tmp_path):
    before, newest = _three_checkpoints(tmp_path / "replay")
    assert before < newest
    with toys.serve(directory=tmp_path / "replay") as replay:
        assert replay.size(tables.REPLAY) == 3


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-20])


def _flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["chunks.tfrecord", "tables.tfrecord"])
@pytest.mark.parametrize("damage", [_truncate, _flip_a_bit, lambda path: path.write_bytes(b"")])
def test_a_damaged_checkpoint_is_set_aside_for_the_one_before_it(tmp_path, caplog, name, damage):
    directory = tmp_path / "replay"
    before, newest = _three_checkpoints(directory)
    damage(directory / newest / name)
    with toys.serve(directory=directory) as replay:
        assert replay.size(tables.REPLAY) == 2
    assert (_checkpoints(directory), _checkpoints(tmp_path / "replay-damaged")) == ([before], [newest])
    (warning,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert f"{newest} is damaged" in warning and "restoring the one before it" in warning


def test_without_a_whole_checkpoint_a_server_starts_empty(tmp_path, caplog):
    directory = tmp_path / "replay"
    before, newest = _three_checkpoints(directory)
    for path in (directory / newest, _before(directory) / before):
        _truncate(path / "chunks.tfrecord")
    with toys.serve(directory=directory) as replay:
        assert replay.size(tables.REPLAY) == 0
        replay.cut([toys.episode(0, 5)])
        tables.keep_newest(directory)
        replay.client.checkpoint()
    assert _checkpoints(tmp_path / "replay-damaged") == [before, newest]
    assert "restoring nothing" in caplog.text


def test_a_checkpoint_that_was_not_completed_is_none(tmp_path):
    directory = tmp_path / "replay"
    _, newest = _three_checkpoints(directory)
    (directory / newest / "DONE").unlink()
    with toys.serve(directory=directory) as replay:
        assert replay.size(tables.REPLAY) == 2
