"""Environments that can only step alone, as one `BatchedEnvironment`."""

from collections.abc import Sequence
from typing import Any

import dm_env
import jax
import numpy as np

from acme_agents.environments.batched import TimeSteps
from acme_agents.runtime.guard import Guard


class OneByOne:
    """N dm_env environments, each behind a `Guard`, stepped one after the other."""

    def __init__(self, environments: Sequence[dm_env.Environment], names: Sequence[str]):
        """Wraps N canonical environments; `names` has what messages call each of them."""
        self.num_environments = len(environments)
        self._environments = environments
        self._guards = [Guard(*each) for each in zip(environments, names, strict=True)]
        self._no_reward = np.zeros(environments[0].reward_spec().shape, np.float32)
        self._timesteps: list[dm_env.TimeStep] = []

    def reset(self) -> TimeSteps:
        """Begins an episode in every environment; raises as `Guard.reset` does."""
        self._timesteps = [self._first(guard) for guard in self._guards]
        return self._stacked()

    def step(self, actions: np.ndarray, num_active: int) -> TimeSteps:
        """Steps the first `num_active` environments; raises as `Guard.step` does."""
        timesteps = self._timesteps
        for i, guard in enumerate(self._guards[:num_active]):
            timesteps[i] = self._first(guard) if timesteps[i].last() else guard.step(actions[i, ...])
        return self._stacked()

    def observation_spec(self) -> Any:
        return self._environments[0].observation_spec()

    def action_spec(self) -> Any:
        return self._environments[0].action_spec()

    def reward_spec(self) -> dm_env.specs.Array:
        return self._environments[0].reward_spec()

    def close(self) -> None:
        """Closes each environment, also where another's `close` raises."""
        failures = []
        for environment in self._environments:
            try:
                environment.close()
            except Exception as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def _first(self, guard: Guard) -> dm_env.TimeStep:
        return guard.reset()._replace(reward=self._no_reward, discount=np.float32(1))

    def _stacked(self) -> TimeSteps:
        step_types, rewards, discounts, observations = zip(*self._timesteps, strict=True)
        return TimeSteps(
            np.array(step_types),
            np.array(rewards, np.float32),
            np.array(discounts, np.float32),
            jax.tree.map(lambda *arrays: np.stack(arrays), *observations),
        )
