"""Each chunk once, whatever happens to the server and to readers."""

import dataclasses
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from scipy import stats

from acme_agents.replay import tables
from tests.replay import toys


def _names(found):
    """(episode, t) of each chunk's first row."""
    return [tuple(chunk.steps.observation[0].astype(int).tolist()) for chunk in found]


def _write_episodes(replay, first, num, length=2):
    """Writes short episodes, alternating between two writers and confirming each; returns their first rows."""
    writers = [replay.writer(), replay.writer()]
    for i in range(first, first + num):
        toys.write(writers[i % 2], toys.episode(i, length))
        writers[i % 2].flush()
    for writer in writers:
        writer.close()
    return [(i, 0) for i in range(first, first + num)]


def _priorities(replay, num_samples):
    """Reverb's key and priority of chunks sampled from the durable table."""
    samples = replay.client.sample(tables.REPLAY, num_samples=num_samples, emit_timesteps=False)
    return [(sample.info.key, sample.info.priority) for sample in samples]


def test_every_chunk_comes_once_and_in_order(replay):
    writer, receiver = replay.writer(), replay.receiver()
    assert receiver.poll(10_000) == []
    found = []
    for i in range(30):
        toys.write(writer, toys.episode(i, 70))
        writer.flush()
        if i % 3 == 2:
            found += receiver.poll(10_000)
    writer.close()
    assert _names(found) == [(i, t) for i in range(30) for t in (0, 32, 64)]
    assert receiver.poll(10_000) == []
    assert receiver.save()["delivered"] == {str(found[0].writer): int(found[-1].time_ns)}


def test_a_chunk_is_read_whole(replay):
    e = toys.episode(3, 20, final_discount=1.0)
    (chunk,) = replay.cut([e])
    assert (int(chunk.num_steps), int(chunk.num_starts)) == (21, 20)
    np.testing.assert_array_equal(chunk.steps.observation[:21], e.observations)
    np.testing.assert_array_equal(chunk.steps.action[:20], e.actions)
    np.testing.assert_array_equal(chunk.steps.reward[:20], e.rewards)
    np.testing.assert_array_equal(chunk.steps.discount[:20], e.discounts)


def test_collect_returns_the_whole_durable_table_in_the_order_written_and_leaves_it_uniform():
    with toys.serve(dataclasses.replace(toys.REPLAY, max_size=20_000)) as replay:
        running = replay.receiver()
        written = []
        for i in range(0, 560, 14):  # more than are asked for at a time, and never a full stream
            written += _write_episodes(replay, i, 14)
            running.poll(10_000)
        receiver = replay.receiver()
        assert receiver.recover() == []
        assert _names(receiver.poll(3)) == written[:3]
        assert _names(receiver.poll(10_000)) == written[3:]
        keys, priorities = zip(*_priorities(replay, 5600))
        assert set(priorities) == {1.0}
        _, counts = np.unique(keys, return_counts=True)
        counts = np.append(counts, np.zeros(560 - len(counts)))
        assert stats.chisquare(counts).pvalue > 1e-6


def test_chunks_that_a_reconnected_writer_sent_in_another_order_are_put_right_and_come_once(replay):
    """Reverb sends what was not confirmed before a server's death again, in any order."""
    (early,) = replay.cut([toys.episode(1, 2)])
    late = early._replace(time_ns=early.time_ns + 1, writer=early.writer + 1)
    early = early._replace(writer=late.writer)
    with replay.client.trajectory_writer(num_keep_alive_refs=1, get_signature_timeout_ms=60_000) as writer:
        for chunk in (late, early):
            writer.append(jax.tree.leaves(chunk))
            for table in (tables.REPLAY, tables.STREAM):
                writer.create_item(table, 1.0, [column[-1:] for column in writer.history])
            writer.flush()
    receiver = replay.receiver()
    assert [int(chunk.time_ns) for chunk in receiver.poll(10_000)] == [early.time_ns, late.time_ns]
    again = replay.receiver(receiver.save())
    assert sum(int(chunk.writer) == late.writer for chunk in again.recover()) == 2
    assert not any(int(chunk.writer) == late.writer for chunk in again.poll(10_000))


@pytest.mark.parametrize("num_seen", [1, 6, 12])
def test_collect_finds_what_a_reader_that_died_had_marked(replay, num_seen):
    written = _write_episodes(replay, 0, 12)
    keys = sorted({key for key, _ in _priorities(replay, 300)})
    assert len(keys) == 12
    replay.client.mutate_priorities(tables.REPLAY, dict.fromkeys(keys[:num_seen], 0.0))
    receiver = replay.receiver()
    assert (receiver.recover(), _names(receiver.poll(10_000))) == ([], written)
    assert {priority for _, priority in _priorities(replay, 100)} == {1.0}


def test_collect_takes_a_chunk_once_that_was_sent_twice(replay):
    """As when a connection broke after the chunk had arrived and before that was confirmed."""
    (chunk,) = replay.cut([toys.episode(1, 2)])
    with replay.client.trajectory_writer(num_keep_alive_refs=1, get_signature_timeout_ms=60_000) as writer:
        writer.append(jax.tree.leaves(chunk))
        for table in (tables.REPLAY, tables.STREAM):
            writer.create_item(table, 1.0, [column[-1:] for column in writer.history])
        writer.flush()
    assert (replay.size(tables.REPLAY), replay.size(tables.STREAM)) == (2, 1)
    receiver = replay.receiver()
    assert (receiver.recover(), _names(receiver.poll(10_000)), receiver.poll(10_000)) == ([], [(1, 0)], [])


def test_collect_of_an_empty_table_is_empty(replay):
    assert replay.receiver().recover() == []


def test_collect_tells_what_was_delivered_from_what_was_not(replay):
    before = replay.receiver()
    first = _write_episodes(replay, 0, 5)
    assert len(before.poll(10_000)) == 5
    second = _write_episodes(replay, 5, 4)
    after = replay.receiver(before.save())
    assert (_names(after.recover()), _names(after.poll(10_000))) == (first, second)
    assert after.poll(10_000) == []  # The stream still had the second four.
    third = _write_episodes(replay, 9, 3)
    assert _names(after.poll(10_000)) == third


def test_a_new_reader_may_leave_the_stream_to_deliver(replay):
    """Without a collection, everything that waits in the stream is new."""
    written = _write_episodes(replay, 0, 3)
    assert _names(replay.receiver().poll(10_000)) == written


def _serve(port, directory):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.replay.serve", str(port), str(directory)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.slow
def test_a_killed_server_is_waited_for_and_nothing_comes_twice(tmp_path, caplog, repository, monkeypatch):
    monkeypatch.chdir(repository)
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    process = _serve(port, tmp_path)
    replay = toys.Replay(port)
    writer, receiver = replay.writer(), replay.receiver()
    try:
        toys.write(writer, toys.episode(1, 100))
        writer.flush()
        assert _names(receiver.poll(10_000)) == [(1, 0), (1, 32), (1, 64), (1, 96)]
        toys.write(writer, toys.episode(2, 40))
        writer.flush()
        replay.client.checkpoint()
        assert _names(receiver.poll(10_000)) == [(2, 0), (2, 32)]

        process.kill()
        process.wait()
        for _ in range(2):
            assert receiver.poll(10_000) == []
        warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert len(warnings) == 1
        assert warnings[0].startswith("The replay server is away (")

        process = _serve(port, tmp_path)
        toys.write(writer, toys.episode(3, 40))
        writer.flush()
        found, deadline = [], time.monotonic() + 60  # A connection that failed for long is tried again rarely.
        while not found and time.monotonic() < deadline:
            found = receiver.poll(10_000)
        assert _names(found) == [(3, 0), (3, 32)]
        assert replay.size(tables.STREAM) == 0  # The two of episode 2 came with the checkpoint, and were dropped.
        again = replay.receiver(receiver.save())
        assert (len(again.recover()), again.poll(10_000)) == (8, [])
    finally:
        process.kill()
        process.wait()
