"""Distributions as plain pytrees of parameters, so that they pass through vmap, scan and jit."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from acme_agents.core.types import Array, Key

LOG_SQRT_2PI = 0.9189385332046727


class Gaussian(NamedTuple):
    """Independent normals, one for each of A dimensions."""

    mean: Array  # [..., A]
    stddev: Array  # [..., A]


def sample(key: Key, gaussian: Gaussian, num_samples: int) -> Array:
    """[N, ..., A] samples of a Gaussian of batch shape [...]."""
    noise = jax.random.normal(key, (num_samples, *gaussian.mean.shape))
    return gaussian.mean[None] + gaussian.stddev[None] * noise


def log_prob(gaussian: Gaussian, x: Array) -> Array:
    """The log-density of `x` [..., A] under a Gaussian of the same batch shape: [...], in nats."""
    chex.assert_equal_rank([gaussian.mean, x])
    standardised = (x - gaussian.mean) / gaussian.stddev
    return jnp.sum(-0.5 * jnp.square(standardised) - jnp.log(gaussian.stddev) - LOG_SQRT_2PI, axis=-1)


def kl_divergence(p: Gaussian, q: Gaussian) -> Array:
    """KL(p || q) of each dimension by itself, both [..., A]: [..., A], in nats."""
    chex.assert_equal_shape([p.mean, q.mean])
    ratio = jnp.square(p.stddev / q.stddev)
    distance = jnp.square((p.mean - q.mean) / q.stddev)
    return 0.5 * (ratio + distance - 1.0 - jnp.log(ratio))
