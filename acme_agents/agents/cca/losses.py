"""The losses of counterfactual credit assignment (Mesnard et al. 2021, arXiv 2011.09464).

Shapes: [B, T] rows, `valid` [B, T] bool where there is an action; means are over those. A loss sends its gradient to
its first argument alone.
"""

import chex
import jax
import jax.numpy as jnp

from acme_agents.core import laws, masks
from acme_agents.core.types import Array


def single_action_loss(logits: Array, action: Array, advantage: Array, valid: Array) -> Array:
    """`-log pi(a | x) sg(G - V(x, phi))`, whose gradient is the policy's where phi tells nothing of a (CCA-PG).

    Args:
      logits: [B, T, A] float32, of the policy.
      action: [B, T] int32.
      advantage: [B, T] float32.
      valid: [B, T] bool.

    Returns:
      [] float32.
    """
    chex.assert_equal_shape([action, advantage, valid, logits[..., 0]])
    return -masks.mean_where(laws.CATEGORICAL.log_prob(logits, action) * jax.lax.stop_gradient(advantage), valid)


def all_actions_loss(logits: Array, q_values: Array, valid: Array) -> Array:
    """`-sum_a pi(a | x) sg(Q(x, a, phi))`, likewise, of every action's value given the same future.

    Args:
      logits: [B, T, A] float32, of the policy.
      q_values: [B, T, A] float32.
      valid: [B, T] bool.

    Returns:
      [] float32.
    """
    chex.assert_equal_shape([logits, q_values])
    chex.assert_equal_shape([valid, logits[..., 0]])
    return -masks.mean_where(jnp.sum(jax.nn.softmax(logits) * jax.lax.stop_gradient(q_values), axis=-1), valid)


def regression_loss(estimate: Array, returns: Array, valid: Array) -> Array:
    """`(G - V)^2 / 2`: of V(x, phi) it trains the baseline and the statistic, of V(x) the value.

    Args:
      estimate: [B, T] float32, V(x), V(x, phi), or Q(x, a, phi) of the action taken.
      returns: [B, T] float32, G.
      valid: [B, T] bool.

    Returns:
      [] float32.
    """
    chex.assert_equal_shape([estimate, returns, valid])
    return 0.5 * masks.mean_where(jnp.square(jax.lax.stop_gradient(returns) - estimate), valid)


def classifier_loss(logits: Array, action: Array, valid: Array) -> Array:
    """`-log h(a | x, phi)`, in nats.

    Args:
      logits: [B, T, A] float32, of h.
      action: [B, T] int32, taken.
      valid: [B, T] bool.

    Returns:
      [] float32.
    """
    chex.assert_equal_shape([action, valid, logits[..., 0]])
    return -masks.mean_where(laws.CATEGORICAL.log_prob(logits, action), valid)


def independence_loss(logits: Array, policy_logits: Array, valid: Array) -> Array:
    """`KL(pi(. | x) || h(. | x, phi)) = sum_a pi(a | x) (log pi(a | x) - log h(a | x, phi))`, in nats.

    Args:
      logits: [B, T, A] float32, of h.
      policy_logits: [B, T, A] float32, of pi.
      valid: [B, T] bool.

    Returns:
      [] float32, never negative; zero where the statistic tells h nothing of the action.
    """
    chex.assert_equal_shape([logits, policy_logits])
    chex.assert_equal_shape([valid, logits[..., 0]])
    log_pi = jax.nn.log_softmax(jax.lax.stop_gradient(policy_logits))
    return masks.mean_where(jnp.sum(jnp.exp(log_pi) * (log_pi - jax.nn.log_softmax(logits)), axis=-1), valid)
