"""Returns: what a stretch of rewards is worth."""

import chex
import jax.numpy as jnp

from acme_agents.core.types import Array


def n_step(rewards: Array, discounts: Array, valid: Array, gamma: float) -> tuple[Array, Array, Array]:
    """Collapses up to n steps of reward into one, batch-major.

    With m the number of valid steps: `reward = sum_{i<m} gamma^i (prod_{j<i} d_j) r_i` and
    `discount = gamma^m prod_{j<m} d_j`, so that `reward + discount * bootstrap` is the n-step return
    (Sutton and Barto 2018, eq. 7.1, with the environment's discounts d).

    Args:
      rewards: [B, n] float32, or [B, n, K] for K objectives.
      discounts: [B, n] float32, the environment's: 0 after a termination.
      valid: [B, n] bool, true for the first m steps, m >= 1; the rest lies behind the episode's end.
      gamma: the agent's discount, per step.

    Returns:
      reward [B] or [B, K], discount [B] and m [B] int32.
    """
    chex.assert_rank([rewards, discounts, valid], [{2, 3}, 2, 2])
    chex.assert_equal_shape_prefix([rewards, discounts, valid], 2)
    factors = jnp.where(valid, gamma * discounts, 1.0)
    cumulative = jnp.cumprod(factors, axis=1)  # [B, n]
    before = jnp.concatenate([jnp.ones_like(cumulative[:, :1]), cumulative[:, :-1]], axis=1)
    weights = jnp.where(valid, before, 0.0).reshape(valid.shape + (1,) * (rewards.ndim - 2))
    reward = jnp.sum(weights * rewards, axis=1)
    return reward, cumulative[:, -1], jnp.sum(valid, axis=1, dtype=jnp.int32)
