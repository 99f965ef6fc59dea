"""Snapshots: numbered, made once, and sent only to whom they are new."""

import threading
import types

import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.runtime import variables


def test_nothing_is_published_at_first():
    publisher = variables.Publisher()
    assert publisher.newest() == () and publisher.newest(but=0) == ()


def test_a_snapshot_is_serialised_once_for_all_and_goes_only_to_those_who_lack_it():
    publisher = variables.Publisher()
    publisher.publish(0, {"w": jnp.arange(3.0)})
    (first,), (second,) = publisher.newest(), publisher.newest()
    assert first.version == 0
    assert first.payload is second.payload
    assert publisher.newest(but=0) == ()
    publisher.publish(32, {"w": jnp.zeros(3)})
    assert [each.version for each in publisher.newest(but=0)] == [32]
    assert publisher.newest(but=32) == ()


def test_who_holds_a_later_version_gets_the_one_there_is():
    """As after a resume from an older checkpoint."""
    publisher = variables.Publisher()
    publisher.publish(20, {})
    assert [each.version for each in publisher.newest(but=64)] == [20]


def test_parameters_come_back_as_numpy_arrays_bit_for_bit_and_are_not_those_published():
    publisher = variables.Publisher()
    params = {"mlp": [np.array([1e-45, np.nan, -0.0], np.float32)], "steps": jnp.int32(7)}
    publisher.publish(1, params)
    params["mlp"][0][:] = 5
    unpacked = variables.unpack(*publisher.newest())
    assert isinstance(unpacked["steps"], np.ndarray)
    assert unpacked["steps"].dtype == np.int32
    assert unpacked["mlp"][0].tobytes() == np.array([1e-45, np.nan, -0.0], np.float32).tobytes()


def test_whoever_asks_while_snapshots_are_published_gets_a_whole_one():
    publisher = variables.Publisher()
    publisher.publish(0, np.zeros(1000))
    done = threading.Event()

    def publish():
        for version in range(1, 300):
            publisher.publish(version, np.full(1000, version))
        done.set()

    thread = threading.Thread(target=publish)
    thread.start()
    last = 0
    while not done.is_set():
        (snapshot,) = publisher.newest()
        np.testing.assert_array_equal(variables.unpack(snapshot), snapshot.version)
        assert snapshot.version >= last
        last = snapshot.version
    thread.join()
    assert publisher.newest()[0].version == 299


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until it is set."""
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(variables.time, "monotonic", lambda: clock.now)
    return clock


def _poll(publisher, clock, num_actors, seconds):
    """Has actors ask every half second, the learner publishing before each question; returns when each was handed
    something: a list of times for each."""
    versions, handed = [None] * num_actors, [[] for _ in range(num_actors)]
    for tick in range(int(10 * seconds)):
        clock.now = tick / 10
        for i in range(tick % 5, num_actors, 5):
            publisher.publish(publisher.newest()[0].version + 1, np.zeros(250_000, np.float32))  # 1 MB
            for snapshot in publisher.take_turn(f"actor/{i}", versions[i]):
                versions[i] = snapshot.version
                handed[i].append(clock.now)
    return handed


def test_small_networks_and_few_actors_notice_nothing_of_the_bound(clock):
    publisher = variables.Publisher(8, bytes_per_second=20e6)
    publisher.publish(0, {})
    handed = _poll(publisher, clock, 8, seconds=5)
    assert {len(times) for times in handed} <= {9, 10}  # All but the second question, whose turn is drawn then.


def test_what_all_actors_are_handed_together_is_bounded_and_each_has_its_turn(clock):
    publisher = variables.Publisher(100, bytes_per_second=10e6)
    publisher.publish(0, {})
    handed = _poll(publisher, clock, 100, seconds=100)
    assert all(times[0] < 0.5 for times in handed)  # the first parameters, at once
    later = sorted(time for times in handed for time in times[1:])
    assert len(later) == pytest.approx(10 * 100, rel=0.1)  # 1 MB each, 10 MB/s
    assert {len(times) - 1 for times in handed} <= {9, 10}  # 100 actors * 1 MB / 10 MB/s = a turn every 10 s
    assert np.histogram(later, bins=90, range=(10, 100))[0].max() <= 15  # The turns are spread.


def test_parameters_come_at_once_to_who_has_none_whosever_turn_it_is(clock):
    publisher = variables.Publisher(1000, bytes_per_second=1.0)
    publisher.publish(7, {})
    for _ in range(3):
        assert publisher.take_turn("actor/3", None)[0].version == 7
        assert publisher.take_turn("actor/3", 6) == ()


def test_a_turn_that_was_missed_does_not_come_twice(clock):
    publisher = variables.Publisher(1, bytes_per_second=1.0)
    publisher.publish(1, {})
    period = len(publisher.newest()[0].payload)
    publisher.take_turn("actor/0", None)  # Its turns begin at 0.618 periods.
    clock.now = 3.5 * period
    assert publisher.take_turn("actor/0", 0)[0].version == 1
    clock.now = 3.6 * period
    assert publisher.take_turn("actor/0", 0) == ()
    clock.now = 3.7 * period
    assert publisher.take_turn("actor/0", 0)[0].version == 1


def test_a_snapshot_that_nobody_could_fetch_yet_is_not_made(clock):
    publisher, unbounded = variables.Publisher(8, bytes_per_second=1e6), variables.Publisher()
    for each in (publisher, unbounded):
        assert each.is_due()
        each.publish(0, np.zeros(250_000, np.float32))
    assert unbounded.is_due()
    clock.now = 0.9  # 1 MB lasts 1 s.
    assert not publisher.is_due()
    clock.now = 1.1
    assert publisher.is_due()
