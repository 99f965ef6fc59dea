"""What HCA's credit is, and its losses (Harutyunyan et al. 2019, arXiv 1912.02503), of unrolls, batch-major."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from acme_agents.core import masks
from acme_agents.core.types import Array


class Futures(NamedTuple):
    """What each row of an unroll leads to within its episode."""

    weight: (
        Array  # [B, T, T + 1] float32: of row j as seen from row i, gamma^(j-i) prod_{i<=k<j} d_{k+1}; 0 unless i < j
    )
    payoff: Array  # [B, T + 1] float32: what row j earns, or its value where it is the last that is known
    returns: Array  # [B, T] float32: the return from row i on, bootstrapped; 0 in rows without a transition


def futures(rewards: Array, discounts: Array, values: Array, valid: Array, *, gamma: float) -> Futures:
    """What each row leads to, up to its episode's end or the unroll's.

    A row without a transition is an episode's final observation: its value is what it pays, which counts if the episode
    was cut short (d = 1) and not if it ended for good (d = 0). So does the row behind the unroll.

    Args:
      rewards: [B, T] float32; row t has r_{t+1}.
      discounts: [B, T] float32, the environment's; row t has d_{t+1}.
      values: [B, T + 1] float32, v_t of each row and of the one behind.
      valid: [B, T] bool, whether the row has a transition.
      gamma: the agent's discount, per step.
    """
    chex.assert_equal_shape([rewards, discounts, valid, values[:, 1:]])
    row = jnp.arange(valid.shape[1])
    decays = jnp.where(valid, gamma * discounts, 0.0)
    ahead = (row[None] >= row[:, None])[None]  # [1, T, T]: k >= i
    products = jnp.cumprod(jnp.where(ahead, decays[:, None], 1.0), axis=2)  # over i <= k <= j - 1
    weight = jnp.pad(jnp.where(ahead, products, 0.0), ((0, 0), (0, 0), (1, 0)))
    earned = jnp.where(valid, rewards, 0.0)
    payoff = jnp.concatenate([jnp.where(valid, rewards, values[:, :-1]), values[:, -1:]], axis=1)
    return Futures(weight, payoff, earned + jnp.einsum("bij,bj->bi", weight, payoff) * valid)


def state_credit(
    log_policy: Array, log_hindsight: Array, reward: Array, found: Futures, *, max_ratio: float | None
) -> Array:
    """The weight of each action's log-probability: `pi(a|x_i) (Q(x_i, a) - sum_j>i w_ij y_j)`.

    `Q(x_i, a) = r(x_i, a) + sum_{j>i} w_ij (h(a|x_i, x_j) / pi(a|x_i)) y_j` (theorem 1 and algorithm 1), so that it is
    `pi(a|x_i) r(x_i, a) + sum_{j>i} w_ij (h(a|x_i, x_j) - pi(a|x_i)) y_j`: without clipping nothing is divided by pi.

    Args:
      log_policy: [B, T, A] float32, log pi.
      log_hindsight: [B, T, T + 1, A] float32, log h.
      reward: [B, T, A] float32, r(x_i, a).
      found: see `futures`.
      max_ratio: h / pi is clipped to it; None for no clipping.

    Returns:
      [B, T, A] float32.
    """
    policy = jnp.exp(log_policy)
    chosen = jnp.exp(log_hindsight)
    if max_ratio is not None:
        chosen = jnp.minimum(chosen, max_ratio * policy[:, :, None])
    hindsight = jnp.einsum("bij,bj,bija->bia", found.weight, found.payoff, chosen - policy[:, :, None])
    return policy * reward + hindsight


def all_action_loss(log_policy: Array, credit: Array, valid: Array) -> Array:
    """`-sum_a sg(credit(a)) log pi(a)`, [], mean over the rows that have an action.

    Its gradient in the logits is, for minus one row, the credit less pi times the sum of all actions' credit.
    """
    chex.assert_equal_shape([log_policy, credit])
    return -masks.mean_where(jnp.sum(jax.lax.stop_gradient(credit) * log_policy, axis=-1), valid)


def state_hindsight_loss(log_hindsight: Array, actions: Array, weight: Array) -> Array:
    """Cross-entropy of each row's action given each later row, weighted as the credit weighs it: [].

    One h for all distances j - i is right if its law mixes them as the sum over j does (the paper's h_beta).

    Args:
      log_hindsight: [B, T, T + 1, A] float32, log h.
      actions: [B, T] int32.
      weight: [B, T, T + 1] float32, of `Futures`.
    """
    taken = jnp.take_along_axis(log_hindsight, actions[:, :, None, None], axis=-1)[..., 0]
    chex.assert_equal_shape([taken, weight])
    return -jnp.sum(weight * taken) / jnp.maximum(jnp.sum(weight), 1e-6)


def bin_of(error: Array, num_bins: int, max_error: float) -> Array:
    """The bin [...] int32 whose centre is nearest; the centres lie evenly from -max_error to max_error."""
    place = (error / max_error + 1.0) * (0.5 * (num_bins - 1))
    return jnp.clip(jnp.round(place), 0, num_bins - 1).astype(jnp.int32)


def return_advantage(
    log_prob: Array, log_hindsight: Array, returns: Array, values: Array, *, max_ratio: float | None
) -> Array:
    """`(1 - pi(a_i|x_i) / h(a_i|x_i, Z_i)) (Z_i - V(x_i))` (theorem 2, where V is 0).

    The ratio's mean over the returns that follow an action is 1, so that any number that depends on x_i alone may be
    taken from Z_i. With V the error of an untrained h, for which the ratio is not 1 in the mean, is multiplied by less.

    Args:
      log_prob: [B, T] float32, log pi of the action taken.
      log_hindsight: [B, T] float32, log h of it, given the return.
      returns: [B, T] float32, Z.
      values: [B, T] float32, V.
      max_ratio: pi / h is clipped to it; None for no clipping.

    Returns:
      [B, T] float32.
    """
    chex.assert_equal_shape([log_prob, log_hindsight, returns, values])
    ratio = jnp.exp(log_prob - log_hindsight)
    if max_ratio is not None:
        ratio = jnp.minimum(ratio, max_ratio)
    return (1.0 - ratio) * (returns - values)
