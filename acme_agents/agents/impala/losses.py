"""IMPALA's loss: a policy gradient, the value's error and the policy's entropy (Espeholt et al. 2018, section 4.2).

V-trace itself is `core.returns.v_trace`.
"""

import chex
import jax
import jax.numpy as jnp

from acme_agents.core import masks
from acme_agents.core.returns import VTrace
from acme_agents.core.types import Array


def impala_loss(
    log_prob: Array,
    value: Array,
    entropy: Array,
    trace: VTrace,
    valid: Array,
    *,
    value_weight: float,
    entropy_weight: float,
) -> tuple[Array, dict[str, Array]]:
    """`-sg(A) log pi(a) + c_v (sg(vs) - V)^2 / 2 - c_e H`, mean over the rows that have an action.

    Args:
      log_prob: [B, T] float32, of the actions under the policy that is trained.
      value: [B, T] float32, V of each row.
      entropy: [B, T] float32, of the policy, in nats.
      trace: targets vs and advantages A, [B, T] each.
      valid: [B, T] bool, whether the row has an action.
      value_weight: c_v.
      entropy_weight: c_e.

    Returns:
      The loss, [], and its metrics.
    """
    chex.assert_equal_shape([log_prob, value, entropy, trace.targets, trace.advantages, valid])
    trace = jax.lax.stop_gradient(trace)
    policy_loss = -masks.mean_where(trace.advantages * log_prob, valid)
    value_loss = 0.5 * masks.mean_where(jnp.square(trace.targets - value), valid)
    mean_entropy = masks.mean_where(entropy, valid)
    loss = policy_loss + value_weight * value_loss - entropy_weight * mean_entropy
    return loss, {"loss": loss, "policy_loss": policy_loss, "value_loss": value_loss, "entropy": mean_entropy}
