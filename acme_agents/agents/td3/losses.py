"""TD3's targets and losses (Fujimoto et al. 2018, arXiv 1802.09477, algorithm 1), and TD3+BC's."""

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


def policy_loss(q_value: Array, action: Action, data_action: Action, alpha: float | None) -> Array:
    """The policy's loss `-mean_b Q(s_b, pi(s_b))`, or TD3+BC's (Fujimoto and Gu 2021, arXiv 2106.06860, eq. 5).

    That is `-lambda mean_b Q(s_b, pi(s_b)) + mean_b,i (pi(s_b) - a_b)_i^2`, with `lambda = alpha / mean_b |Q|` without
    gradient, so that the weight of imitation does not depend on the rewards' scale.

    Args:
      q_value: [B], of the policy's actions. action: [B, A], these. data_action: [B, A].
      alpha: None does not imitate.

    Returns:
      [] float32.
    """
    chex.assert_rank([q_value, action], [1, 2])
    chex.assert_equal_shape([action, data_action])
    if alpha is None:
        return -jnp.mean(q_value)
    scale = jax.lax.stop_gradient(jnp.maximum(jnp.mean(jnp.abs(q_value)), 1e-6))
    return jnp.mean(jnp.square(action - data_action)) - alpha * jnp.mean(q_value) / scale
