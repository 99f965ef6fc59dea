"""Snapshots: numbered, made once, and sent only to whom they are new."""

import threading

import jax.numpy as jnp
import numpy as np

from acme_agents.runtime import variables


def test_nothing_is_published_at_first():
    publisher = variables.Publisher()
    assert publisher.newer_than(None) is None
    assert publisher.newer_than(0) is None


def test_a_snapshot_is_serialised_once_for_all_and_goes_only_to_those_who_lack_it():
    publisher = variables.Publisher()
    publisher.publish(0, {"w": jnp.arange(3.0)})
    first, second = publisher.newer_than(None), publisher.newer_than(None)
    assert first.version == 0
    assert first.payload is second.payload
    assert publisher.newer_than(0) is None
    publisher.publish(32, {"w": jnp.zeros(3)})
    assert publisher.newer_than(0).version == 32
    assert publisher.newer_than(32) is None


def test_who_holds_a_later_version_gets_the_one_there_is():
    """As after a resume from an older checkpoint."""
    publisher = variables.Publisher()
    publisher.publish(20, {})
    assert publisher.newer_than(64).version == 20


def test_parameters_come_back_as_numpy_arrays_bit_for_bit_and_are_not_those_published():
    publisher = variables.Publisher()
    params = {"mlp": [np.array([1e-45, np.nan, -0.0], np.float32)], "steps": jnp.int32(7)}
    publisher.publish(1, params)
    params["mlp"][0][:] = 5
    unpacked = variables.unpack(publisher.newer_than(None))
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
        snapshot = publisher.newer_than(None)
        np.testing.assert_array_equal(variables.unpack(snapshot), snapshot.version)
        assert snapshot.version >= last
        last = snapshot.version
    thread.join()
    assert publisher.newer_than(None).version == 299
