"""Environments as pure functions of JAX, and their faces for actors that call an environment step by step.

A pure environment can be compiled, put on any device and vmapped, also together with the agent: `--launcher fused`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import dm_env
import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core import errors
from acme_agents.core.types import Action, Array, ArraySpec, EnvironmentSpec, Key, Observation
from acme_agents.environments.batched import TimeSteps

State = Any  # a pytree of arrays; it holds a random key if steps are random


class TimeStep(NamedTuple):
    """What a step leads to."""

    reward: Array  # [] float32, of the action
    discount: Array  # [] float32: 0 if the action ended the episode for good, 1 otherwise
    last: Array  # [] bool, whether the episode is over
    observation: Observation  # o_{t+1}; of the episode that is over, if it is


class Pure(NamedTuple):
    """One environment, without batch dimension, as two pure functions; its values are canonical.

    Attributes:
      spec: what an agent must know of it.
      init: `(key) -> (state, observation)`: begins an episode; equal keys begin equal ones.
      step: `(state, action) -> (state, time step)`; a continuous action is clipped to [-1, 1]. What it returns after an
        episode's last step means nothing.
      has_time_limit: whether every episode ends.
      frames_per_second: steps in a second of its own time; None if it has no time.
    """

    spec: EnvironmentSpec
    init: Callable[[Key], tuple[State, Observation]]
    step: Callable[[State, Action], tuple[State, TimeStep]]
    has_time_limit: bool = True
    frames_per_second: float | None = None


class _Limited(NamedTuple):
    """The state of a limited environment."""

    state: State
    num_steps: Array  # [] int32


def limited(pure: Pure, max_steps: int) -> Pure:
    """The environment with its episodes cut short after `max_steps` steps: the last discount stays as it is."""

    def init(key: Key) -> tuple[_Limited, Observation]:
        state, observation = pure.init(key)
        return _Limited(state, jnp.int32(0)), observation

    def step(before: _Limited, action: Action) -> tuple[_Limited, TimeStep]:
        state, timestep = pure.step(before.state, action)
        num_steps = before.num_steps + 1
        return _Limited(state, num_steps), timestep._replace(last=timestep.last | (num_steps >= max_steps))

    return pure._replace(init=init, step=step, has_time_limit=True)


class PureEnvironment(dm_env.Environment):
    """A pure environment as a canonical `dm_env.Environment`, on the CPU.

    The k-th episode since it was made or reseeded begins with `fold_in(PRNGKey(seed), k)`, k from 0.
    """

    def __init__(self, pure: Pure, seed: int):
        """Wraps an environment; nothing is compiled before the first episode."""
        self._spec = pure.spec
        self._device = jax.devices("cpu")[0]
        self._init = jax.jit(lambda key, episode: pure.init(jax.random.fold_in(key, episode)))
        self._step = jax.jit(pure.step)
        self.has_time_limit = pure.has_time_limit
        self.frames_per_second = pure.frames_per_second
        self.action_bounds = pure.spec.action_bounds
        self._state: State = None
        self._reset_next_step = True
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Makes the episodes from the next reset on those of a new environment with this seed."""
        self._key = jax.device_put(jax.random.PRNGKey(seed), self._device)
        self._num_episodes = 0

    def reset(self) -> dm_env.TimeStep:
        """Begins an episode."""
        self._reset_next_step = False
        self._state, observation = self._init(self._key, self._num_episodes)
        self._num_episodes += 1
        return dm_env.restart(jax.tree.map(np.asarray, observation))

    def step(self, action: Any) -> dm_env.TimeStep:
        """Takes one step, or resets after a last one.

        Raises:
          UserError: a continuous action has another shape, or a discrete one is out of range.
        """
        if self._reset_next_step:
            return self.reset()
        self._state, timestep = self._step(self._state, self._checked(action))
        self._reset_next_step = last = bool(timestep.last)
        return dm_env.TimeStep(
            dm_env.StepType.LAST if last else dm_env.StepType.MID,
            np.float32(timestep.reward),
            np.float32(timestep.discount),
            jax.tree.map(np.asarray, timestep.observation),
        )

    def _checked(self, action: Any) -> np.ndarray:
        return _checked(self._spec.action, np.asarray(action)[None])[0]

    def observation_spec(self) -> Any:
        return jax.tree.map(_array_spec, self._spec.observation)

    def action_spec(self) -> dm_env.specs.BoundedArray:
        spec = self._spec.action
        if spec.num_values is not None:
            return dm_env.specs.DiscreteArray(spec.num_values, np.dtype(spec.dtype), name="action")
        return dm_env.specs.BoundedArray(spec.shape, np.float32, -1.0, 1.0, name="action")

    def reward_spec(self) -> dm_env.specs.Array:
        return dm_env.specs.Array(self._spec.reward.shape, np.float32, name="reward")

    def discount_spec(self) -> dm_env.specs.BoundedArray:
        return dm_env.specs.BoundedArray((), np.float32, 0.0, 1.0, name="discount")


class PureEnvironments:
    """N pure environments that step as one compiled call on the CPU, a `BatchedEnvironment`.

    Each is a `PureEnvironment` with its own seed, but for rounding.
    """

    def __init__(self, pure: Pure, seeds: Sequence[int]):
        """Makes an environment for each seed; nothing is compiled before the first episodes."""
        self.num_environments = number = len(seeds)
        self._one = PureEnvironment(pure, seeds[0])
        self._action_spec = pure.spec.action
        self._device = jax.devices("cpu")[0]
        self._keys = jax.device_put(jnp.stack([jax.random.PRNGKey(seed) for seed in seeds]), self._device)
        self._episodes = np.zeros(number, np.int32)  # begun so far
        self._ended = np.zeros(number, bool)
        self._state: State = None

        def begin(keys: Array, episodes: Array) -> tuple[State, Observation]:
            return jax.vmap(lambda key, episode: pure.init(jax.random.fold_in(key, episode)))(keys, episodes)

        def step(
            keys: Array, state: State, actions: Action, begins: Array, active: Array, episodes: Array
        ) -> tuple[State, TimeStep]:
            after, timestep = jax.vmap(pure.step)(state, actions)

            def restart(after: State, observation: Observation) -> tuple[State, Observation]:
                return jax.tree.map(lambda x, y: _where(begins, x, y), begin(keys, episodes), (after, observation))

            after, observation = jax.lax.cond(jnp.any(begins), restart, lambda *x: x, *(after, timestep.observation))
            return jax.tree.map(lambda x, y: _where(active, x, y), after, state), timestep._replace(
                reward=_where(begins, jnp.zeros_like(timestep.reward), timestep.reward),
                discount=jnp.where(begins, 1.0, timestep.discount),
                last=timestep.last & ~begins,
                observation=observation,
            )

        self._begin = jax.jit(begin)
        self._step = jax.jit(step)

    def reset(self) -> TimeSteps:
        """Begins an episode in every environment."""
        self._state, observation = self._begin(self._keys, self._episodes)
        self._episodes = self._episodes + 1  # Not in place: JAX may still be reading it.
        self._ended[:] = False
        number = self.num_environments
        return TimeSteps(
            np.full(number, int(dm_env.StepType.FIRST)),
            np.zeros(number, np.float32),
            np.ones(number, np.float32),
            jax.tree.map(np.asarray, observation),
        )

    def step(self, actions: np.ndarray, num_active: int) -> TimeSteps:
        """Steps the first `num_active`, or begins an episode after a last step.

        Raises:
          UserError: continuous actions have another shape, or a discrete one is out of range.
        """
        active = np.arange(self.num_environments) < num_active
        begins = self._ended & active
        checked = _checked(self._action_spec, actions)
        self._state, timestep = self._step(self._keys, self._state, checked, begins, active, self._episodes)
        self._episodes = self._episodes + begins.astype(np.int32)
        last = np.asarray(timestep.last)
        self._ended = np.where(active, last, self._ended)
        step_type = np.full(self.num_environments, int(dm_env.StepType.MID))
        step_type[last] = int(dm_env.StepType.LAST)
        step_type[begins] = int(dm_env.StepType.FIRST)
        reward, discount = np.asarray(timestep.reward), np.asarray(timestep.discount)
        return TimeSteps(step_type, reward, discount, jax.tree.map(np.asarray, timestep.observation))

    def observation_spec(self) -> Any:
        return self._one.observation_spec()

    def action_spec(self) -> dm_env.specs.BoundedArray:
        return self._one.action_spec()

    def reward_spec(self) -> dm_env.specs.Array:
        return self._one.reward_spec()

    def close(self) -> None:
        """Holds nothing to close."""


def _checked(spec: ArraySpec, actions: np.ndarray) -> np.ndarray:
    """Actions [N, *A] in the type of their spec."""
    if actions.shape[1:] != spec.shape:
        raise errors.UserError(f"Expected an action of shape {spec.shape}, got {actions.shape[1:]}.")
    if spec.num_values is not None:
        odd = (actions < 0) | (actions >= spec.num_values)
        if odd.any():
            raise errors.UserError(f"Expected an action from 0 to {spec.num_values - 1}, got {actions[odd][0]}.")
    return np.asarray(actions, spec.dtype)


def _where(chosen: Array, x: Array, y: Array) -> Array:
    """`x` [N, ...] where `chosen` [N], `y` elsewhere."""
    return jnp.where(chosen.reshape(-1, *[1] * (jnp.ndim(x) - 1)), x, y)


def _array_spec(spec: ArraySpec) -> dm_env.specs.Array:
    return dm_env.specs.Array(spec.shape, np.dtype(spec.dtype))
