"""Any environment with its rewards multiplied: a stress test for agents, which should learn the same.

`scaled:FACTOR:NAME` is the environment NAME, its rewards times FACTOR: `scaled:0.01:control:cartpole:swingup`. Nothing
else differs, so the returns of two factors differ by just that ratio (benchmarks/reward_scale.py divides it out again).
With factor 0 there is no reward, for agents that explore by a bonus alone.
"""

from __future__ import annotations

from typing import Any

import dm_env
import numpy as np

from acme_agents import environments
from acme_agents.core.types import Action
from acme_agents.environments import naming, pure, wrapping


def problem(name: str) -> str | None:
    """Returns what is wrong with `FACTOR:NAME`, or None."""
    factor, _, inner = name.partition(":")
    if not naming.is_size(factor):
        return f"a scaled environment is scaled:FACTOR:NAME with a factor of at least 0, and {factor!r} is none."
    return wrapping.problem(inner)


def make(name: str, seed: int, *, render: bool = False) -> Scaled:
    """Makes the environment NAME of `FACTOR:NAME`, its rewards times FACTOR."""
    factor, _, inner = name.partition(":")
    return Scaled(environments.make(inner, seed, render=render), float(factor))


def make_pure(name: str) -> pure.Pure | None:
    """Makes its functions, or returns None if NAME is not pure JAX."""
    factor, _, inner = name.partition(":")
    functions = environments.find_pure(inner)
    if functions is None:
        return None
    step, number = functions.step, np.float32(factor)

    def scaled(state: pure.State, action: Action) -> tuple[pure.State, pure.TimeStep]:
        state, timestep = step(state, action)
        return state, timestep._replace(reward=timestep.reward * number)

    return functions._replace(step=scaled)


class Scaled(wrapping.Wrapper):
    """An environment with its rewards, [] or [K] float32, times a factor; everything else is unchanged."""

    def __init__(self, environment: dm_env.Environment, factor: float):
        """Wraps a canonical environment."""
        super().__init__(environment)
        self._factor = np.float32(factor)

    def reward(self, reward: Any, action: Any) -> Any:
        return reward * self._factor
