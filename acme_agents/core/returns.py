"""Returns: discounted sums of rewards."""

from typing import NamedTuple

import chex
import jax
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


def generalised_advantages(
    rewards: Array, discounts: Array, values: Array, valid: Array, *, gamma: float, trace_decay: float
) -> Array:
    """Generalised advantage estimates of unrolls, batch-major.

    `A_t = delta_t + gamma lambda d_{t+1} A_{t+1}`, `delta_t = r_{t+1} + gamma d_{t+1} v_{t+1} - v_t`, and zero at rows
    without a transition, so that nothing is carried over an episode's end (Schulman et al. 2016, arXiv 1506.02438, eq.
    16). A time limit (d = 1) bootstraps from the final observation's value, which is the next row's.

    Args:
      rewards: [B, T] float32; row t has r_{t+1}.
      discounts: [B, T] float32, the environment's; row t has d_{t+1}.
      values: [B, T + 1] float32, v_t of each row and of the one behind.
      valid: [B, T] bool, whether the row has a transition.
      gamma: the agent's discount, per step.
      trace_decay: lambda; 1 sums the rewards of the unroll, 0 looks one step ahead.

    Returns:
      [B, T] float32.
    """
    chex.assert_equal_shape([rewards, discounts, valid, values[:, 1:]])
    decays = jnp.where(valid, gamma * discounts, 0.0)
    errors = jnp.where(valid, rewards + decays * values[:, 1:] - values[:, :-1], 0.0)
    return _discounted_sums(errors, trace_decay * decays)


class VTrace(NamedTuple):
    """What `v_trace` returns."""

    targets: Array  # [B, T] float32, vs_t; the row's own value where there is no transition
    advantages: Array  # [B, T] float32, of the policy's gradient; zero where there is no transition


def v_trace(
    rewards: Array,
    discounts: Array,
    values: Array,
    valid: Array,
    log_ratios: Array,
    *,
    gamma: float,
    trace_decay: float = 1.0,
    max_ratio: float = 1.0,
    max_trace_ratio: float = 1.0,
) -> VTrace:
    """Value targets and advantages of unrolls that another policy acted in, batch-major (Espeholt et al. 2018).

    `vs_t = v_t + rho_t delta_t + gamma d_{t+1} lambda c_t (vs_{t+1} - v_{t+1})` with
    `delta_t = r_{t+1} + gamma d_{t+1} v_{t+1} - v_t`, `rho_t = min(max_ratio, ratio_t)` and
    `c_t = min(max_trace_ratio, ratio_t)` (arXiv 1802.01561, eq. 1 and remark 1). The advantages are
    `rho_t (r_{t+1} + gamma d_{t+1} q_{t+1} - v_t)`, `q = lambda vs + (1 - lambda) v`, and v at the unroll's end
    (section 4.2; with lambda as in rlax).

    Args:
      rewards: see `generalised_advantages`.
      discounts: see there.
      values: see there.
      valid: see there.
      log_ratios: [B, T] float32, log-probability of the action under the learnt policy less that under the one that
        acted; means nothing where there is no transition.
      gamma: see there.
      trace_decay: lambda.
      max_ratio: rho-bar.
      max_trace_ratio: c-bar.
    """
    chex.assert_equal_shape([rewards, discounts, valid, log_ratios, values[:, 1:]])
    ratios = jnp.exp(jnp.where(valid, log_ratios, 0.0))
    clipped, traces = jnp.minimum(ratios, max_ratio), trace_decay * jnp.minimum(ratios, max_trace_ratio)
    decays = jnp.where(valid, gamma * discounts, 0.0)
    errors = jnp.where(valid, clipped * (rewards + decays * values[:, 1:] - values[:, :-1]), 0.0)
    targets = values[:, :-1] + _discounted_sums(errors, traces * decays)
    later = jnp.concatenate(
        [trace_decay * targets[:, 1:] + (1.0 - trace_decay) * values[:, 1:-1], values[:, -1:]], axis=1
    )
    advantages = jnp.where(valid, clipped * (rewards + decays * later - values[:, :-1]), 0.0)
    return VTrace(targets, advantages)


def _discounted_sums(errors: Array, decays: Array) -> Array:
    """`x_t = errors_t + decays_t x_{t+1}`, zero behind the end: [B, T] each."""

    def step(later: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        error, decay = now
        later = error + decay * later
        return later, later

    _, sums = jax.lax.scan(step, jnp.zeros(errors.shape[0]), (errors.T, decays.T), reverse=True)
    return sums.T


def so_far(rewards: Array, valid: Array, *, gamma: float, first: Array) -> Array:
    """The discounted return of the episode up to each reward: `x_t = r_{t+1} + gamma x_{t-1}`, batch-major.

    Args:
      rewards: [B, T] float32; row t has r_{t+1}.
      valid: [B, T] bool, whether the row has a transition; behind a row without one an episode begins.
      gamma: per step.
      first: [B] float32, what there is before the first row, `sum_i gamma^i r_{-i}`.

    Returns:
      [B, T] float32, 0 at rows without a transition.
    """
    chex.assert_equal_shape([rewards, valid])
    chex.assert_equal_shape([rewards[:, 0], first])

    def step(before: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        reward, is_valid = now
        total = jnp.where(is_valid, gamma * before + reward, 0.0)
        return total, total

    return jax.lax.scan(step, first, (rewards.T, valid.T))[1].T


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
