"""An agent's `ActorCore` as an actor: what an environment loop, ours or Acme's, calls."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import dm_env
import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.interfaces import ActorCore, ignore_reward
from acme_agents.core.types import Array, Key, Observation, Params
from acme_agents.environments.batched import TimeSteps


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

        def act(params: Params, observation: Observation, state: Any, *rewards: Array) -> Any:
            for reward in rewards:
                state = core.observe(state, reward)
            return core.select_action(params, observation, state)

        self._act = jax.jit(act)
        self._ignores_rewards = core.observe is ignore_reward  # It needs no second program then, for the later steps.
        self._key = jax.device_put(key, self._device)
        self._writer = writer
        self._num_episodes = 0
        self._state: Any = None
        self._extras: Any = ()
        self._rewards: tuple[Any, ...] = ()  # of the last action, if there was one and rewards are not ignored
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
        action, self._state, self._extras = self._act(self._params, observation, self._state, *self._rewards)
        return np.asarray(action)

    def observe_first(self, timestep: dm_env.TimeStep) -> None:
        """Begins an episode with a fresh actor state."""
        self._state = self._init(self._key, self._num_episodes)
        self._rewards = ()
        self._num_episodes += 1
        self._writer.observe_first(timestep)

    def observe(self, action: Array, next_timestep: dm_env.TimeStep) -> None:
        """Writes the step of the last action, and keeps its reward for the next one."""
        if not self._ignores_rewards:
            self._rewards = (next_timestep.reward,)
        self._writer.observe(action, next_timestep, self._extras)

    def update(self, wait: bool = False) -> None:
        """Keeps the parameters: the code that runs the actor sets `params`. See `acme_interfaces.UpdatingActor`."""


class BatchedActor:
    """Acts in N environments by one jitted call on the CPU, and writes the steps of each by a writer of its own.

    Every environment has an actor state and a random key of its own, and begins its episodes with a fresh state, as an
    `Actor` of its own would; the others' states are not touched by that.
    """

    def __init__(
        self, make_core: Callable[[Any], ActorCore], indices: Sequence[int], keys: Any, writers: Sequence[Writer]
    ):
        """Initialises an actor.

        Args:
          make_core: `(index) -> core`, the agent's functions for an environment's index, a traced int32 array [].
          indices: N indices, one for each environment; see `ActorContext`.
          keys: [N, 2], a random key for each environment, as in `Actor`.
          writers: N writers.
        """
        self._device = jax.devices("cpu")[0]
        self._indices = jax.device_put(np.asarray(indices, np.int32), self._device)
        self._keys = jax.device_put(keys, self._device)
        self._writers = writers
        self._num_episodes = np.full(len(writers), -1, np.int32)  # before the one that goes on
        self._params: Params = None

        def fresh(index: Array, key: Key, episode: Array) -> Any:
            return make_core(index).init(jax.random.fold_in(key, episode))

        def observe(index: Array, state: Any, reward: Array) -> Any:
            return make_core(index).observe(state, reward)

        def select(index: Array, params: Params, observation: Observation, state: Any) -> Any:
            return make_core(index).select_action(params, observation, state)

        def act(
            params: Params, begins: Array, episodes: Array, observation: Observation, state: Any, reward: Array
        ) -> Any:
            def begin(state: Any) -> Any:
                new = jax.vmap(fresh)(self._indices, self._keys, episodes)
                return jax.tree.map(lambda n, s: jnp.where(begins.reshape(-1, *[1] * (s.ndim - 1)), n, s), new, state)

            state = jax.vmap(observe)(self._indices, state, reward)
            state = jax.lax.cond(jnp.any(begins), begin, lambda state: state, state)
            return jax.vmap(select, in_axes=(0, None, 0, 0))(self._indices, params, observation, state)

        self._act = jax.jit(act)
        shapes = jax.eval_shape(jax.vmap(fresh), self._indices, self._keys, self._num_episodes)
        self._state: Any = jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), shapes)  # until an episode begins
        self._extras: list[np.ndarray] = []
        self._extras_structure: Any = None

    @property
    def params(self) -> Params:
        """The parameters that it acts with; setting them copies them to the CPU device, once."""
        return self._params

    @params.setter
    def params(self, params: Params) -> None:
        self._params = jax.device_put(params, self._device)

    @property
    def num_environments(self) -> int:
        """N."""
        return len(self._writers)

    def select_actions(self, timesteps: TimeSteps, num_active: int) -> np.ndarray:
        """Returns [N, *A], an action for each environment; of those from `num_active` on nothing is kept."""
        begins = timesteps.step_type == dm_env.StepType.FIRST
        actions, state, extras = self._act(
            self._params, begins, self._num_episodes, timesteps.observation, self._state, timesteps.reward
        )
        if num_active < self.num_environments:
            state = first_of(num_active, state, self._state)
        self._state = state
        leaves, self._extras_structure = jax.tree.flatten(extras)
        self._extras = [np.asarray(leaf) for leaf in leaves]
        return np.asarray(actions)

    def observe(self, actions: np.ndarray, timesteps: TimeSteps, num_active: int) -> None:
        """Writes a step of each of the first `num_active` environments, or the episode that it has begun."""
        leaves, structure = jax.tree.flatten(timesteps.observation)
        step_types = timesteps.step_type.tolist()
        for i in range(num_active):
            observation = jax.tree.unflatten(structure, [leaf[i] for leaf in leaves])
            timestep = dm_env.TimeStep(step_types[i], timesteps.reward[i], timesteps.discount[i], observation)
            if step_types[i] == dm_env.StepType.FIRST:
                self._num_episodes[i] += 1
                self._writers[i].observe_first(timestep)
            else:
                extras = jax.tree.unflatten(self._extras_structure, [leaf[i] for leaf in self._extras])
                self._writers[i].observe(actions[i], timestep, extras)


def first_of(number: int, new: Any, old: Any) -> Any:
    """The first `number` rows of one tree of arrays, and the others of another."""
    return jax.tree.map(lambda a, b: np.concatenate([a[:number], b[number:]]), new, old)
