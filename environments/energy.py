"""Any continuous task with a second objective, to spare energy: for agents that learn a trade-off.

`energy:NAME` is the environment NAME with the reward [r, -mean_i(a_i^2)]: `energy:control:walker:walk`. The cost, in
[-1, 0], is of the action as it is carried out, clipped to [-1, 1].
"""

from __future__ import annotations

from typing import Any

import dm_env
import numpy as np

from acme_agents import environments
from acme_agents.core import errors
from acme_agents.environments import wrapping

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


class Energy(wrapping.Wrapper):
    """An environment whose reward is [2] float32: its own, and the energy that its action costs, below 0."""

    def __init__(self, environment: dm_env.Environment):
        """Wraps a canonical environment; raises UserError if it has discrete actions or a vector of rewards."""
        super().__init__(environment)
        action, reward = environment.action_spec(), environment.reward_spec()
        if isinstance(action, dm_env.specs.DiscreteArray):
            raise errors.UserError(
                f"Energy is of continuous actions, and this environment has {action.num_values} discrete."
            )
        if reward.shape:
            raise errors.UserError(
                f"Energy goes beside one reward, and this environment has a vector of {reward.shape[0]} already."
            )

    def reward(self, reward: Any, action: Any) -> np.ndarray:
        # The square of an action clipped to [-1, 1] is its square, clipped to 1.
        return np.array([reward, -np.minimum(np.square(action), 1).mean()], np.float32)

    def reward_spec(self) -> dm_env.specs.Array:
        return dm_env.specs.Array((2,), np.float32, name="reward")
