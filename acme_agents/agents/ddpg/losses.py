"""DDPG's policy loss; the critic's is its kind's, in `core.values`."""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from acme_agents.core.types import Action, Array


def policy_loss(q: Callable[[Action], Array], action: Action, max_norm: float | None) -> Array:
    """A loss whose gradient in each action is minus the critic's, clipped (Lillicrap et al. 2015, eq. 6).

    `-mean_b a_b . sg(clip(grad_a Q(s_b, a_b)))`; its value means nothing.

    Args:
      q: from actions [B, A] to their values [B].
      action: [B, A], of the policy.
      max_norm: to which each action's gradient is scaled down where its norm is larger; None leaves it.

    Returns:
      [] float32.
    """
    chex.assert_rank(action, 2)
    gradient = jax.grad(lambda a: jnp.sum(q(a)))(jax.lax.stop_gradient(action))  # [B, A]
    if max_norm is not None:
        norm = jnp.linalg.norm(gradient, axis=-1, keepdims=True)
        gradient *= max_norm / jnp.maximum(norm, max_norm)
    return -jnp.mean(jnp.sum(action * gradient, axis=-1))
