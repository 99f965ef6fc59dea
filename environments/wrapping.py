"""An environment around another, `SOURCE:…:NAME`, which changes only a part of it."""

from __future__ import annotations

from typing import Any

import dm_env

from acme_agents import environments


def problem(name: str) -> str | None:
    """Returns what is wrong with the NAME of the wrapped environment, or None."""
    try:
        environments.check(name)
    except ValueError as error:
        return f"it wraps another, and that is an u{str(error)[1:]}"
    return None


class Wrapper(dm_env.Environment):
    """An environment with another reward for its steps."""

    def __init__(self, environment: dm_env.Environment):
        """Wraps a canonical environment."""
        self._environment = environment

    def reward(self, reward: Any, action: Any) -> Any:
        """Returns what a step with this action and this reward earns, in the dtype and shape of `reward_spec`."""
        raise NotImplementedError

    def reset(self) -> dm_env.TimeStep:
        return self._environment.reset()

    def step(self, action: Any) -> dm_env.TimeStep:
        timestep = self._environment.step(action)
        if timestep.reward is None:  # The step after a last one: a reset.
            return timestep
        return timestep._replace(reward=self.reward(timestep.reward, action))

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
        if name.startswith("_"):  # While this object is unpickled it has no environment yet.
            raise AttributeError(name)
        return getattr(self._environment, name)
