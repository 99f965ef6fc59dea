"""Any continuous task with a second objective, to spare energy: for agents that learn a trade-off.

`energy:NAME` is the environment NAME with the reward [r, -mean_i(a_i^2)]: `energy:control:walker:walk`. The cost, in
[-1, 0], is of the action as it is carried out, clipped to [-1, 1].
"""

from __future__ import annotations

import dataclasses
from typing import Any

import dm_env
import jax.numpy as jnp
import numpy as np

from acme_agents import environments
from acme_agents.core import errors
from acme_agents.core.types import Action, ArraySpec
from acme_agents.environments import pure, wrapping

problem = wrapping.problem


def make(name: str, seed: int, *, render: bool = False) -> Energy:
    """Makes the environment NAME with an energy cost.

    Raises:
      UserError: its actions are discrete, or its reward is a vector already.
    """
    inner = environments.make(name, seed, render=render)
    try:
        return Energy(inner)
    except errors.UserError:
        inner.close()
        raise


def make_pure(name: str) -> pure.Pure | None:
    """Makes its functions, or returns None if NAME is not pure JAX; raises UserError as `make`."""
    functions = environments.find_pure(name)
    if functions is None:
        return None
    step, spec = functions.step, functions.spec
    _check(spec.action.num_values, spec.reward.shape)

    def with_energy(state: pure.State, action: Action) -> tuple[pure.State, pure.TimeStep]:
        state, timestep = step(state, action)
        energy = -jnp.minimum(jnp.square(action), 1).mean()
        return state, timestep._replace(reward=jnp.stack([timestep.reward, energy]))

    return functions._replace(step=with_energy, spec=dataclasses.replace(spec, reward=ArraySpec((2,))))


class Energy(wrapping.Wrapper):
    """An environment whose reward is [2] float32: its own, and the energy that its action costs, below 0."""

    def __init__(self, environment: dm_env.Environment):
        """Wraps a canonical environment; raises UserError if it has discrete actions or a vector of rewards."""
        super().__init__(environment)
        _check(getattr(environment.action_spec(), "num_values", None), environment.reward_spec().shape)

    def reward(self, reward: Any, action: Any) -> np.ndarray:
        # The square of an action clipped to [-1, 1] is its square, clipped to 1.
        return np.array([reward, -np.minimum(np.square(action), 1).mean()], np.float32)

    def reward_spec(self) -> dm_env.specs.Array:
        return dm_env.specs.Array((2,), np.float32, name="reward")


def _check(num_values: int | None, reward_shape: tuple[int, ...]) -> None:
    if num_values is not None:
        raise errors.UserError(f"Energy is of continuous actions, and this environment has {num_values} discrete.")
    if reward_shape:
        raise errors.UserError(
            f"Energy goes beside one reward, and this environment has a vector of {reward_shape[0]} already."
        )
