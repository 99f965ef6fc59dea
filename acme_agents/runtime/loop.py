"""An environment and an actor, one step at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import dm_env
import numpy as np

from acme_agents.environments.batched import BatchedEnvironment, TimeSteps
from acme_agents.runtime.actor import BatchedActor, first_of
from acme_agents.runtime.guard import Guard

if TYPE_CHECKING:
    import acme  # Importing it imports TensorFlow.


class Episode(NamedTuple):
    """A complete episode."""

    episode_return: float  # the undiscounted sum of rewards; of a vector of rewards, the first component
    length: int  # in steps
    other_returns: tuple[float, ...] = ()  # of a vector of rewards, the other components


class EnvironmentLoop:
    """Lets an `acme.core.Actor`, ours or another, act in a `dm_env.Environment`, and `update` itself after every step.

    Unlike Acme's loop it returns after every step, so that a run can learn, publish, report or stop between two steps.
    A NaN from the actor or from the environment raises.
    """

    def __init__(self, environment: dm_env.Environment, actor: acme.core.Actor, name: str = "the environment"):
        """Initialises a loop; the first step begins an episode. `name` is what messages call the environment."""
        self._environment = Guard(environment, name)
        self._actor = actor
        self._timestep: dm_env.TimeStep | None = None
        self._no_return = np.zeros(environment.reward_spec().shape)  # [] or [K] float64
        self._return: Any = self._no_return
        self._length = 0

    def step(self) -> Episode | None:
        """Takes one environment step; returns the episode when this step ended it.

        Raises:
          EnvironmentFault: the environment raised, or what it returned is not finite or not of its specs; the actor was
            not told of it.
          NotFinite: the actor's action is not finite; the environment was not given it.
        """
        timestep = self._timestep
        if timestep is None:
            timestep = self._environment.reset()
            self._actor.observe_first(timestep)
            self._return, self._length = self._no_return, 0
        action = self._actor.select_action(timestep.observation)
        timestep = self._environment.step(action)
        self._actor.observe(action, timestep)
        self._actor.update()
        self._return = self._return + timestep.reward
        self._length += 1
        if not timestep.last():
            self._timestep = timestep
            return None
        self._timestep = None
        return _episode(self._return, self._length)

    def run_episode(self) -> Episode:
        """Takes steps until the episode ends."""
        while True:
            episode = self.step()
            if episode is not None:
                return episode


class BatchedLoop:
    """Lets an actor act in N environments that step together."""

    def __init__(self, environment: BatchedEnvironment, actor: BatchedActor):
        """Initialises a loop; the first step begins an episode in every environment."""
        self._environment = environment
        self._actor = actor
        self._timesteps: TimeSteps | None = None
        num_environments = environment.num_environments
        self._returns = np.zeros((num_environments, *environment.reward_spec().shape))  # [N] or [N, K] float64
        self._lengths = np.zeros(num_environments, np.int64)

    def step(self, num_active: int) -> tuple[int, list[Episode]]:
        """Steps the first `num_active` environments, of which those whose episode has ended only begin another.

        Returns:
          Environment steps that were taken, and the episodes that they ended.

        Raises:
          EnvironmentFault: an environment raised, or what it returned is not finite or not of its specs; the actor was
            told of none of these steps.
          NotFinite: an action is not finite; its environment was not given it.
        """
        if self._timesteps is None:
            self._timesteps = self._environment.reset()
            self._actor.observe(np.empty(0), self._timesteps, self._environment.num_environments)
        before, num_environments = self._timesteps, self._environment.num_environments
        actions = self._actor.select_actions(before, num_active)
        timesteps = self._environment.step(actions, num_active)
        if num_active < num_environments:  # The others are where they were.
            timesteps = first_of(num_active, timesteps, before)
        self._timesteps = timesteps
        self._actor.observe(actions, timesteps, num_active)
        step_types, rewards = timesteps.step_type[:num_active], timesteps.reward[:num_active]
        goes_on = step_types != dm_env.StepType.FIRST
        self._returns[:num_active] = (self._returns[:num_active].T * goes_on).T + rewards
        self._lengths[:num_active] = (self._lengths[:num_active] + 1) * goes_on
        return int(np.count_nonzero(goes_on)), [
            _episode(self._returns[i], int(self._lengths[i]))
            for i in np.flatnonzero(step_types == dm_env.StepType.LAST)
        ]


def _episode(episode_return: Any, length: int) -> Episode:
    first, *others = np.atleast_1d(episode_return).tolist()
    return Episode(first, length, tuple(others))
