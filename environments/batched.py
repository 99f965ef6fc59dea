"""Environments that step together: N of the same name, each with its seed and its own episodes.

A family of environments that can step many as one call offers them by a function `make_batch(name, seeds, *,
max_episode_steps)` in its module, beside `make`; see `environments.make_batch`, and `deep_sea.DeepSeas` for an example.
Those of any other family are stepped one by one, by `acme_agents.runtime.one_by_one.OneByOne`, which is the same to an
actor.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import dm_env
import numpy as np


class TimeSteps(NamedTuple):
    """A time step of each of N environments: a `dm_env.TimeStep` whose arrays have a leading dimension."""

    step_type: np.ndarray  # [N] int, values of `dm_env.StepType`
    reward: np.ndarray  # [N] or [N, K] float32; 0 in a first step
    discount: np.ndarray  # [N] float32; 1 in a first step
    observation: Any  # pytree of NumPy arrays [N, *O], which nobody writes to afterwards


class BatchedEnvironment(Protocol):
    """N canonical environments that step as one; each is what `environments.make` gives with its own seed.

    Each begins its next episode by itself, as dm_env's do: where the last time step was a LAST, `step` ignores the
    action and returns a FIRST. That is no step of an episode, and is not counted as one.
    """

    num_environments: int

    def reset(self) -> TimeSteps:
        """Begins an episode in every environment; called once, before the first `step`."""

    def step(self, actions: np.ndarray, num_active: int) -> TimeSteps:
        """Steps the first `num_active` environments, and leaves the others exactly as they are.

        Args:
          actions: [N, *A], an action for each environment.
          num_active: 1 <= num_active <= N; less than N only where the budget of steps ends.

        Returns:
          N time steps; those of the environments that were left are not looked at.
        """

    def observation_spec(self) -> Any:
        """Of one environment, as the other specs are; without the leading dimension."""

    def action_spec(self) -> Any:
        """Of one environment's actions."""

    def reward_spec(self) -> dm_env.specs.Array:
        """Of one environment's reward."""

    def close(self) -> None:
        """Closes all of them."""
