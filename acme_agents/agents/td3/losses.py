"""TD3's targets and losses (Fujimoto et al. 2018, arXiv 1802.09477, algorithm 1)."""

import chex
import jax
import jax.numpy as jnp

from acme_agents.core.types import Action, Array


def smoothed(action: Action, noise: Array, bound: float) -> Action:
    """Target policy smoothing: `clip(a + clip(noise, -c, c), -1, 1)` (section 5.3).

    Args:
      action: [B, A], of the target policy.
      noise: [B, A].
      bound: c.

    Returns:
      [B, A] float32.
    """
    chex.assert_rank(action, 2)
    chex.assert_equal_shape([action, noise])
    return jnp.clip(action + jnp.clip(noise, -bound, bound), -1.0, 1.0)


def target(r_t: Array, discount_t: Array, q_t: Array) -> Array:
    """Clipped double Q-learning: `r + discount min_k Q_k`, without gradient (eq. 10).

    Args:
      r_t: [B]. discount_t: [B]. q_t: [K, B], of the target critics at the bootstrap state.

    Returns:
      [B] float32.
    """
    chex.assert_rank([r_t, discount_t, q_t], [1, 1, 2])
    chex.assert_equal_shape([r_t, discount_t, q_t[0]])
    return jax.lax.stop_gradient(r_t + discount_t * jnp.min(q_t, axis=0))


def critic_loss(q_tm1: Array, target_tm1: Array) -> Array:
    """`sum_k mean_b (y_b - Q_kb)^2`: every critic by itself, to the same target.

    Args:
      q_tm1: [K, B]. target_tm1: [B].

    Returns:
      [] float32.
    """
    chex.assert_rank([q_tm1, target_tm1], [2, 1])
    chex.assert_equal_shape([q_tm1[0], target_tm1])
    return jnp.sum(jnp.mean(jnp.square(target_tm1[None] - q_tm1), axis=1))
