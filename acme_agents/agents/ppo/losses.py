"""PPO's losses, of each row of a minibatch."""

import chex
import jax.numpy as jnp

from acme_agents.core import masks
from acme_agents.core.types import Array


def clipped_surrogate(log_ratio: Array, advantage: Array, clip: Array | float) -> Array:
    """`-min(ratio A, clip(ratio, 1 - epsilon, 1 + epsilon) A)` (Schulman et al. 2017, arXiv 1707.06347, eq. 7).

    Args:
      log_ratio: [B] float32, log-probability of the action now, less what it was when it was taken.
      advantage: [B] float32.
      clip: epsilon.

    Returns:
      [B] float32.
    """
    chex.assert_rank([log_ratio, advantage], 1)
    chex.assert_equal_shape([log_ratio, advantage])
    ratio = jnp.exp(log_ratio)
    return -jnp.minimum(ratio * advantage, jnp.clip(ratio, 1.0 - clip, 1.0 + clip) * advantage)


def value_loss(value: Array, old_value: Array, target: Array, clip: float | None) -> Array:
    """Half the square of the value's error, or of the error of the value clipped around the old one, if that is larger.

    `max((v - R)^2, (v_old + clip(v - v_old, -epsilon, epsilon) - R)^2) / 2`, as OpenAI's code has it (Huang et al.
    2022, detail 9).

    Args:
      value: [B] float32.
      old_value: [B] float32, before the update.
      target: [B] float32, R.
      clip: epsilon; None leaves the clipping out.

    Returns:
      [B] float32.
    """
    chex.assert_rank([value, old_value, target], 1)
    chex.assert_equal_shape([value, old_value, target])
    error = jnp.square(value - target)
    if clip is not None:
        error = jnp.maximum(error, jnp.square(old_value + jnp.clip(value - old_value, -clip, clip) - target))
    return 0.5 * error


def standardised(advantage: Array, valid: Array) -> Array:
    """Advantages [B] with mean 0 and deviation 1 over the rows that are `valid` [B] bool."""
    centred = advantage - masks.mean_where(advantage, valid)
    return centred / (jnp.sqrt(masks.mean_where(jnp.square(centred), valid)) + 1e-8)
