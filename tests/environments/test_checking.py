"""Every check of environments finds its fault in one that has no other, and its sentence names the method."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from acme_agents.environments import checking
from acme_agents.launch import main


class Walk(gymnasium.Env):
    """Twenty steps of random numbers within [-1, 1]; `fault` is what is wrong with it."""

    observation_space = spaces.Box(-1.0, 1.0, (3,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self, fault=""):
        self.fault = fault
        self.t = 0
        self.kept = np.zeros(3, np.float32)
        self.np_random_too = np.random.default_rng()

    def observe(self):
        drawn = self.np_random.uniform(-1.0, 1.0, 3).astype(np.float32)
        if self.fault == "global":
            drawn[0] = np.random.uniform()
        if self.fault == "unseeded":
            drawn[0] = self.np_random_too.uniform()
        if self.fault == "bounds" and self.t == 7:
            drawn[1] = 1.5
        if self.fault == "nan" and self.t == 7:
            drawn[1] = np.nan
        if self.fault == "dtype":
            return drawn.astype(np.float64)
        if self.fault == "shape":
            return drawn[None]
        if self.fault == "list":
            return drawn.tolist()
        if self.fault == "overwrites":
            self.kept[:] = drawn
            return self.kept
        return drawn

    def reset(self, *, seed=None, options=None):
        super().reset(seed=11 if self.fault == "repeats" and seed is None else seed)
        self.t = 0
        return self.observe() if self.fault == "no info" else (self.observe(), {})

    def step(self, action):
        self.t += 1
        if self.fault == "action":
            action *= 0.5
        reward = {"reward": np.zeros(1), "reward nan": float("nan")}.get(self.fault, float(action[0]))
        ends = self.t >= 20
        if self.fault == "integer":
            return self.observe(), reward, 0, ends, {}
        if self.fault == "four":
            return self.observe(), reward, ends, {}
        if self.fault == "limit":
            return self.observe(), reward, ends, False, {}
        return self.observe(), reward, False, ends, [] if self.fault == "info" else {}


gymnasium.register("checks/Walk-v0", entry_point=Walk)


def found(fault, monkeypatch):
    """Marks and sentences of the checks that do not pass, by name."""
    monkeypatch.setattr(gymnasium.registry["checks/Walk-v0"], "kwargs", {"fault": fault})
    subject, told = checking.Subject("gym:checks/Walk-v0", steps=100), {}
    for check in checking.checks(subject.name):
        try:
            check(subject)
        except checking.Note as note:
            told[check.__name__] = f"note: {note}"
        except Exception as error:
            told[check.__name__] = str(error)
    return told


def test_a_sound_environment_passes(monkeypatch):
    assert found("", monkeypatch) == {}


@pytest.mark.parametrize(
    ("fault", "check", "sentence"),
    [
        ("no info", "values_are_gymnasiums", "reset must return an observation and a dict, not an array float32 [3]"),
        ("four", "values_are_gymnasiums", "step must return five values"),
        ("integer", "values_are_gymnasiums", "step's terminated must be a bool, not int 0"),
        ("info", "values_are_gymnasiums", "step's last value must be a dict, not list []"),
        ("reward", "values_are_gymnasiums", "step's reward must be one number, not an array float64 [1]"),
        ("reward nan", "values_are_gymnasiums", "step's reward is nan at step 1"),
        ("dtype", "observations_are_in_their_space", "reset returns float64 [3] for an observation, whose space"),
        ("shape", "observations_are_in_their_space", "reset returns float32 [1, 3] for an observation, whose space"),
        ("list", "observations_are_in_their_space", "reset returns list "),
        ("bounds", "observations_are_in_their_space", "step returns an observation whose number at [1] is 1.5, out of"),
        ("nan", "observations_are_in_their_space", "step returns an observation with a NaN"),
        ("nan", "time_steps_fit_the_specs", "step returns an observation with [nan] in it, in time step 7"),
        ("action", "actions_are_left_alone", "step changes the action that it is given, from"),
        ("overwrites", "actions_are_left_alone", "note: step returns the same array each time"),
        (
            "global",
            "the_seed_decides",
            "reset returns another observation in time step 0 of another environment of the",
        ),
        ("unseeded", "the_seed_decides", "reset returns another observation in time step 0 of another environment of"),
        ("repeats", "episodes_differ", "reset begins the same episode again"),
        ("limit", "discounts_tell_an_end_from_a_time_limit", "note: every episode of random actions ended for good at"),
    ],
)
def test_a_fault_is_found(fault, check, sentence, monkeypatch):
    assert found(fault, monkeypatch)[check].startswith(sentence)


def test_the_command_line_has_a_line_for_each_check_and_fails(monkeypatch, capsys):
    monkeypatch.setattr(gymnasium.registry["checks/Walk-v0"], "kwargs", {"fault": "bounds"})
    with pytest.raises(SystemExit) as ended:
        main.main(["check", "--env", "gym:checks/Walk-v0", "--steps", "40"])
    name, *lines, last = capsys.readouterr().out.splitlines()
    assert ended.value.code == 1 and name.strip() == "gym:checks/Walk-v0" and last == "1 failed"
    assert len(lines) == len(checking.checks("gym:x"))
    (failed,) = [line for line in lines if not line.startswith("ok ")]
    assert failed.startswith("FAIL  observations are in their space   ") and "is 1.5, out of" in failed
    main.main(["check", "--env", "probe:reach", "--steps", "40"])
    assert capsys.readouterr().out.splitlines()[-1] == "all passed"


class Wrong:
    """A canonical environment around another that spoils its time steps."""

    def __init__(self, environment, spoil):
        self._environment, self._spoil = environment, spoil

    def __getattr__(self, name):
        return getattr(self._environment, name)

    def step(self, action):
        return self._spoil(self._environment.step(action))


@pytest.mark.parametrize(
    ("spoil", "check", "sentence"),
    [
        (
            lambda t: t._replace(discount=np.float32(0)),
            "discounts_tell_an",
            "step returns a discount of 0 in time step 1,",
        ),
        (
            lambda t: t._replace(discount=np.float32(2)),
            "time_steps_fit",
            "step returns a discount from 2.0 to 2.0, out",
        ),
        (lambda t: t._replace(reward=1.0), "time_steps_fit", "step returns a reward of float64 []"),
        (lambda t: t._replace(step_type=0), "episodes_begin", "step returns a FIRST in the middle of an episode"),
    ],
)
def test_a_fault_of_a_canonical_environment_is_found(spoil, check, sentence, monkeypatch):
    subject = checking.Subject("probe:reach", steps=30)
    make = subject.make
    monkeypatch.setattr(checking.Subject, "make", lambda self, seed=0: Wrong(make(seed), spoil))
    (this,) = [each for each in checking.CANONICAL if each.__name__.startswith(check)]
    with pytest.raises(checking.Fault) as fault:
        this(subject)
    assert str(fault.value).startswith(sentence)
