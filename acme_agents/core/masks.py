"""Means over a part of a batch."""

import chex
import jax.numpy as jnp

from acme_agents.core.types import Array


def mean_where(values: Array, counts: Array) -> Array:
    """The mean of those `values` [...] that count [...] bool; zero if none does."""
    chex.assert_equal_shape([values, counts])
    return jnp.sum(jnp.where(counts, values, 0.0)) / jnp.maximum(jnp.sum(counts), 1)
