"""The losses of BYOL-Explore's predictions, and what is paid for them (Guo et al. 2022, arXiv 2206.08332).

L(t, k) is the loss of row t's prediction of what is observed k = 1 .. K steps later; an array of them is [B, T, K].
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from acme_agents.core import masks
from acme_agents.core.types import Array

_EPSILON = 1e-8


def following(rows: Array, horizon: int) -> Array:
    """Rows t .. t + K - 1 of each row t: [B, T, ...] to [B, T, K, ...]; what lies behind the last row is zero."""
    padded = jnp.pad(rows, [(0, 0), (0, horizon - 1)] + [(0, 0)] * (rows.ndim - 2))
    return jnp.stack([padded[:, k : k + rows.shape[1]] for k in range(horizon)], axis=2)


def foreseen(valid: Array, horizon: int) -> Array:
    """Which predictions there are: [B, T, K] bool, whether row t + k is of row t's episode, and among the rows.

    Args:
      valid: [B, T] bool, whether row t has a transition, to row t + 1.
      horizon: K.
    """
    return jnp.cumprod(following(valid, horizon), axis=2).astype(bool)


def unit(x: Array) -> Array:
    """Vectors of length one, [..., E]."""
    return x * jax.lax.rsqrt(jnp.sum(jnp.square(x), axis=-1, keepdims=True) + _EPSILON)


def prediction_losses(predicted: Array, target: Array) -> Array:
    """`|| p / |p| - sg(x / |x|) ||^2`, which is twice one less the cosine, of each prediction.

    Args:
      predicted: [..., E]. target: [..., E].

    Returns:
      [...] float32.
    """
    chex.assert_equal_shape([predicted, target])
    return jnp.sum(jnp.square(unit(predicted) - jax.lax.stop_gradient(unit(target))), axis=-1)


def mean_loss(losses: Array, there: Array) -> Array:
    """The mean over k of each row's predictions, and of that over the rows that have any.

    Args:
      losses: [B, T, K], L(t, k). there: [B, T, K] bool, which of them there are.

    Returns:
      [] float32.
    """
    chex.assert_equal_shape([losses, there])
    number = jnp.sum(there, axis=2)
    each = jnp.sum(jnp.where(there, losses, 0.0), axis=2) / jnp.maximum(number, 1)
    return masks.mean_where(each, number > 0)


def uncertainty(losses: Array, there: Array) -> Array:
    """`l_t = sum_{p + q = t + 1} L(p, q)`: what a transition led to pays the losses of all predictions of it.

    Args:
      losses: [B, T, K], L(t, k). there: [B, T, K] bool, which of them there are.

    Returns:
      [B, T] float32, of the transition from row t to row t + 1.
    """
    chex.assert_equal_shape([losses, there])
    paid = jnp.where(there, losses, 0.0)
    num_rows = losses.shape[1]
    # L(t, k) is paid at the transition t + k - 1.
    later = [jnp.pad(paid[:, : num_rows - k, k], ((0, 0), (k, 0))) for k in range(losses.shape[2])]
    return sum(later[1:], start=later[0])


class Scale(NamedTuple):
    """Running means, [] float32 each, that begin at zero: divided by `1 - decay^number` they are means."""

    mean: Array  # of the uncertainty
    square: Array  # of its square
    threshold: Array  # of the normalised uncertainty
    number: Array  # updates


def init_scale() -> Scale:
    """Before the first update."""
    return Scale(*(jnp.zeros(()) for _ in Scale._fields))


class Paid(NamedTuple):
    """What `pay` makes of the uncertainty."""

    reward: Array  # [B, T] float32
    scale: Array  # [] float32, sigma
    threshold: Array  # [] float32, mu


def metrics_of(paid: Paid, uncertainty: Array, valid: Array) -> dict[str, Array]:
    """What a table of the learner's says of the payment."""
    return {
        "uncertainty": masks.mean_where(uncertainty, valid),
        "scale": paid.scale,
        "threshold": paid.threshold,
        "paid": masks.mean_where((paid.reward > 0.0).astype(jnp.float32), valid),
    }


def pay(uncertainty: Array, valid: Array, scale: Scale, *, decay: float, prioritise: bool) -> tuple[Paid, Scale]:
    """`r = max(l / sigma - mu, 0)`: sigma is the running deviation of l, and mu the running mean of `l / sigma`.

    Both are of the batches so far, this one included; `sigma = sqrt(max(m_2 - m_1^2, 0))` of the running means m_1 of l
    and m_2 of its square.

    Args:
      uncertainty: [B, T], l.
      valid: [B, T] bool, whether the row has a transition.
      scale: before this batch.
      decay: share of the running means that an update keeps.
      prioritise: whether to pay what is above mu only; otherwise `r = l / sigma`.
    """
    number = scale.number + 1.0

    def running(old: Array, values: Array) -> tuple[Array, Array]:
        new = decay * old + (1.0 - decay) * masks.mean_where(values, valid)
        return new, new / (1.0 - decay**number)

    mean, mean_now = running(scale.mean, uncertainty)
    square, square_now = running(scale.square, jnp.square(uncertainty))
    sigma = jnp.sqrt(jnp.maximum(square_now - jnp.square(mean_now), 0.0) + _EPSILON)
    normalised = uncertainty / sigma
    threshold, mu = running(scale.threshold, normalised)
    reward = jnp.maximum(normalised - mu, 0.0) if prioritise else normalised
    return Paid(reward, sigma, mu), Scale(mean, square, threshold, number)
