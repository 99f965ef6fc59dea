"""DQN's error and its loss."""

import chex
import jax
import jax.numpy as jnp
import optax

from acme_agents.core import discrete
from acme_agents.core.types import Action, Array


def temporal_differences(
    q_tm1: Array, a_tm1: Action, r_t: Array, discount_t: Array, q_t: Array, selector_t: Array
) -> Array:
    """`delta = r + discount Q'(s_t, argmax_a Q_selector(s_t, a)) - Q(s_{t-1}, a_{t-1})`, no gradient into the target.

    With the target network's values as selector: Q-learning, as Mnih et al. 2015 have it; with the online network's:
    double Q-learning (van Hasselt et al. 2016, eq. 4).

    Args:
      q_tm1: [B, A], of the online network.
      a_tm1: [B] int32.
      r_t: [B] float32, n-step reward.
      discount_t: [B] float32, of the bootstrap.
      q_t: [B, A], of the target network at the bootstrap state.
      selector_t: [B, A], there too.

    Returns:
      [B] float32.
    """
    chex.assert_rank([q_tm1, a_tm1, r_t, discount_t, q_t, selector_t], [2, 1, 1, 1, 2, 2])
    target = r_t + discount_t * discrete.greedy_values(q_t, selector_t)
    return jax.lax.stop_gradient(target) - discrete.select(q_tm1, a_tm1)


def weighted_loss(errors: Array, weights: Array, huber: float | None) -> Array:
    """`mean_b w_b l(delta_b)`: l is half the square, and beyond `huber` the straight line that goes on from there.

    Args:
      errors: [B]. weights: [B].
      huber: in units of the error; None for the square everywhere.

    Returns:
      [] float32.
    """
    chex.assert_rank([errors, weights], 1)
    chex.assert_equal_shape([errors, weights])
    losses = 0.5 * jnp.square(errors) if huber is None else optax.huber_loss(errors, delta=huber)
    return jnp.mean(weights * losses)
