"""`delayed:MILLISECONDS:NAME` takes its time, and changes nothing else."""

import time
import types

import numpy as np
import pytest

from acme_agents import environments
from acme_agents.environments import delayed


@pytest.fixture
def clock(monkeypatch):
    """A clock that only sleeping moves, and `now`."""
    clock = types.SimpleNamespace(now=0.0, slept=[])

    def sleep(seconds):
        clock.slept.append(seconds)
        clock.now += seconds

    monkeypatch.setattr(delayed, "time", types.SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    return clock


def test_only_the_time_differs(clock):
    plain, slow = environments.make("probe:reach", seed=3), environments.make("delayed:5:probe:reach", seed=3)
    assert environments.spec(slow) == environments.spec(plain)
    expected, timestep = plain.reset(), slow.reset()
    assert clock.slept == []
    action = np.full(plain.action_spec().shape, 0.3, np.float32)
    while not expected.last():
        expected, timestep = plain.step(action), slow.step(action)
        np.testing.assert_array_equal(timestep.observation, expected.observation)
        assert (timestep.step_type, timestep.reward, timestep.discount) == (
            expected.step_type,
            expected.reward,
            expected.discount,
        )
    assert clock.now == pytest.approx(0.005 * len(clock.slept)) and len(clock.slept) > 1


def test_what_the_environment_takes_itself_is_not_added(clock):
    env = environments.make("probe:reach", seed=0)

    class Slow:
        def step(self, action):
            clock.now += 0.003
            return env.step(action)

        def __getattr__(self, name):
            return getattr(env, name)

    slow = delayed.Delayed(Slow(), 0.005)
    slow.reset()
    slow.step(np.zeros(env.action_spec().shape, np.float32))
    assert clock.slept == [pytest.approx(0.002)]
    faster = delayed.Delayed(Slow(), 0.001)
    faster.reset()
    faster.step(np.zeros(env.action_spec().shape, np.float32))
    assert clock.slept[1] == 0  # Never less than none.


def test_the_real_clock():
    env = environments.make("delayed:20:probe:reach", seed=0)
    env.reset()
    began = time.monotonic()
    env.step(np.zeros(env.action_spec().shape, np.float32))
    assert time.monotonic() - began >= 0.02


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("delayed:-1:probe:reach", "delayed:MILLISECONDS:NAME with milliseconds of at least 0, and '-1' is none."),
        ("delayed:inf:probe:reach", "of at least 0, and 'inf' is none."),
        ("delayed:probe:reach", "of at least 0, and 'probe' is none."),
        ("delayed:2:probe:reech", "that is an unknown environment 'probe:reech': there is no probe 'reech', did you "),
    ],
)
def test_a_wrong_name_is_told_in_one_sentence(name, sentence):
    with pytest.raises(ValueError) as raised:
        environments.make(name, seed=0)
    message = str(raised.value)
    assert message.startswith(f"Unknown environment {name!r}: ") and sentence in message and "\n" not in message
