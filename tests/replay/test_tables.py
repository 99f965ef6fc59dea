"""The server's tables: how much they keep, how often they give it, and that a checkpoint has both."""

import jax
import numpy as np

from acme_agents.replay import sizes, tables
from tests.replay import toys


def test_the_durable_table_drops_the_oldest_chunks_and_the_stream_gives_each_once(replay):
    num_chunks = sizes.num_chunks(toys.REPLAY)
    assert num_chunks == 39 + 16 + 1
    found = replay.cut([toys.episode(i, 2) for i in range(num_chunks + 5)])
    assert [chunk.steps.observation[0, 0] for chunk in found] == list(range(num_chunks + 5))
    assert (replay.size(tables.REPLAY), replay.size(tables.STREAM)) == (num_chunks, 0)
    stream = replay.stream()
    assert stream.collect() == []
    assert [chunk.steps.observation[0, 0] for chunk in stream.poll()] == list(range(5, num_chunks + 5))


def test_a_server_comes_back_with_both_tables(tmp_path):
    directory = tmp_path / "replay"
    with toys.serve(checkpointer=tables.make_checkpointer(directory)) as replay:
        writer, stream = replay.writer(), replay.stream()
        toys.write(writer, toys.episode(1, 60))
        writer.flush()
        before = stream.poll()
        toys.write(writer, toys.episode(2, 60))
        writer.flush()
        replay.client.checkpoint()
        toys.write(writer, toys.episode(3, 60))  # after the checkpoint: lost
        writer.flush()
        writer.close()
    with toys.serve(checkpointer=tables.make_checkpointer(directory)) as replay:
        assert (replay.size(tables.REPLAY), replay.size(tables.STREAM)) == (4, 2)
        after = replay.stream(stream.delivered())
        waiting = after.poll()
        known, unknown = after.collect(), after.poll()
    assert [chunk.steps.observation[0].tolist() for chunk in waiting] == [[2, 0], [2, 32]]
    assert unknown == []
    for chunk, restored in zip([*before, *waiting], known, strict=True):
        jax.tree.map(np.testing.assert_array_equal, restored, chunk)


def test_only_the_newest_checkpoint_is_kept(tmp_path):
    with toys.serve(checkpointer=tables.make_checkpointer(tmp_path)) as replay:
        replay.cut([toys.episode(0, 5)])
        for _ in range(3):
            replay.client.checkpoint()
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1
