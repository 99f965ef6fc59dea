"""The loss of behaviour cloning (Pomerleau 1991; as a baseline, Wang et al. 2020, arXiv 2006.15134)."""

import chex
import jax.numpy as jnp

from acme_agents.core.types import Array


def negative_log_likelihood(log_prob: Array) -> Array:
    """`-mean_b log pi(a_b | s_b)`.

    Args:
      log_prob: [B], of the data's actions under the policy, in nats.

    Returns:
      [] float32.
    """
    chex.assert_rank(log_prob, 1)
    return -jnp.mean(log_prob)
