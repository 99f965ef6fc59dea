"""The loop: one step at a time, and the sums of probes whose returns are known."""

import acme
import numpy as np
import pytest

from acme_agents import environments
from acme_agents.runtime.loop import EnvironmentLoop, Episode


class Recorder(acme.core.Actor):
    """Does the same action always, and notes what it is told."""

    def __init__(self, action):
        self.action, self.calls = action, []

    def select_action(self, observation):
        self.calls.append(("select_action", observation))
        return self.action

    def observe_first(self, timestep):
        self.calls.append(("observe_first", timestep))

    def observe(self, action, next_timestep):
        self.calls.append(("observe", next_timestep))

    def update(self, wait=False):
        self.calls.append(("update", None))


def _loop(name):
    environment = environments.make(f"probe:{name}", 0)
    actor = Recorder(np.zeros(environment.action_spec().shape, environment.action_spec().dtype))
    return EnvironmentLoop(environment, actor), actor


@pytest.mark.parametrize(
    ("name", "expected"),
    [("constant", (1.0, 1)), ("delayed", (1.0, 5)), ("truncation", (5.0, 5)), ("sign", (0.75, 1))],
)
def test_episodes_have_the_return_and_length_of_the_probe(name, expected):
    loop, _ = _loop(name)
    assert [loop.run_episode() for _ in range(3)] == [Episode(*expected)] * 3


def test_a_vector_of_rewards_has_a_return_for_each_and_the_first_is_the_episodes():
    environment = environments.make("energy:probe:reach", seed=0)
    loop = EnvironmentLoop(environment, Recorder(np.array([0.5, 0.1], np.float32)))
    plain = EnvironmentLoop(environments.make("probe:reach", seed=0), Recorder(np.array([0.5, 0.1], np.float32)))
    for _ in range(2):  # The second does not go on from the sums of the first.
        episode, expected = loop.run_episode(), plain.run_episode()
        assert episode[:2] == expected[:2] and expected.other_returns == ()
        assert episode.other_returns == pytest.approx((-50 * 0.13,), rel=1e-6)
        assert [type(number) for number in (episode.episode_return, *episode.other_returns)] == [float, float]


def test_only_the_step_that_ends_an_episode_returns_it():
    loop, _ = _loop("termination")
    found = [loop.step() for _ in range(12)]
    end = Episode(5.0, 5)
    assert found == [None, None, None, None, end, None, None, None, None, end, None, None]


def test_the_actor_sees_every_time_step_once_and_acts_on_the_newest():
    loop, actor = _loop("delayed")
    for _ in range(6):
        loop.step()
    assert [name for name, _ in actor.calls] == [
        "observe_first", *["select_action", "observe", "update"] * 5,
        "observe_first", "select_action", "observe", "update",
    ]  # fmt: skip
    acted_on = [int(np.argmax(value)) for name, value in actor.calls if name == "select_action"]
    assert acted_on == [0, 1, 2, 3, 4, 0]
    firsts = [value for name, value in actor.calls if name == "observe_first"]
    assert all(timestep.first() for timestep in firsts)
    seen = [value for name, value in actor.calls if name == "observe"]
    assert [bool(timestep.last()) for timestep in seen] == [False] * 4 + [True, False]


def test_run_episode_finishes_the_one_that_is_under_way():
    loop, _ = _loop("truncation")
    loop.step()
    loop.step()
    assert loop.run_episode() == Episode(5.0, 5)
