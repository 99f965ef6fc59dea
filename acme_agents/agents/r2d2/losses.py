"""R2D2's errors: n-step double Q-learning over sequences, with rescaled values; batch-major."""

import chex
import jax
import jax.numpy as jnp

from acme_agents.core import discrete, returns
from acme_agents.core.types import Action, Array


def temporal_differences(
    q_values: Array,
    target_q_values: Array,
    actions: Action,
    rewards: Array,
    discounts: Array,
    num_steps: Array,
    *,
    gamma: float,
    n: int,
    rescaling: bool,
) -> Array:
    """The error of every transition of a batch of sequences (Kapturowski et al. 2019, eq. 1).

    `delta_t = h(sum_{i<m} gamma^i r_{t+i+1} + gamma^m h^{-1}(Q'(o_{t+m}, argmax_a Q(o_{t+m}, a)))) - Q(o_t, a_t)`, with
    the environment's discounts in the products, and m = min(n, steps left in the sequence); h is `returns.rescale`, or
    the identity. No gradient flows into the target.

    Args:
      q_values: [B, T, A], of the online network.
      target_q_values: [B, T, A], of the target network.
      actions: [B, T] int32, a_t.
      rewards: [B, T] float32, r_{t+1}.
      discounts: [B, T] float32, the environment's, d_{t+1}.
      num_steps: [B] int32, rows in use.
      gamma: the agent's discount, per step.
      n: steps of reward before the bootstrap.
      rescaling: whether Q is in units of h of the return.

    Returns:
      [B, T - 1] float32; from row num_steps - 1 on it means nothing.
    """
    chex.assert_rank([q_values, target_q_values, actions, rewards, discounts, num_steps], [3, 3, 2, 2, 2, 1])
    values = discrete.greedy_values(target_q_values, q_values)  # [B, T]
    if rescaling:
        values = returns.unrescale(values)
    target = returns.n_step_targets(rewards, discounts, values, num_steps, gamma=gamma, n=n)
    if rescaling:
        target = returns.rescale(target)
    return jax.lax.stop_gradient(target) - discrete.select(q_values, actions)[:, :-1]


def learnt_from(num_steps: Array, episode_step: Array, *, num_rows: int, burn_in: int) -> Array:
    """Which transitions count: those behind the burn-in, or all of a sequence that begins its episode; no padding.

    Args:
      num_steps: [B] int32, rows in use.
      episode_step: [B] int32, steps of the episode before the first row.
      num_rows: T.
      burn_in: rows at the start whose LSTM state is still made.

    Returns:
      [B, T - 1] bool.
    """
    chex.assert_rank([num_steps, episode_step], 1)
    row = jnp.arange(num_rows - 1)[None]
    warm = (row >= burn_in) | (episode_step[:, None] == 0)
    return warm & (row < num_steps[:, None] - 1)


def squared_loss(errors: Array, counts: Array, weights: Array) -> Array:
    """`mean_b w_b sum_t delta_bt^2 / 2` over the transitions that count.

    A sum over time, as Acme has: a transition weighs the same in a sequence that an episode's end cut short as in a
    full one, and padding adds nothing.

    Args:
      errors: [B, T]. counts: [B, T] bool. weights: [B].

    Returns:
      [] float32.
    """
    chex.assert_rank([errors, counts, weights], [2, 2, 1])
    chex.assert_equal_shape([errors, counts])
    return jnp.mean(weights * jnp.sum(jnp.where(counts, 0.5 * jnp.square(errors), 0.0), axis=1))
