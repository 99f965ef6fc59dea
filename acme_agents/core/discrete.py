"""What agents of discrete actions share: their head, double Q-learning, epsilon-greedy actions."""

from collections.abc import Sequence

import chex
import haiku as hk
import jax
import jax.numpy as jnp

from acme_agents.core.types import Action, Array, Key


def q_head(features: Array, num_actions: int, layers: Sequence[int], *, dueling: bool) -> Array:
    """The values of A actions, by ReLU layers and a linear one, inside a haiku transform.

    Args:
      features: [..., F] float32.
      num_actions: A.
      layers: widths of the ReLU layers; a dueling head has them twice.
      dueling: whether value and advantage are separate; see `duel`.

    Returns:
      [..., A] float32.
    """
    if not dueling:
        return hk.nets.MLP([*layers, num_actions])(features)
    value, advantage = (hk.nets.MLP([*layers, size])(features) for size in (1, num_actions))
    return duel(value, advantage)


def duel(value: Array, advantage: Array) -> Array:
    """`Q(s, a) = V(s) + A(s, a) - mean_a' A(s, a')` (Wang et al. 2016, arXiv 1511.06581, eq. 9).

    Args:
      value: [..., 1]. advantage: [..., A].

    Returns:
      [..., A] float32.
    """
    return value + advantage - jnp.mean(advantage, axis=-1, keepdims=True)


def select(q_values: Array, actions: Action) -> Array:
    """The value of one action each: values [..., A] and actions [...] int32 to [...]."""
    chex.assert_equal_shape_prefix([q_values, actions], actions.ndim)
    return jnp.squeeze(jnp.take_along_axis(q_values, actions[..., None], axis=-1), -1)


def greedy_values(q_values: Array, selector: Array) -> Array:
    """The values of the actions that another network finds best: `Q(s, argmax_a Q_selector(s, a))`.

    With target and online network: double Q-learning (van Hasselt et al. 2016, arXiv 1509.06461, eq. 4).

    Args:
      q_values: [..., A]. selector: [..., A].

    Returns:
      [...] float32.
    """
    chex.assert_equal_shape([q_values, selector])
    return select(q_values, jnp.argmax(selector, axis=-1))


def epsilon_greedy(key: Key, q_values: Array, epsilon: Array | float) -> Action:
    """The best action, or with probability epsilon a uniformly random one.

    Args:
      key: random key.
      q_values: [A].
      epsilon: in [0, 1].

    Returns:
      [] int32.
    """
    chex.assert_rank(q_values, 1)
    explore_key, action_key = jax.random.split(key)
    action = jax.random.randint(action_key, (), 0, q_values.shape[0])
    return jnp.where(jax.random.uniform(explore_key) < epsilon, action, jnp.argmax(q_values))
