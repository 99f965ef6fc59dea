"""Any environment with its rewards multiplied: a stress test for agents, which should not care.

`scaled:FACTOR:NAME` is the environment NAME, its rewards times FACTOR: `scaled:0.01:control:cartpole:swingup`. Nothing
else differs, so the returns of two factors differ by just that ratio (benchmarks/reward_scale.py divides it out again).
"""

from __future__ import annotations

import math
from typing import Any

import dm_env
import numpy as np

import environments


def problem(name: str) -> str | None:
    """Returns what is wrong with `FACTOR:NAME`, or None."""
    factor, _, inner = name.partition(":")
    try:
        number = float(factor)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        return f"a scaled environment is scaled:FACTOR:NAME with a factor above 0, and {factor!r} is none."
    try:
        environments.check(inner)
    except ValueError as error:
        return f"it scales another, and that is an u{str(error)[1:]}"
    return None


def make(name: str, seed: int, *, render: bool = False) -> Scaled:
    """Makes the environment NAME of `FACTOR:NAME`, its rewards times FACTOR."""
    factor, _, inner = name.partition(":")
    return Scaled(environments.make(inner, seed, render=render), float(factor))


class Scaled(dm_env.Environment):
    """An environment with its rewards, [] or [K] float32, times a factor; the rest of it is as it was."""

    def __init__(self, environment: dm_env.Environment, factor: float):
        """Wraps a canonical environment."""
        self._environment = environment
        self._factor = np.float32(factor)

    def reset(self) -> dm_env.TimeStep:
        return self._environment.reset()

    def step(self, action: Any) -> dm_env.TimeStep:
        timestep = self._environment.step(action)
        if timestep.reward is None:  # The step after a last one: a reset.
            return timestep
        return timestep._replace(reward=timestep.reward * self._factor)

    def observation_spec(self) -> Any:
        return self._environment.observation_spec()

    def action_spec(self) -> Any:
        return self._environment.action_spec()

    def reward_spec(self) -> dm_env.specs.Array:
        return self._environment.reward_spec()

    def discount_spec(self) -> dm_env.specs.BoundedArray:
        return self._environment.discount_spec()

    def close(self) -> None:
        self._environment.close()

    def __getattr__(self, name: str) -> Any:  # `render`, `physics`: what dm_env's interface does not have.
        if name.startswith("_"):  # While this object is being unpickled it has no environment yet to ask.
            raise AttributeError(name)
        return getattr(self._environment, name)
