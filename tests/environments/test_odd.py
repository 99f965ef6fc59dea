"""Environments that are odd: trained where they can be, else named in one sentence; each is closed."""

import logging

import numpy as np
import pytest
from gymnasium import spaces

from acme_agents import environments
from acme_agents.core import errors
from acme_agents.environments import gym
from tests.environments import odd, toys


@pytest.fixture(autouse=True)
def _fresh_log():
    odd.LOG.clear()


def _first_step(env):
    env.reset()
    return env.step(env.action_spec().generate_value())


def test_nothing_is_passed_to_a_constructor_that_was_not_asked_for():
    assert _first_step(environments.make(odd.name("Odd"), 0)).reward == -2  # Its actions are -1 and -1.
    with pytest.raises(errors.UserError, match=r"Gymnasium cannot make .* unexpected keyword argument 'render_mode'"):
        environments.make(odd.name("Odd"), 0, render=True)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("FourValues", r"^returned a tuple of 4, and Gymnasium's step returns five values"),
        ("FourValuesLimited", r"^returned something else than five values: .*expected 5, got 4"),
        ("ObservationAlone", r"^returned an array of shape \[2\], and Gymnasium's reset returns"),
    ],
)
def test_an_old_interface_is_named(name, sentence):
    with pytest.raises(errors.EnvironmentFault, match=sentence) as raised:
        _first_step(environments.make(odd.name(name), 0))
    assert raised.value.permanent


def test_info_may_be_none():
    assert _first_step(environments.make(odd.name("NoInfo"), 0)).mid()


@pytest.mark.parametrize("given", [1.5, np.float32(1.5), np.float64(1.5), np.array(1.5), np.array([1.5]), [1.5]])
def test_one_number_is_a_reward_whatever_its_type(given):
    env = environments.make(odd.name("Rewards"), 0)
    env._environment.unwrapped.given = given
    reward = _first_step(env).reward
    assert reward == 1.5 and reward.dtype == np.float32 and reward.shape == ()


@pytest.mark.parametrize(("given", "expected"), [(2, 2), (True, 1), (np.int64(-3), -3), (10**10, 1e10)])
def test_a_whole_number_is_a_reward(given, expected):
    env = environments.make(odd.name("Rewards"), 0)
    env._environment.unwrapped.given = given
    assert _first_step(env).reward == np.float32(expected)


@pytest.mark.parametrize(
    ("given", "what"),
    [(np.ones(2), r"an array of shape \[2\]"), ((1.0, 2.0), "a tuple of 2"), (None, "None"), ("1", "'1'")],
)
def test_what_is_not_one_number_is_no_reward(given, what):
    env = environments.make(odd.name("Rewards"), 0)
    env._environment.unwrapped.given = given
    with pytest.raises(errors.EnvironmentFault, match=f"^returned {what} for a reward, which is one number$") as raised:
        _first_step(env)
    assert raised.value.permanent


_DICT = spaces.Dict(x=spaces.Box(-1, 1, (2,), np.float32), place=spaces.Discrete(3, start=5))


@pytest.mark.parametrize(
    ("space", "given", "sentence"),
    [
        (spaces.Discrete(4), -1, r"-1 for an observation, which is not in Discrete\(4\)"),
        (spaces.Discrete(4), 4, r"4 for an observation, which is not in Discrete\(4\)"),
        (spaces.Discrete(4, start=5), 4, r"4 for an observation, .* Discrete\(4, start=5\)"),
        (spaces.Discrete(4), 1.5, r"1\.5 for an observation, which is not in Discrete\(4\)"),
        (spaces.Discrete(4), np.zeros(4), r"an array of shape \[4\] for an observation"),
        (spaces.Discrete(4), None, "None for an observation"),
        (spaces.MultiBinary(3), np.array([0, 1, 2]), r"an observation with 0 to 2, which is MultiBinary of int8 \[3\]"),
        (spaces.MultiBinary(3), np.zeros(2), r"an array of shape \[2\] for an observation, .* MultiBinary"),
        (spaces.Box(-1, 1, (3,)), np.zeros((1, 3)), r"an array of shape \[1, 3\] for .* Box of float32 \[3\]"),
        (spaces.Box(-1, 1, (3,)), np.array(["a", "b", "c"]), r"an array of shape \[3\] for an observation"),
        (spaces.Box(0, 255, (9, 9, 3), np.uint8), np.full((9, 9, 3), 0.5), r"an observation with 0\.5 to 0\.5"),
        (spaces.Box(0, 255, (9, 9, 3), np.uint8), np.full((9, 9, 3), 256), "an observation with 256 to 256"),
        (spaces.Box(0, 255, (9, 9, 3)), np.full((9, 9, 3), np.nan), "an observation with numbers from nan to nan"),
        (_DICT, {"x": np.zeros(2)}, "an observation without 'place', which its space has"),
        (_DICT, {"x": np.zeros(2), "place": 8}, r"8 for an observation\['place'\], which is not in Discrete\(3"),
    ],
)
def test_an_observation_outside_of_its_space_is_named(space, given, sentence):
    env = gym.Gym(odd.Observes(space, given), seed=0)
    with pytest.raises(errors.EnvironmentFault, match=f"^returned {sentence}") as raised:
        env.reset()
    assert raised.value.permanent


@pytest.mark.parametrize(
    ("space", "given", "expected"),
    [
        (spaces.Discrete(3, start=5), 6, [0, 1, 0]),
        (spaces.Discrete(3), np.int64(2), [0, 0, 1]),
        (spaces.Discrete(3), np.array([2]), [0, 0, 1]),
        (spaces.MultiBinary(2), np.array([True, False]), [1, 0]),
        (spaces.Box(-1, 1, (2,), np.float64), np.array([0.5, -3.0]), [0.5, -3]),  # Bounds of floats are seldom exact.
        (spaces.Box(0, 255, (2,), np.uint8), np.array([51, 255]), [np.float32(0.2), 1]),
        (spaces.Box(-1, 1, (), np.float32), np.float64(0.5), 0.5),
    ],
)
def test_what_is_in_its_space_is_taken(space, given, expected):
    observation = gym.Gym(odd.Observes(space, given), seed=0).reset().observation
    assert observation.dtype == np.float32
    np.testing.assert_array_equal(observation, expected)


def test_a_constructor_that_raises_is_the_environments_fault_and_a_wrong_call_of_it_is_not():
    with pytest.raises(
        errors.EnvironmentFault, match=r"^the constructor of gym:.*Broken-v0 raised .*refused$"
    ) as raised:
        environments.make(odd.name("Broken"), 0)
    assert isinstance(raised.value.__cause__, ConnectionRefusedError) and not raised.value.permanent
    with pytest.raises(errors.UserError, match="missing 1 required positional argument: 'level'"):
        environments.make(odd.name("NeedsArgument"), 0)


def test_a_type_error_in_a_constructor_shows_where_it_was_raised(monkeypatch):
    def init(self):
        raise TypeError("no such level")

    monkeypatch.setattr(odd.Odd, "__init__", init)
    with pytest.raises(errors.EnvironmentFault, match="raised TypeError: no such level") as raised:
        environments.make(odd.name("Odd"), 0)
    assert str(raised.value.__cause__) == "no such level"


def test_a_module_that_raises_when_it_is_imported_shows_where(tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("x = 1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(errors.EnvironmentFault, match="importing 'broken_module' raised ZeroDivisionError") as raised:
        environments.check("gym:broken_module:X-v0")
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("name", [odd.name("TupleSpace"), f"energy:{odd.name('Endless')}"])
def test_an_environment_that_is_refused_is_closed(name):
    with pytest.raises(errors.UserError):
        environments.make(name, 0)
    assert (odd.LOG["made"], odd.LOG["closed"]) == (1, 1)


def test_the_seed_is_of_the_spaces_too():
    def observations(seed):
        env = environments.make(odd.name("SpaceRandom"), seed)
        steps = [env.reset(), env.step(np.zeros(2, np.float32))]
        return np.array([[*step.observation["x"], *step.observation["n"]] for step in steps])

    np.testing.assert_array_equal(observations(3), observations(3))
    assert not np.array_equal(observations(3), observations(4))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (odd.name("Odd"), False),
        ("gym:CliffWalking-v1", False),
        (f"scaled:2:{odd.name('Odd')}", False),
        (odd.name("Limited"), True),
        (odd.name("CountsItself"), True),
        ("gym:Pendulum-v1", True),
        ("gym:MiniGrid-Empty-5x5-v0", True),
        ("ale:Pong", True),
        ("probe:reach", True),
        ("control:cheetah:run", True),
    ],
)
def test_a_time_limit_that_is_not_declared_is_noted(name, expected):
    env = environments.make(name, 0)
    assert environments.has_time_limit(env) is expected
    assert (
        "no time limit is declared, so an episode might never end: --max-episode-steps sets one"
        in environments.notes(env)
    ) is not expected


def test_notes_say_how_pictures_are_taken():
    assert environments.notes(environments.make("ale:Pong", 0)) == [
        "observation: pictures of 84 x 84 with 4 channels, given as [4, 84, 84]"
    ]
    assert environments.notes(environments.make(toys.DICT, 0))[0] == (
        "observation['image']: pictures of 4 x 5 with 3 channels"
    )


def test_a_limit_truncates_and_what_ends_before_it_ends_as_it_did():
    env = environments.make(odd.name("Endless"), 0, max_episode_steps=7)
    for _ in range(2):
        steps = [env.step(np.int32(0)) for _ in range(8)]
        assert steps[0].first() and [step.last() for step in steps[1:]] == [False] * 6 + [True]
        assert (steps[-1].discount, steps[-1].reward) == (1, -1)
    env.reset()
    assert sum(not env.step(np.int32(0)).last() for _ in range(7)) == 6  # A reset begins to count anew.
    terminated = environments.make(toys.TERMINATED, 0, max_episode_steps=3)  # It ends after three steps.
    assert [terminated.step(np.int32(0)).discount for _ in range(4)] == [None, 1, 1, 0]
    longer = environments.make(toys.TRUNCATED, 0, max_episode_steps=4)
    assert [longer.step(np.int32(0)).last() for _ in range(5)] == [False, False, False, True, False]
    assert environments.has_time_limit(env)


def test_advice_is_given_once(caplog):
    from acme_agents.environments import limited

    env = limited.Limited(environments.make(odd.name("Endless"), 0), 2, advice="give a limit")
    with caplog.at_level(logging.WARNING):
        for _ in range(9):
            env.step(np.int32(0))
    assert [record.message for record in caplog.records] == ["give a limit"]
