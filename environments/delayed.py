"""Any environment made slow, like a slow simulator or a robot, to measure many actors with.

`delayed:MILLISECONDS:NAME` is the environment NAME, whose steps take at least that long each: `delayed:5:probe:reach`.
It sleeps meanwhile, and leaves the processor to others. Resets are not delayed.
"""

from __future__ import annotations

import time
from typing import Any

import dm_env

from acme_agents import environments
from acme_agents.environments import naming, wrapping


def problem(name: str) -> str | None:
    """Returns what is wrong with `MILLISECONDS:NAME`, or None."""
    milliseconds, _, inner = name.partition(":")
    if not naming.is_size(milliseconds):
        return (
            "a delayed environment is delayed:MILLISECONDS:NAME with milliseconds of at least 0, and "
            f"{milliseconds!r} is none."
        )
    return wrapping.problem(inner)


def make(name: str, seed: int, *, render: bool = False) -> Delayed:
    """Makes the environment NAME of `MILLISECONDS:NAME`, with steps of at least that length."""
    milliseconds, _, inner = name.partition(":")
    return Delayed(environments.make(inner, seed, render=render), float(milliseconds) / 1000)


class Delayed(wrapping.Wrapper):
    """An environment whose steps take at least `seconds`; everything else is unchanged."""

    def __init__(self, environment: dm_env.Environment, seconds: float):
        """Wraps a canonical environment."""
        super().__init__(environment)
        self._seconds = seconds

    def reward(self, reward: Any, action: Any) -> Any:
        return reward

    def step(self, action: Any) -> dm_env.TimeStep:
        until = time.monotonic() + self._seconds
        timestep = super().step(action)
        time.sleep(max(0.0, until - time.monotonic()))
        return timestep
