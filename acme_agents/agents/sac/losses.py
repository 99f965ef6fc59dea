"""SAC's target and losses (Haarnoja et al. 2018, arXiv 1812.05905); the subset of critics is REDQ's."""

from typing import Literal

import chex
import jax
import jax.numpy as jnp

from acme_agents.core.types import Array


def target(r_t: Array, discount_t: Array, q_t: Array, log_prob_t: Array, temperature: Array) -> Array:
    """The soft value's bootstrap: `r + discount (min_m Q_m - alpha log pi)`, without gradient (eqs. 2, 3).

    Args:
      r_t: [B]. discount_t: [B].
      q_t: [M, B], of the chosen target critics at an action of the policy.
      log_prob_t: [B], of that action, in nats.
      temperature: [], alpha.

    Returns:
      [B] float32.
    """
    chex.assert_rank([r_t, discount_t, q_t, log_prob_t, temperature], [1, 1, 2, 1, 0])
    chex.assert_equal_shape([r_t, discount_t, q_t[0], log_prob_t])
    return jax.lax.stop_gradient(r_t + discount_t * (jnp.min(q_t, axis=0) - temperature * log_prob_t))


def critic_loss(q_tm1: Array, target_tm1: Array) -> Array:
    """`sum_k mean_b (y_b - Q_kb)^2 / 2`: every critic by itself, to the same target (eq. 5).

    Args:
      q_tm1: [K, B]. target_tm1: [B].

    Returns:
      [] float32.
    """
    chex.assert_rank([q_tm1, target_tm1], [2, 1])
    chex.assert_equal_shape([q_tm1[0], target_tm1])
    return 0.5 * jnp.sum(jnp.mean(jnp.square(target_tm1[None] - q_tm1), axis=1))


def policy_loss(q_values: Array, log_prob: Array, temperature: Array, value: Literal["min", "mean"]) -> Array:
    """`mean_b (alpha log pi - Q)` of the policy's own actions, Q the least or the mean of the critics (eq. 9).

    Args:
      q_values: [K, B], with a gradient through the actions. log_prob: [B], in nats. temperature: [], alpha.
      value: "min" or "mean".

    Returns:
      [] float32.
    """
    chex.assert_rank([q_values, log_prob, temperature], [2, 1, 0])
    chex.assert_equal_shape([q_values[0], log_prob])
    q_value = jnp.min(q_values, axis=0) if value == "min" else jnp.mean(q_values, axis=0)
    return jnp.mean(jax.lax.stop_gradient(temperature) * log_prob - q_value)


def temperature_loss(log_temperature: Array, log_prob: Array, target_entropy: float) -> Array:
    """`log alpha (mean_b (-log pi) - H)`: the temperature rises while the entropy is below H (eq. 18, with a log).

    Args:
      log_temperature: []. log_prob: [B], in nats; no gradient flows into it. target_entropy: H, in nats.

    Returns:
      [] float32.
    """
    chex.assert_rank([log_temperature, log_prob], [0, 1])
    return log_temperature * jax.lax.stop_gradient(jnp.mean(-log_prob) - target_entropy)
