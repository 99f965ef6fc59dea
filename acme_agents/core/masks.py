"""Means over a part of a batch."""

import chex
import jax.numpy as jnp

from acme_agents.core.types import Array


def mean_where(values: Array, counts: Array) -> Array:
    """The mean of the `values` [...] at which `counts` [...] bool is true; zero if it never is."""
    chex.assert_equal_shape([values, counts])
    return jnp.sum(jnp.where(counts, values, 0.0)) / jnp.maximum(jnp.sum(counts), 1)
