"""What a Gymnasium environment must do: checks of it before `gym` makes it canonical, which hides some faults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from acme_agents.core import errors
from acme_agents.environments import checking, gym
from acme_agents.environments.checking import Fault, Note, Subject

_FIVE = "observation, reward, terminated, truncated and a dict"


def _make(subject: Subject) -> gymnasium.Env:
    """The environment in its wrappers, by Gymnasium alone."""
    name = subject.name.partition(":")[2]
    problem = gym.problem(name)
    if problem:
        raise errors.UserError(f"Unknown environment {subject.name!r}: {problem}")
    return gymnasium.make(name, disable_env_checker=True)


def spaces_are_ones_that_agents_take(subject: Subject) -> None:
    """`observation_space` and `action_space` can be made canonical."""
    env = _make(subject)
    try:
        gym.Gym(env, seed=0)
    except errors.UserError as error:
        raise Fault(f"observation_space or action_space: {error}") from error
    finally:
        env.close()


def values_are_gymnasiums(subject: Subject) -> None:
    """`reset` returns an observation and a dict, `step` the five values, each of its type."""
    env = _make(subject)
    try:
        returned = env.reset(seed=0)
        pair = isinstance(returned, tuple) and len(returned) == 2
        _must(pair, f"reset must return an observation and a dict, not {_describe(returned)}.")
        _must(isinstance(returned[1], dict), f"reset's second value must be a dict, not {_describe(returned[1])}.")
        for number, (_, returned) in enumerate(_steps(subject, env), 1):
            five = isinstance(returned, tuple) and len(returned) == 5
            _must(five, f"step must return five values, {_FIVE}, not {_describe(returned)}.")
            _, reward, *ends, info = returned
            is_number = np.ndim(reward) == 0 and np.asarray(reward).dtype.kind in "fiub"
            _must(is_number, f"step's reward must be one number, not {_describe(reward)}.")
            _must(np.isfinite(reward), f"step's reward is {reward} at step {number}.")
            for name, flag in zip(("terminated", "truncated"), ends, strict=True):
                _must(isinstance(flag, (bool, np.bool_)), f"step's {name} must be a bool, not {_describe(flag)}.")
            _must(isinstance(info, dict), f"step's last value must be a dict, not {_describe(info)}.")
            if any(ends):
                env.reset()
    finally:
        env.close()


def observations_are_in_their_space(subject: Subject) -> None:
    """Every observation has its space's shape and dtype, is finite and within its bounds."""
    env = _make(subject)
    try:
        space = env.observation_space
        _in_space(env.reset(seed=0)[0], space, "reset", "observation")
        for _, returned in _steps(subject, env):
            _in_space(returned[0], space, "step", "observation")
            if returned[2] or returned[3]:
                _in_space(env.reset()[0], space, "reset", "observation")
    finally:
        env.close()


def actions_are_left_alone(subject: Subject) -> None:
    """`step` does not write into the action that it is given; observations are better new arrays than one for ever."""
    env = _make(subject)
    try:
        env.reset(seed=0)
        before, again = None, False
        for (given, action), returned in _steps(subject, env, 20):
            same = np.array_equal(given, action)
            _must(same, f"step changes the action that it is given, from {given} to {action}: copy it first.")
            found = [leaf for _, leaf in checking.leaves(returned[0], "") if isinstance(leaf, np.ndarray)]
            again |= before is not None and any(np.shares_memory(x, y) for x, y in zip(before, found))
            before = found
            if returned[2] or returned[3]:
                env.reset()
                before = None
        if again:
            raise Note("step returns the same array each time, and overwrites it; here a copy is made, elsewhere not.")
    finally:
        env.close()


CHECKS = (
    spaces_are_ones_that_agents_take,
    values_are_gymnasiums,
    observations_are_in_their_space,
    actions_are_left_alone,
)


def _steps(subject: Subject, env: gymnasium.Env, most: int | None = None) -> Iterator[tuple[Any, Any]]:
    """Random actions, as they were and as they are after the step, and what it returned; whoever iterates resets."""
    space = env.action_space
    space.seed(0)
    for _ in range(most or subject.steps):
        action = space.sample()
        given = np.copy(action)
        yield (given, action), env.step(action)


def _in_space(value: Any, space: Any, method: str, name: str) -> None:
    if isinstance(space, spaces.Dict):
        has = isinstance(value, dict) and set(value) == set(space.spaces)
        got = f"the keys {', '.join(map(str, value))}" if isinstance(value, dict) else _describe(value)
        _must(has, f"{method} returns {got} for an {name}, whose space has {', '.join(space.spaces)}.")
        for key, part in space.spaces.items():
            _in_space(value[key], part, method, f"{name}[{key!r}]")
        return
    if isinstance(space, spaces.Box):
        array = np.asarray(value)
        form = isinstance(value, np.ndarray) and array.shape == space.shape and array.dtype == space.dtype
        got = f"{array.dtype} {list(array.shape)}" if isinstance(value, (np.ndarray, np.generic)) else _describe(value)
        _must(form, f"{method} returns {got} for an {name}, whose space is a Box of {space.dtype} {list(space.shape)}.")
        if array.dtype.kind == "f":
            _must(np.all(np.isfinite(array)), f"{method} returns an {name} with a NaN or an infinity in it.")
        out = (array < space.low) | (array > space.high)
        if np.any(out):
            place = tuple(np.argwhere(out)[0])
            raise Fault(
                f"{method} returns an {name} whose number at {list(map(int, place))} is {array[place]}, out of its "
                f"space's [{space.low[place]}, {space.high[place]}]."
            )
        return
    _must(space.contains(value), f"{method} returns {_describe(value)} for an {name}, which is not in {space}.")


def _describe(value: Any) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    if isinstance(value, np.ndarray):
        return f"an array {value.dtype} {list(value.shape)}"
    return "None" if value is None else f"{type(value).__name__} {value!r:.40}"


def _must(condition: Any, sentence: str) -> None:
    if not condition:
        raise Fault(sentence)
