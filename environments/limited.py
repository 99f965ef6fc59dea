"""Any environment, with its episodes cut short after a number of steps."""

from __future__ import annotations

import logging
from typing import Any

import dm_env

from acme_agents.environments import wrapping


class Limited(wrapping.Wrapper):
    """An environment that truncates its episodes after `max_steps` steps: the last discount stays as it is."""

    has_time_limit = True

    def __init__(self, environment: dm_env.Environment, max_steps: int, *, advice: str | None = None):
        """Wraps a canonical environment; `advice` is logged once, when it first cuts an episode."""
        super().__init__(environment)
        self._max_steps = max_steps
        self._advice = advice
        self._num_steps = 0
        self._cut = True

    def reset(self) -> dm_env.TimeStep:
        self._num_steps, self._cut = 0, False
        return self._environment.reset()

    def step(self, action: Any) -> dm_env.TimeStep:
        """Takes one step, or resets after a last one."""
        if self._cut:
            return self.reset()
        timestep = self._environment.step(action)
        self._num_steps = 0 if timestep.first() else self._num_steps + 1
        if timestep.last() or self._num_steps < self._max_steps:
            return timestep
        self._cut = True
        if self._advice is not None:
            logging.warning(self._advice)
            self._advice = None
        return timestep._replace(step_type=dm_env.StepType.LAST)
