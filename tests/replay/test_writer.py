"""Trajectory in, chunks out, through a real server."""

import dataclasses
import itertools
import socket
import threading
import time

import dm_env
import numpy as np
import pytest
import reverb

from acme_agents.core.experience import Sequences, Transitions
from acme_agents.core.types import ArraySpec
from acme_agents.replay import tables
from tests.replay import toys

NUMBER = 7  # of the episode written


def _rows(chunk):
    """The (episode, t) of a chunk's rows, its padding left out."""
    return chunk.steps.observation[: chunk.num_steps].astype(int).tolist()


def _numbered(first, end):
    return [[NUMBER, t] for t in range(first, end)]


def test_a_long_episode_is_cut_every_32_steps_and_neighbours_share_n_rows(replay):
    e = toys.episode(NUMBER, 100, final_discount=1.0)
    found = replay.cut([e])
    assert [_rows(chunk) for chunk in found] == [
        _numbered(0, 35), _numbered(32, 67), _numbered(64, 99), _numbered(96, 101)
    ]  # fmt: skip
    assert [int(chunk.num_starts) for chunk in found] == [32, 32, 32, 4]
    assert len({int(chunk.writer) for chunk in found}) == 1
    assert np.all(np.diff([int(chunk.time_ns) for chunk in found]) > 0)
    np.testing.assert_array_equal(found[1].steps.action, e.actions[32:67])
    np.testing.assert_array_equal(found[1].steps.reward, e.rewards[32:67])
    np.testing.assert_array_equal(found[1].steps.discount, e.discounts[32:67])
    assert not any(found[i].steps.last[: found[i].num_steps].any() for i in range(3))
    assert replay.size(tables.REPLAY) == 4


def test_an_episode_shorter_than_n_is_one_chunk(replay):
    e = toys.episode(NUMBER, 2)
    (chunk,) = replay.cut([e])
    assert (_rows(chunk), chunk.num_starts) == (_numbered(0, 3), 2)
    assert chunk.steps.last[:3].tolist() == [False, False, True]


@pytest.mark.parametrize("discount", [0.0, 1.0])
def test_the_last_step_keeps_its_discount_and_the_final_observation_has_an_empty_row(replay, discount):
    e = toys.episode(NUMBER, 40, final_discount=discount)
    _, chunk = replay.cut([e])
    assert (_rows(chunk), chunk.num_starts) == (_numbered(32, 41), 8)
    assert chunk.steps.discount[7] == discount
    assert chunk.steps.reward[7] == e.rewards[39]
    assert (chunk.steps.last[7], chunk.steps.last[8]) == (False, True)
    assert (chunk.steps.action[8], chunk.steps.reward[8], chunk.steps.discount[8]) == (0, 0, 0)


@pytest.mark.parametrize("n", [1, 3, 40])
def test_every_step_begins_one_transition_and_its_window_is_whole_for_every_length(n):
    with toys.serve(dataclasses.replace(toys.REPLAY, experience=Transitions(n, 0.9))) as replay:
        writer, receiver = replay.writer(), replay.receiver()
        for length in range(1, 81):
            toys.write(writer, toys.episode(length, length))
            writer.flush()
            starts = []
            for chunk in receiver.poll(10_000):
                rows = chunk.steps.observation[: chunk.num_steps, 1]
                assert set(chunk.steps.observation[: chunk.num_steps, 0]) == {length}
                assert rows[0] % toys.REPLAY.experience.items_per_chunk == 0
                np.testing.assert_array_equal(rows, np.arange(rows[0], rows[0] + len(rows)))
                np.testing.assert_array_equal(chunk.steps.last[: chunk.num_steps], rows == length)
                for start in rows[: chunk.num_starts]:
                    starts.append(start)
                    assert min(start + n, length) in rows
            assert starts == list(range(length))
        writer.close()


def test_extras_are_stored_beside_their_step_and_zero_beside_the_final_observation():
    steps = toys.STEPS._replace(extras={"log_prob": ArraySpec(()), "state": (ArraySpec((2,), "int32"),)})
    with toys.serve(steps=steps) as replay:
        writer, receiver = replay.writer(), replay.receiver()
        e = toys.episode(NUMBER, 3)
        writer.observe_first(dm_env.restart(e.observations[0]))
        for t in range(3):
            make = dm_env.termination if t == 2 else dm_env.transition
            extras = {"log_prob": np.float32(-t), "state": (np.array([t, t + 1], np.int32),)}
            writer.observe(e.actions[t], make(e.rewards[t], observation=e.observations[t + 1]), extras)
        writer.flush()
        (chunk,) = receiver.poll(10_000)
        writer.close()
    assert chunk.steps.extras["log_prob"][:4].tolist() == [0, -1, -2, 0]
    assert chunk.steps.extras["state"][0][:4].tolist() == [[0, 1], [1, 2], [2, 3], [0, 0]]


def test_observations_may_be_nested():
    steps = toys.STEPS._replace(observation={"noise": ArraySpec((3,)), "state": {"picture": ArraySpec((2,), "uint8")}})
    first, second = (
        {"noise": np.full(3, t, np.float32), "state": {"picture": np.full(2, t, np.uint8)}} for t in (1, 2)
    )
    with toys.serve(steps=steps) as replay:
        writer, receiver = replay.writer(), replay.receiver()
        writer.observe_first(dm_env.restart(first))
        writer.observe(np.zeros(1, np.float32), dm_env.termination(np.float32(1), second))
        writer.flush()
        (chunk,) = receiver.poll(10_000)
        writer.close()
    assert chunk.steps.observation["noise"][:2].tolist() == [[1, 1, 1], [2, 2, 2]]
    assert chunk.steps.observation["state"]["picture"].dtype == np.uint8
    assert chunk.steps.observation["state"]["picture"][:2].tolist() == [[1, 1], [2, 2]]


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        (np.zeros(2), r"^an observation is float64 \[2\], and the environment's spec says float32 \[2\]: make "),
        (np.zeros(3, np.float32), r"^an observation is float32 \[3\], and the environment's spec says float32 \[2\]"),
        ({"a": np.zeros(2, np.float32)}, r"^the observation's structure is .*'a'.*, and the environment's spec says "),
    ],
)
def test_an_observation_unlike_its_spec_is_refused(replay, observation, message):
    writer = replay.writer()
    with pytest.raises(ValueError, match=message):
        writer.observe_first(dm_env.restart(observation))
    writer.close()


def test_what_an_unfinished_episode_had_not_written_is_dropped(replay):
    writer, receiver = replay.writer(), replay.receiver()
    toys.write(writer, toys.episode(1, 90), num_steps=50)  # 35 rows went out as a chunk of 32 transitions.
    toys.write(writer, toys.episode(NUMBER, 2))
    writer.flush()
    first, second = receiver.poll(10_000)
    writer.close()
    assert (first.steps.observation[:35, 0].tolist(), first.num_starts) == ([1] * 35, 32)
    assert (_rows(second), second.num_starts) == (_numbered(0, 3), 2)


def _write_in_thread(writer, num_chunks):
    """A thread that writes one episode of so many full chunks."""
    length = num_chunks * toys.REPLAY.experience.items_per_chunk
    thread = threading.Thread(target=toys.write, args=(writer, toys.episode(NUMBER, length)), daemon=True)
    thread.start()
    return thread


def _wait_until_blocked(replay, thread):
    deadline = time.monotonic() + 20
    while replay.size(tables.STREAM) < 16:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    thread.join(1.2)  # Longer than the writer goes without looking at its stop event, twice.
    assert thread.is_alive()


def test_a_full_stream_holds_the_writer_until_it_is_read(replay):
    writer, receiver = replay.writer(), replay.receiver()
    thread = _write_in_thread(writer, 60)
    _wait_until_blocked(replay, thread)
    assert replay.size(tables.STREAM) == 16
    assert writer.num_chunks <= 16 + 4 + 1  # four that need not be confirmed, and the one that waits
    found = []
    deadline = time.monotonic() + 20
    while len(found) < 60 and time.monotonic() < deadline:
        found += receiver.poll(10_000)
    thread.join(5)
    assert not thread.is_alive()
    writer.close()
    assert [chunk.steps.observation[0, 1] for chunk in found] == list(range(0, 60 * 32, 32))


def test_a_held_writer_returns_when_it_is_to_stop(replay):
    stop = threading.Event()
    writer = replay.writer(stop=stop)
    thread = _write_in_thread(writer, 60)
    _wait_until_blocked(replay, thread)
    stop.set()
    began = time.monotonic()
    thread.join(60)
    assert not thread.is_alive()
    writer.flush()
    writer.close()
    assert time.monotonic() - began < 60


# --- Sequences: a chunk is one.


def _sequences(length, period):
    return dataclasses.replace(toys.SEQUENCES, experience=Sequences(length, period))


def test_sequences_overlap_and_the_last_is_padded_with_zeros():
    with toys.serve(_sequences(6, 3)) as replay:
        e = toys.episode(NUMBER, 10, final_discount=1.0)
        found = replay.cut([e])
        assert replay.size(tables.REPLAY) == 3
    assert [_rows(chunk) for chunk in found] == [_numbered(0, 6), _numbered(3, 9), _numbered(6, 11)]
    assert [int(chunk.episode_step) for chunk in found] == [0, 3, 6]
    assert [int(chunk.num_starts) for chunk in found] == [3, 3, 4]
    final = found[2].steps
    assert final.last.tolist() == [False] * 4 + [True, False]
    assert (final.discount[3], final.discount[4]) == (1, 0)
    assert all(np.all(leaf[5] == 0) for leaf in (final.observation, final.action, final.reward, final.discount))


def test_a_sequence_knows_what_led_to_its_first_row():
    with toys.serve(_sequences(6, 3)) as replay:
        e = toys.episode(NUMBER, 10)
        first, second, third = replay.cut([e, toys.episode(8, 2)])[:3]
        (other,) = replay.cut([toys.episode(9, 2)])
    for chunk in (first, other):  # which begin an episode
        assert (chunk.previous_action, chunk.previous_reward) == ([0], 0)
    for chunk, t in ((second, 3), (third, 6)):
        assert (chunk.previous_action, chunk.previous_reward) == (e.actions[t - 1], e.rewards[t - 1])


@pytest.mark.parametrize(("length", "period"), [(6, 3), (5, 4), (21, 10), (2, 1)])
def test_every_step_is_in_a_sequence_with_the_one_that_it_leads_to_for_every_length(length, period):
    with toys.serve(_sequences(length, period)) as replay:
        writer, receiver = replay.writer(), replay.receiver()
        for steps in range(1, min(40, 15 * period)):  # The stream holds sixteen, and nobody reads meanwhile.
            toys.write(writer, toys.episode(steps, steps))
            writer.flush()
            pairs, firsts = set(), []
            for chunk in receiver.poll(10_000):
                rows = chunk.steps.observation[: chunk.num_steps, 1].astype(int).tolist()
                assert set(chunk.steps.observation[: chunk.num_steps, 0]) == {steps}  # never of two episodes
                assert rows == list(range(rows[0], rows[0] + len(rows)))
                assert rows[0] == chunk.episode_step
                firsts.append(rows[0])
                pairs |= set(itertools.pairwise(rows))
            assert pairs == {(t, t + 1) for t in range(steps)}
            assert firsts == list(range(0, len(firsts) * period, period))
            assert (
                not {(t, t + 1) for t in range(steps)}
                <= {  # and the last one is needed
                    (t, t + 1) for first in firsts[:-1] for t in range(first, first + length - 1)
                }
            )
        writer.close()


def test_a_server_that_starts_late_is_waited_for():
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    replay = toys.Replay(port)
    writer = replay.writer()
    writing = threading.Thread(target=toys.write, args=(writer, toys.episode(NUMBER, 100)))
    writing.start()
    writing.join(timeout=4.0)  # longer than Reverb itself would wait for the server
    assert writing.is_alive() and writer.num_chunks == 0
    server = reverb.Server(tables.make_tables(toys.REPLAY), port=port)
    try:
        writing.join(timeout=120.0)
        assert not writing.is_alive()
        writer.flush()
        assert (writer.num_chunks, replay.size(tables.REPLAY), replay.size(tables.STREAM)) == (4, 4, 4)
    finally:
        writer.close()
        server.stop()


def test_without_a_server_a_writer_stops_when_it_is_told_to():
    with socket.socket() as free:
        free.bind(("", 0))
        replay = toys.Replay(free.getsockname()[1])
    stop = threading.Event()
    writer = replay.writer(stop=stop)
    writing = threading.Thread(target=toys.write, args=(writer, toys.episode(NUMBER, 100)))
    writing.start()
    stop.set()
    writing.join(timeout=60.0)
    assert not writing.is_alive()
    writer.flush()
    writer.close()
