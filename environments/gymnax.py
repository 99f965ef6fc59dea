"""The environments of gymnax, in pure JAX: `gymnax:CartPole-v1`. It takes the extra `gymnax` and Python 3.11."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces

from acme_agents.core import errors
from acme_agents.core.types import Action, Array, ArraySpec, EnvironmentSpec, Key, Observation
from acme_agents.environments import naming
from acme_agents.environments.pure import Pure, TimeStep


class _State(NamedTuple):
    """gymnax's state, and the key of the next step."""

    state: Any
    key: Key


def names() -> list[str]:
    """Returns every registered id."""
    return sorted(gymnax.registered_envs)


def problem(name: str) -> str | None:
    """Returns what is wrong with an id, or None."""
    return None if name in gymnax.registered_envs else naming.suggest(name, names())


def make_pure(name: str) -> Pure:
    """Makes the functions of an environment with gymnax's own parameters.

    Raises:
      UserError: its observation or action space cannot be made canonical.
    """
    environment, params = gymnax.make(name)
    observation_spec, observe = _observation(environment.observation_space(params))
    action_spec, act, bounds = _action(environment.action_space(params))

    def init(key: Key) -> tuple[_State, Observation]:
        key, reset_key = jax.random.split(key)
        observation, state = environment.reset_env(reset_key, params)
        # Some fields of a fresh state are Python's numbers.
        return _State(jax.tree.map(jnp.asarray, state), key), observe(observation)

    def step(before: _State, action: Action) -> tuple[_State, TimeStep]:
        key, step_key = jax.random.split(before.key)
        observation, state, reward, terminated, _ = environment.step_env(step_key, before.state, act(action), params)
        last = terminated | environment.is_truncated(state, params)
        discount = 1.0 - jnp.asarray(terminated, jnp.float32)
        timestep = TimeStep(jnp.asarray(reward, jnp.float32), discount, jnp.asarray(last, bool), observe(observation))
        state = jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), state, before.state)
        return _State(state, key), timestep

    spec = EnvironmentSpec(observation_spec, action_spec, action_bounds=bounds)
    return Pure(spec, init, step)


def _observation(space: Any, name: str = "observation") -> tuple[Any, Any]:
    """Returns the spec of a space's canonical observations, and the function that makes one canonical."""
    if isinstance(space, spaces.Dict):
        parts = {key: _observation(part, f"{name}[{key!r}]") for key, part in space.spaces.items()}
        convert = {key: function for key, (_, function) in parts.items()}
        return (
            {key: spec for key, (spec, _) in parts.items()},
            lambda values: {key: function(values[key]) for key, function in convert.items()},
        )
    if isinstance(space, spaces.Discrete):
        return ArraySpec((space.n,)), lambda value: jax.nn.one_hot(value, space.n)
    if isinstance(space, spaces.Box):
        shape = tuple(np.shape(np.zeros(space.shape)))
        return ArraySpec(shape), lambda value: jnp.asarray(value, jnp.float32).reshape(shape)
    raise errors.UserError(f"Observations must be Box, Discrete or a Dict of these, and this {name} is {space}.")


def _action(space: Any) -> tuple[ArraySpec, Any, Any]:
    """Returns the spec of a space's canonical actions, the function to the space's own, and its bounds."""
    if isinstance(space, spaces.Discrete):
        return ArraySpec((), "int32", int(space.n)), lambda action: action, ((0,), (int(space.n) - 1,))
    if not isinstance(space, spaces.Box):
        raise errors.UserError(f"Actions must be Discrete or Box, and this space is {space}.")
    shape = tuple(np.shape(np.zeros(space.shape))) or (1,)
    low, high = (np.broadcast_to(np.asarray(bound, np.float32), shape) for bound in (space.low, space.high))
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise errors.UserError(f"Actions must be bounded to be rescaled from [-1, 1], and this space is {space}.")

    def rescale(action: Array) -> Array:
        scaled = jnp.clip(action, -1.0, 1.0) * (high - low) / 2 + (high + low) / 2
        return jnp.clip(scaled, low, high).reshape(space.shape)

    return ArraySpec(shape), rescale, (tuple(low.ravel().tolist()), tuple(high.ravel().tolist()))
