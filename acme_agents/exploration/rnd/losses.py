"""The error of random network distillation, and how it is scaled (Burda et al. 2018, arXiv 1810.12894, section 2)."""

import chex
import jax
import jax.numpy as jnp

from acme_agents.core import masks, returns, running
from acme_agents.core.running import Moments
from acme_agents.core.types import Array


def errors(predicted: Array, target: Array) -> Array:
    """`mean_e (f_hat_e - sg(f_e))^2`, of each observation (section 2.2, over the embedding's size).

    Args:
      predicted: [..., E] float32. target: [..., E] float32.

    Returns:
      [...] float32.
    """
    chex.assert_equal_shape([predicted, target])
    return jnp.mean(jnp.square(predicted - jax.lax.stop_gradient(target)), axis=-1)


def scaled(errors: Array, valid: Array, moments: Moments, *, gamma: float) -> tuple[Array, Array, Moments]:
    """The errors over the running deviation of their discounted returns, these included (section 2.4).

    A return begins with its stretch or its episode.

    Args:
      errors: [B, T] float32, of each transition.
      valid: [B, T] bool, whether there is one.
      moments: of all returns before.
      gamma: the discount of the returns.

    Returns:
      The rewards [B, T], the deviation [] and the moments with these returns.
    """
    chex.assert_rank([errors, valid], 2)
    totals = returns.so_far(errors, valid, gamma=gamma, first=jnp.zeros(errors.shape[0]))
    moments = running.add(moments, totals.reshape(-1), valid.reshape(-1))
    scale = running.stddev(moments)
    return errors / scale, scale, moments


def loss(errors: Array, valid: Array, chosen: Array) -> Array:
    """The mean error of the transitions that are valid and chosen: [], of [B, T] each."""
    return masks.mean_where(errors, valid & chosen)
