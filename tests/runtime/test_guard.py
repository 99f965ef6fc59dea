"""Nothing that is not finite passes between a policy and an environment, and whose a failure is, is said."""

import collections

import dm_env
import numpy as np
import pytest

from acme_agents.core import errors
from acme_agents.runtime.guard import Guard
from acme_agents.runtime.loop import EnvironmentLoop

SPEC = {"place": dm_env.specs.Array((3,), np.float32), "camera": [dm_env.specs.Array((2, 2), np.uint8)]}


def _observation(**kwargs):
    return {"place": np.zeros(3, np.float32), "camera": [np.zeros((2, 2), np.uint8)]} | kwargs


class Scripted(dm_env.Environment):
    """Returns what it is told to, or raises it; it keeps the actions that it is given."""

    def __init__(self, rewards=(), observations=(), discounts=(), reward_shape=()):
        self.rewards, self.observations, self.discounts = map(collections.deque, (rewards, observations, discounts))
        self.reward_shape, self.actions = reward_shape, []

    def _next(self, values, default):
        value = values.popleft() if values else default
        if isinstance(value, Exception):
            raise value
        return value

    def reset(self):
        return dm_env.restart(self._next(self.observations, _observation()))

    def step(self, action):
        self.actions.append(action)
        reward = self._next(self.rewards, np.ones(self.reward_shape, np.float32)[()])
        discount = self._next(self.discounts, np.float32(1))
        return dm_env.TimeStep(dm_env.StepType.MID, reward, discount, self._next(self.observations, _observation()))

    def observation_spec(self):
        return SPEC

    def action_spec(self):
        return dm_env.specs.BoundedArray((2,), np.float32, -1, 1)

    def reward_spec(self):
        return dm_env.specs.Array(self.reward_shape, np.float32)


ACTION = np.zeros(2, np.float32)
NAN, INF = np.float32("nan"), np.float32("inf")


def _play(environment, num_steps=3):
    guard = Guard(environment)
    guard.reset()
    for _ in range(num_steps):
        guard.step(ACTION)


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"rewards": [1.0, NAN]}, "a reward that is nan, in step 2 of its episode 1."),
        ({"rewards": [-INF]}, "a reward that is -inf, in step 1 of its episode 1."),
        ({"discounts": [1, 1, NAN]}, "a discount that is nan, in step 3 of its episode 1."),
        (
            {"observations": [_observation(place=np.array([0, NAN, 0], np.float32))]},
            "an observation['place'][1] that is nan, in the reset of its episode 1.",
        ),
        (
            {"observations": [_observation(), _observation(place=np.array([0, 0, INF], np.float32))]},
            "an observation['place'][2] that is inf, in step 1 of its episode 1.",
        ),
        (
            {"rewards": [np.array([0, NAN], np.float32)], "reward_shape": (2,)},
            "a reward[1] that is nan, in step 1 of its episode 1.",
        ),
    ],
)
def test_what_is_not_finite_is_named_and_a_restart_may_help(kwargs, sentence):
    with pytest.raises(errors.EnvironmentFault) as raised:
        _play(Scripted(**kwargs))
    assert str(raised.value) == f"the environment returned {sentence}"
    assert not raised.value.permanent and raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"rewards": [np.ones(2)]}, r"array\(\[1\., 1\.\]\) for a reward, which is one number, in step 1"),
        ({"rewards": [None]}, "None for a reward"),
        ({"rewards": [1.0], "reward_shape": (2,)}, r"a reward of shape \[\], and its spec says \[2\]"),
        ({"observations": [{"place": np.zeros(3, np.float32)}]}, r"an observation without \('camera', 0\)"),
        (
            {"observations": [_observation(place=np.zeros((1, 3), np.float32))]},
            r"an observation\['place'\] of float32 \[1, 3\], and its spec says float32 \[3\], in the reset",
        ),
        (
            {"observations": [_observation(), _observation(camera=[np.zeros((2, 2), np.float32)])]},
            r"an observation\['camera'\]\[0\] of float32 \[2, 2\], and its spec says uint8 \[2, 2\], in step 1",
        ),
    ],
)
def test_what_is_not_of_its_spec_stays_so(kwargs, sentence):
    with pytest.raises(errors.EnvironmentFault, match=f"^the environment returned {sentence}") as raised:
        _play(Scripted(**kwargs))
    assert raised.value.permanent


def test_large_numbers_pass():
    large = np.full(3, 3e38, np.float32)  # Their squares do not.
    _play(Scripted(rewards=[np.float32(3e38)], observations=[_observation(place=large)] * 4))
    _play(Scripted(rewards=[np.full(2, -3e38, np.float32)], reward_shape=(2,)))


@pytest.mark.parametrize(
    "error", [ValueError("simulation diverged"), OSError(104, "reset"), KeyError("x"), TypeError()]
)
def test_what_an_environment_raises_is_the_cause(error):
    guard = Guard(Scripted(rewards=[1, 1, 1, error]), "the evaluator's environment")
    for _ in range(2):
        guard.reset()
        guard.step(ACTION)
    guard.step(ACTION)
    with pytest.raises(errors.EnvironmentFault) as raised:
        guard.step(ACTION)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    assert str(raised.value) == f"the evaluator's environment raised {what}, in step 3 of its episode 2."
    assert raised.value.__cause__ is error and not raised.value.permanent


def test_what_raises_in_a_reset_is_said_to():
    with pytest.raises(
        errors.EnvironmentFault, match=r"raised RuntimeError: no level, in the reset of its episode 1\.$"
    ):
        Guard(Scripted(observations=[RuntimeError("no level")])).reset()


def test_a_fault_that_says_what_is_told_where():
    fault = errors.EnvironmentFault("returned a tuple of 4", permanent=True)
    with pytest.raises(errors.EnvironmentFault) as raised:
        _play(Scripted(rewards=[fault]))
    assert str(raised.value) == "the environment returned a tuple of 4, in step 1 of its episode 1."
    assert raised.value.permanent


@pytest.mark.parametrize("odd", [NAN, INF, -INF])
def test_an_action_that_is_not_finite_never_reaches_the_environment(odd):
    environment = Scripted()
    guard = Guard(environment)
    guard.reset()
    guard.step(ACTION)
    with pytest.raises(errors.NotFinite, match=rf"^The policy chose an action\[1\] that is {odd}, in step 2 of its"):
        guard.step(np.array([0, odd], np.float32))
    assert len(environment.actions) == 1


def test_a_refused_action_is_not_the_environments_fault():
    with pytest.raises(errors.UserError, match="Expected an action"):
        _play(Scripted(rewards=[errors.UserError("Expected an action of shape (1,), got (2,).")]))


def test_discrete_actions_pass():
    environment = Scripted()
    guard = Guard(environment)
    guard.reset()
    guard.step(np.int32(1))
    assert environment.actions == [1]


def test_the_actor_is_not_told_of_a_step_that_is_refused():
    class Actor:
        seen = 0

        def select_action(self, observation):
            return ACTION

        def observe_first(self, timestep):
            self.seen += 1

        def observe(self, action, timestep):
            self.seen += 1

        def update(self):
            pass

    loop = EnvironmentLoop(Scripted(rewards=[1, 1, NAN]), actor := Actor(), "its own")
    loop.step()
    loop.step()
    with pytest.raises(errors.EnvironmentFault, match=r"^its own returned a reward that is nan"):
        loop.step()
    assert actor.seen == 3  # the first time step and two more
