"""Returns: discounted sums of rewards."""

import chex
import jax.numpy as jnp

from acme_agents.core.types import Array

_RESCALE_EPSILON = 1e-3  # keeps the inverse of the rescaling Lipschitz


def clip(rewards: Array, max_abs_reward: float | None) -> Array:
    """The rewards, of any shape, clipped to [-max_abs_reward, max_abs_reward]; None leaves them as they are."""
    return rewards if max_abs_reward is None else jnp.clip(rewards, -max_abs_reward, max_abs_reward)


def n_step(rewards: Array, discounts: Array, valid: Array, gamma: float) -> tuple[Array, Array, Array]:
    """Collapses up to n steps of reward into one, batch-major.

    With m the number of valid steps: `reward = sum_{i<m} gamma^i (prod_{j<i} d_j) r_i` and
    `discount = gamma^m prod_{j<m} d_j`, so that `reward + discount * bootstrap` is the n-step return
    (Sutton and Barto 2018, eq. 7.1, with the environment's discounts d).

    Args:
      rewards: [B, n] float32, or [B, n, K] for K objectives.
      discounts: [B, n] float32, the environment's: 0 after a termination.
      valid: [B, n] bool, true for the first m steps, m >= 1; the others lie behind the episode's end.
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


def n_step_targets(rewards: Array, discounts: Array, values: Array, num_steps: Array, *, gamma: float, n: int) -> Array:
    """The n-step target of every transition of a batch of sequences, batch-major.

    `target_t = sum_{i<m} gamma^i (prod_{j<i} d_{t+j+1}) r_{t+i+1} + gamma^m (prod_{j<m} d_{t+j+1}) v_{t+m}`, where m
    is n or, near the end, what is left of the sequence: the last row in use is bootstrapped from.

    Args:
      rewards: [B, T] float32; row t has r_{t+1}.
      discounts: [B, T] float32, the environment's; row t has d_{t+1}.
      values: [B, T] float32, v_t of each row.
      num_steps: [B] int32, rows in use; the rows behind them have no part in any target before them.
      gamma: the agent's discount, per step.
      n: steps of reward before the bootstrap.

    Returns:
      [B, T - 1] float32; from row num_steps - 1 on it means nothing.
    """
    chex.assert_rank([rewards, discounts, values, num_steps], [2, 2, 2, 1])
    chex.assert_equal_shape([rewards, discounts, values])
    num_transitions = rewards.shape[1] - 1
    row = jnp.arange(rewards.shape[1])[None]  # [1, T]
    last_row = num_steps[:, None] - 1  # [B, 1]
    # Behind the last row in use the process stays there, unrewarded and undiscounted: every window may be n steps long.
    padding = ((0, 0), (0, n - 1))
    rewards = jnp.pad(jnp.where(row < last_row, rewards, 0.0)[:, :-1], padding)
    factors = jnp.pad(jnp.where(row < last_row, gamma * discounts, 1.0)[:, :-1], padding, constant_values=1.0)
    values = jnp.where(row < last_row, values, jnp.take_along_axis(values, last_row, axis=1))
    target = jnp.pad(values, padding, mode="edge")[:, n : n + num_transitions]
    for i in reversed(range(n)):
        window = slice(i, i + num_transitions)
        target = rewards[:, window] + factors[:, window] * target
    return target


def rescale(x: Array) -> Array:
    """Makes large returns smaller: `h(x) = sign(x) (sqrt(|x| + 1) - 1) + eps x`, eps = 1e-3, elementwise.

    Source: Pohlen et al. 2018 (arXiv 1805.11593), section 3.2; R2D2 has eps = 1e-3. The root is written as a quotient,
    which loses no digits near zero and has the right gradient there.
    """
    return x * (1.0 / (jnp.sqrt(jnp.abs(x) + 1.0) + 1.0) + _RESCALE_EPSILON)


def unrescale(x: Array) -> Array:
    """The inverse of `rescale`, elementwise: `sign(x) (z^2 - 1)`, `z = (s - 1) / (2 eps)`.

    `s = sqrt(1 + 4 eps (|x| + 1 + eps))` (Pohlen et al. 2018, proposition A.2). In this form float32 keeps only three
    digits at 0.1; here z - 1 is a product without a difference of like numbers, and z^2 - 1 = (z - 1) (z + 1).
    """
    eps = _RESCALE_EPSILON
    s = jnp.sqrt(1.0 + 4.0 * eps * (jnp.abs(x) + 1.0 + eps))
    slope = 2.0 * (1.0 - 2.0 * eps / (s + 1.0 + 2.0 * eps)) / (1.0 + s)  # (z - 1) / |x|
    return x * slope * (slope * jnp.abs(x) + 2.0)
