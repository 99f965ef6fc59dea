"""The environments of Brax, in pure JAX: `brax:halfcheetah`. They need the extra `brax`, on Python 3.11 and newer.

Episodes are cut short after 1,000 steps, as Brax's own training does it.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from brax import envs

from acme_agents.core.types import Action, Array, ArraySpec, EnvironmentSpec, Key
from acme_agents.environments import naming, pure
from acme_agents.environments.pure import Pure, TimeStep

_EPISODE_STEPS = 1_000


def names() -> list[str]:
    """Returns every registered name."""
    return sorted(envs._envs)


def problem(name: str) -> str | None:
    """Returns what is wrong with a name, or None."""
    return None if name in envs._envs else naming.suggest(name, names())


def make_pure(name: str) -> Pure:
    """Makes the functions of an environment with Brax's own parameters."""
    environment = envs.get_environment(name)

    def observe(state: Any) -> Any:
        return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), state.obs)

    def init(key: Key) -> tuple[Any, Any]:
        state = environment.reset(key)
        return state, observe(state)

    def step(state: Any, action: Action) -> tuple[Any, TimeStep]:
        state = environment.step(state, jnp.clip(action, -1.0, 1.0))
        is_over = state.done > 0
        return state, TimeStep(
            jnp.asarray(state.reward, jnp.float32), 1.0 - is_over.astype(jnp.float32), is_over, observe(state)
        )

    def spec_of(array: Array) -> ArraySpec:
        return ArraySpec(array.shape, np.dtype(array.dtype).name)

    observation = jax.eval_shape(lambda key: init(key)[1], jax.ShapeDtypeStruct((2,), "uint32"))
    size = int(environment.action_size)
    bounds = ((-1.0,) * size, (1.0,) * size)
    spec = EnvironmentSpec(jax.tree.map(spec_of, observation), ArraySpec((size,)), action_bounds=bounds)
    return pure.limited(Pure(spec, init, step, frames_per_second=float(1 / environment.dt)), _EPISODE_STEPS)
