"""Running means and variances, for inputs and rewards of about the same size everywhere."""

from typing import Any, NamedTuple

import chex
import jax.numpy as jnp

from acme_agents.core.types import Array


class Moments(NamedTuple):
    """Mean and variance of all numbers so far, for each number of an array of shape [*O]."""

    mean: Array  # [*O] float32
    variance: Array  # [*O] float32
    number: Array  # [] float32, how many


def init(shape: tuple[int, ...]) -> Moments:
    """A mean of zero and a variance of one, which the first numbers replace."""
    return Moments(jnp.zeros(shape), jnp.ones(shape), jnp.zeros(()))


def add(moments: Moments, values: Array, counts: Array) -> Moments:
    """The moments with further numbers (Chan et al. 1979, the parallel algorithm).

    Args:
      moments: of shape [*O].
      values: [N, *O] float32.
      counts: [N] bool, which of them count.
    """
    chex.assert_shape(values, (counts.shape[0], *moments.mean.shape))
    number = jnp.sum(counts).astype(jnp.float32)
    weights = counts.reshape(-1, *[1] * (values.ndim - 1))
    divisor = jnp.maximum(number, 1.0)
    mean = jnp.sum(jnp.where(weights, values, 0.0), axis=0) / divisor
    variance = jnp.sum(jnp.where(weights, jnp.square(values - mean[None]), 0.0), axis=0) / divisor
    total = moments.number + number
    share = number / jnp.maximum(total, 1.0)
    difference = mean - moments.mean
    return Moments(
        moments.mean + share * difference,
        (1.0 - share) * moments.variance + share * variance + share * (1.0 - share) * jnp.square(difference),
        total,
    )


def normalise(values: Any, mean: Array, stddev: Array, *, limit: float) -> Array:
    """`(values - mean) / stddev`, clipped to [-limit, limit]: [..., *O] float32."""
    leading = (1,) * (values.ndim - mean.ndim)
    centred = values.astype(jnp.float32) - mean.reshape(*leading, *mean.shape)
    return jnp.clip(centred / stddev.reshape(*leading, *stddev.shape), -limit, limit)


def stddev(moments: Moments) -> Array:
    """The standard deviation, at least 1e-4: [*O]."""
    return jnp.sqrt(moments.variance + 1e-8)
