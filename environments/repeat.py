"""Any environment with each action repeated, as published scores often have it: `repeat:N:NAME`.

A step of `repeat:4:control:walker:walk` is up to 4 steps of `control:walker:walk` with the same action. Its reward is
the sum of theirs and its discount their product; where one of them ends the episode, the rest are left out.
Everything that counts steps then counts the agent's: budgets (`--steps`), `--max-episode-steps`, periods and
discounting.
"""

from __future__ import annotations

from typing import Any

import dm_env
import jax
import jax.numpy as jnp

from acme_agents import environments
from acme_agents.core.types import Action
from acme_agents.environments import pure, wrapping

_NUMBERS = range(1, 101)


def problem(name: str) -> str | None:
    """Returns what is wrong with `N:NAME`, or None."""
    number, _, inner = name.partition(":")
    if not (number.isascii() and number.isdecimal() and int(number) in _NUMBERS):
        return (
            f"a repeated environment is repeat:N:NAME with N from {_NUMBERS[0]} to {_NUMBERS[-1]}, and {number!r} is "
            "no such N."
        )
    return wrapping.problem(inner)


def make(name: str, seed: int, *, render: bool = False) -> dm_env.Environment:
    """Makes the environment NAME of `N:NAME`, with each action repeated."""
    number, _, inner = name.partition(":")
    return Repeat(environments.make(inner, seed, render=render), int(number))


def make_pure(name: str) -> pure.Pure | None:
    """Makes its functions, or returns None if NAME is not pure JAX."""
    number, _, inner = name.partition(":")
    functions = environments.find_pure(inner)
    return None if functions is None else repeated(functions, int(number))


class Repeat(wrapping.Wrapper):
    """An environment whose actions are repeated; a reset is not."""

    def __init__(self, environment: dm_env.Environment, number: int):
        """Wraps a canonical environment; each action is taken `number` times."""
        super().__init__(environment)
        self._number = number

    @property
    def frames_per_second(self) -> float | None:
        """The agent's steps in a second of the environment's own time."""
        inner = environments.frames_per_second(self._environment)
        return None if inner is None else inner / self._number

    def step(self, action: Any) -> dm_env.TimeStep:
        timestep = self._environment.step(action)
        for _ in range(self._number - 1):
            if not timestep.mid():
                break
            after = self._environment.step(action)
            timestep = after._replace(
                reward=timestep.reward + after.reward, discount=timestep.discount * after.discount
            )
        return timestep

    def __getattr__(self, name: str) -> Any:
        if name == "expert_action":  # The expert's is for one step.
            raise AttributeError(name)
        return super().__getattr__(name)


def repeated(functions: pure.Pure, number: int) -> pure.Pure:
    """Pure functions with each action taken `number` times."""

    def step(state: pure.State, action: Action) -> tuple[pure.State, pure.TimeStep]:
        def again(_: Any, before: tuple[pure.State, pure.TimeStep]) -> tuple[pure.State, pure.TimeStep]:
            state, timestep = before
            after, found = functions.step(state, action)
            found = found._replace(reward=timestep.reward + found.reward, discount=timestep.discount * found.discount)
            return jax.tree.map(lambda x, y: jnp.where(timestep.last, x, y), before, (after, found))

        return jax.lax.fori_loop(1, number, again, functions.step(state, action))

    rate = functions.frames_per_second
    return functions._replace(step=step, frames_per_second=None if rate is None else rate / number)
