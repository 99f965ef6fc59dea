"""Qsarsa's losses: critics near a SARSA estimate of the behaviour's values (after Shi et al. 2023, arXiv 2307.13824).

The paper's formulas could not be read: these are reconstructed from its abstract and notes on it (unverified).
"""

import chex
import jax
import jax.numpy as jnp

from acme_agents.core import masks
from acme_agents.core.types import Array


def sarsa_loss(q_tm1: Array, r_t: Array, discount_t: Array, q_t: Array, counts: Array) -> Array:
    """`mean_b (r + discount Q'(s', a') - Q(s, a))^2` with the data's own a', whose target has no gradient.

    Args:
      q_tm1: [B], at the data's actions. r_t: [B]. discount_t: [B].
      q_t: [B], of the target network at the data's next actions.
      counts: [B] bool, whether the data has a next action or needs none; the mean is over these.

    Returns:
      [] float32.
    """
    chex.assert_rank([q_tm1, r_t, discount_t, q_t, counts], 1)
    chex.assert_equal_shape([q_tm1, r_t, discount_t, q_t, counts])
    target = jax.lax.stop_gradient(r_t + discount_t * q_t)
    return masks.mean_where(jnp.square(target - q_tm1), counts)


def trust(q: Array, q_sarsa: Array, gap: float) -> Array:
    """How much a bootstrap counts, `1 / (1 + (max_k |Q_k - Q_sarsa| / gap)^2)`, without gradient.

    Args:
      q: [K, B], at the actions that are bootstrapped from. q_sarsa: [B], there.
      gap: in units of the return, where a bootstrap counts a half.

    Returns:
      [B] float32, in (0, 1].
    """
    return jax.lax.stop_gradient(1.0 / (1.0 + jnp.square(jnp.max(distance(q, q_sarsa), axis=0) / gap)))


def td_loss(q_tm1: Array, target_tm1: Array, weights: Array) -> Array:
    """TD3's loss, `sum_k mean_b w_b (y_b - Q_kb)^2`, each transition by its weight.

    Args:
      q_tm1: [K, B]. target_tm1: [B]. weights: [B].

    Returns:
      [] float32.
    """
    chex.assert_rank([q_tm1, target_tm1, weights], [2, 1, 1])
    chex.assert_equal_shape([q_tm1[0], target_tm1, weights])
    return jnp.sum(jnp.mean(weights[None] * jnp.square(target_tm1[None] - q_tm1), axis=1))


def near_estimate(q: Array, q_sarsa: Array, counts: Array) -> Array:
    """`sum_k mean_b (Q_kb - Q_sarsa,b)^2`, without gradient in the estimate.

    Args:
      q: [K, B]. q_sarsa: [B], at the same actions. counts: [B] bool; the mean is over these.

    Returns:
      [] float32.
    """
    return jnp.sum(jax.vmap(masks.mean_where, (0, None))(jnp.square(distance(q, q_sarsa)), counts))


def distance(q: Array, q_sarsa: Array) -> Array:
    """`|Q_k - Q_sarsa|` [K, B] of critics [K, B] from the estimate [B], without gradient in the estimate."""
    chex.assert_rank([q, q_sarsa], [2, 1])
    chex.assert_equal_shape([q[0], q_sarsa])
    return jnp.abs(q - jax.lax.stop_gradient(q_sarsa)[None])
