"""Preferences: M non-negative weights that sum to one, of the K objectives and last of a behaviour if there is one."""

import jax
import jax.numpy as jnp

from acme_agents.agents.dime.config import Config
from acme_agents.core import errors
from acme_agents.core.types import Array, EnvironmentSpec, Key


def num_objectives(spec: EnvironmentSpec) -> int:
    """K, of an environment with one reward or a vector of them."""
    return spec.reward.shape[0] if spec.reward.shape else 1


def from_config(config: Config, spec: EnvironmentSpec) -> Array:
    """The configured preference, [M] float32.

    Raises:
      UserError: it has not M entries, or a negative one, or only zeros; or there is but one and nothing to condition
        a policy on.
    """
    k = num_objectives(spec)
    size = k + (config.behaviour != "none")
    needed = f"{size} entries, of the environment's {k} objectives" + " and of the behaviour" * (size > k)
    if config.conditioned and size == 1:
        raise errors.UserError(
            "A conditioned policy needs more than one objective, and this environment has one reward."
        )
    preference = config.preference or (1.0,) * size
    if len(preference) != size:
        raise errors.UserError(f"preference must have {needed}, not {len(preference)}.")
    if not (min(preference) >= 0.0 < sum(preference) < float("inf")):
        raise errors.UserError(f"preference must have {needed}, none negative and not all zero: it is {preference}.")
    return jnp.array(preference, jnp.float32) / sum(preference)


def sample(key: Key, batch_size: int, size: int) -> Array:
    """[B, M] float32, uniform on the simplex: Dirichlet(1, ..., 1), which is U[0, 1] for the first of two."""
    exponential = jax.random.exponential(key, (batch_size, size))
    return exponential / jnp.sum(exponential, axis=-1, keepdims=True)
