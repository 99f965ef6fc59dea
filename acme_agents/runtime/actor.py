"""An agent's `ActorCore` as an actor: what an environment loop, ours or Acme's, calls."""

from typing import Any, Protocol

import dm_env
import jax
import numpy as np

from acme_agents.core.interfaces import ActorCore
from acme_agents.core.types import Array, Key, Observation, Params


class Writer(Protocol):
    """Receives an actor's steps."""

    def observe_first(self, timestep: dm_env.TimeStep) -> None:
        """Takes an episode's first time step."""

    def observe(self, action: Any, timestep: dm_env.TimeStep, extras: Any) -> None:
        """Takes a step: the action, the time step after it, and the actor's extras."""


class _NoWriter:
    """Writes nothing."""

    def observe_first(self, timestep: dm_env.TimeStep) -> None:
        pass

    def observe(self, action: Any, timestep: dm_env.TimeStep, extras: Any) -> None:
        pass


NO_WRITER = _NoWriter()


class Actor:
    """Acts by the jitted core on the CPU, with the newest parameters it was given, and writes its steps.

    It has the methods of `acme.core.Actor`, and `acme_interfaces` makes it one.
    """

    def __init__(self, core: ActorCore, key: Key, writer: Writer = NO_WRITER):
        """Initialises an actor.

        Args:
          core: the agent's functions.
          key: random key; every episode's actor state is made from it and the episode's number.
          writer: where steps go; nowhere if left out.
        """
        self._device = jax.devices("cpu")[0]
        self._init = jax.jit(lambda key, episode: core.init(jax.random.fold_in(key, episode)))
        self._observe = observe = core.observe

        def observe_and_select(params: Params, observation: Observation, state: Any, reward: Array) -> Any:
            assert observe is not None  # There is a reward only if the core observes rewards.
            return core.select_action(params, observation, observe(state, reward))

        self._select_action = jax.jit(core.select_action)
        self._observe_and_select = jax.jit(observe_and_select)
        self._key = jax.device_put(key, self._device)
        self._writer = writer
        self._num_episodes = 0
        self._state: Any = None
        self._extras: Any = ()
        self._reward: Any = None  # of the last action; None before the first, or if rewards are ignored
        self._params: Params = None

    @property
    def params(self) -> Params:
        """The parameters that it acts with; setting them copies them to the CPU device, once."""
        return self._params

    @params.setter
    def params(self, params: Params) -> None:
        self._params = jax.device_put(params, self._device)

    def select_action(self, observation: Observation) -> np.ndarray:
        """Returns the action for one observation, without batch dimension."""
        if self._reward is None:
            action, self._state, self._extras = self._select_action(self._params, observation, self._state)
        else:
            action, self._state, self._extras = self._observe_and_select(
                self._params, observation, self._state, self._reward
            )
        return np.asarray(action)

    def observe_first(self, timestep: dm_env.TimeStep) -> None:
        """Begins an episode with a fresh actor state."""
        self._state = self._init(self._key, self._num_episodes)
        self._reward = None
        self._num_episodes += 1
        self._writer.observe_first(timestep)

    def observe(self, action: Array, next_timestep: dm_env.TimeStep) -> None:
        """Writes the step of the last action, and keeps its reward for the next one."""
        if self._observe is not None:
            self._reward = next_timestep.reward
        self._writer.observe(action, next_timestep, self._extras)

    def update(self, wait: bool = False) -> None:
        """Keeps the parameters: the code that runs the actor sets `params`. See `acme_interfaces.UpdatingActor`."""
