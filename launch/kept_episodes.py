"""Keeps the episodes of an actor, in the place of its writer, for the commands that make datasets."""

from typing import Any

import dm_env
import jax
import numpy as np

from acme_agents.core.types import Trajectory


class KeptEpisodes:
    """Keeps whole episodes."""

    def __init__(self) -> None:
        """Begins with none."""
        self.trajectories: list[Trajectory] = []

    def observe_first(self, timestep: dm_env.TimeStep) -> None:
        """Begins an episode; one that has not ended is dropped."""
        self._observations = [timestep.observation]
        self._steps: list[tuple[Any, Any, Any]] = []

    def observe(self, action: Any, timestep: dm_env.TimeStep, extras: Any = ()) -> None:
        """Takes an action and what it led to; a dataset has no extras."""
        del extras
        self._observations.append(timestep.observation)
        self._steps.append((action, timestep.reward, timestep.discount))
        if timestep.last():
            observation = jax.tree.map(lambda *x: np.stack(x), *self._observations)
            self.trajectories.append(Trajectory(observation, *map(np.stack, zip(*self._steps))))
