"""CRR's losses: the data's actions imitated, each by the weight that the critic gives it.

Critic-regularised regression (Wang et al. 2020, arXiv 2006.15134); the details are those of Acme's `agents/tf/crr` and
`agents/jax/crr`. Shapes: m actions of the policy at each of B states.
"""

from typing import Literal

import chex
import jax
import jax.numpy as jnp

from acme_agents.core.types import Array


def advantage(q_value: Array, q_samples: Array, baseline: Literal["mean", "max"]) -> Array:
    """What the data's action is worth over the policy's own: `A = Q(s, a) - mean_j Q(s, a_j)`, or `- max_j`.

    Args:
      q_value: [B], of the data's actions.
      q_samples: [m, B], of actions of the policy.
      baseline: "mean" or "max".

    Returns:
      [B] float32, in units of the return.
    """
    chex.assert_rank(q_value, 1)
    chex.assert_shape(q_samples, (None, *q_value.shape))
    return q_value - (jnp.max(q_samples, axis=0) if baseline == "max" else jnp.mean(q_samples, axis=0))


def weights(
    advantage: Array, kind: Literal["exp", "binary", "all"], *, beta: float = 1.0, upper_bound: float = 20.0
) -> Array:
    """How much each of the data's actions is imitated, without gradient (Wang et al. 2020, eqs. 3 and 4).

    binary: `f = 1[A > 0]`; exp: `f = min(exp(A / beta), upper_bound)`; all: `f = 1`, behaviour cloning.

    Args:
      advantage: [B].
      kind: "exp", "binary" or "all".
      beta: temperature of exp, in units of the return.
      upper_bound: of exp.

    Returns:
      [B] float32.
    """
    chex.assert_rank(advantage, 1)
    if kind == "exp":
        f = jnp.minimum(jnp.exp(advantage / beta), upper_bound)
    elif kind == "binary":
        f = (advantage > 0).astype(advantage.dtype)
    else:
        f = jnp.ones_like(advantage)
    return jax.lax.stop_gradient(f)


def weighted_negative_log_likelihood(weights: Array, log_prob: Array) -> Array:
    """`-mean_b f_b log pi(a_b | s_b)`: BC's loss where every weight is one, to the last bit.

    Args:
      weights: [B]. log_prob: [B], of the data's actions under the policy, in nats.

    Returns:
      [] float32.
    """
    chex.assert_rank([weights, log_prob], 1)
    chex.assert_equal_shape([weights, log_prob])
    return -jnp.mean(weights * log_prob)


def has_target(discount: Array, next_last: Array) -> Array:
    """Whether the data has what a SARSA target needs: the action at the bootstrap state, or no bootstrap at all.

    An episode that was cut short ends in a state whose value counts and where no action was taken.

    Args:
      discount: [B], of the bootstrap, zero after a termination. next_last: [B] bool.

    Returns:
      [B] bool.
    """
    chex.assert_rank([discount, next_last], 1)
    chex.assert_equal_shape([discount, next_last])
    return ~next_last | (discount == 0.0)
