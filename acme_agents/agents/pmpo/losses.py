"""PMPO's loss: the likelihood of preferred actions up, that of dispreferred ones down, and near a reference policy.

Preference-based MPO (Abdolmaleki et al. 2024, arXiv 2410.04166). Shapes: N actions at each of B states, A dimensions.
"""

from typing import Literal, NamedTuple

import chex
import jax
import jax.numpy as jnp

from acme_agents.core import distributions, masks, policies
from acme_agents.core.distributions import Gaussian
from acme_agents.core.types import Array


class Preferences(NamedTuple):
    """Two sets of actions; an action may be in neither."""

    preferred: Array  # [N, B] bool
    dispreferred: Array  # [N, B] bool


def by_rank(q_values: Array) -> Preferences:
    """The better half of each state's actions is preferred and the worse half is not; a middle one is in neither.

    Of actions that are worth the same, as all are that an environment clips alike, those drawn later rank higher.

    Args:
      q_values: [N, B].
    """
    chex.assert_rank(q_values, 2)
    size = q_values.shape[0]
    ranks = jnp.argsort(jnp.argsort(q_values, axis=0), axis=0)  # 0 is the worst
    return Preferences(ranks >= size - size // 2, ranks < size // 2)


def by_advantage(advantage: Array) -> Preferences:
    """What has an advantage of zero or more is preferred, all else is not; [N, B], in units of the return."""
    return Preferences(advantage >= 0, advantage < 0)


def likelihood_loss(log_prob: Array, preferences: Preferences, alpha: float) -> Array:
    """`-alpha mean_{D+} log pi(a | s) + (1 - alpha) mean_{D-} log pi(a | s)`.

    Each set has a mean of its own, over all of its actions and states, so that its weight does not depend on how many
    it has; an empty one adds nothing.

    Args:
      log_prob: [N, B], of the actions under the policy, in nats.
      preferences: of the same actions.
      alpha: in [0, 1].

    Returns:
      [] float32.
    """
    chex.assert_equal_shape([log_prob, *preferences])
    accept = masks.mean_where(log_prob, preferences.preferred)
    reject = masks.mean_where(log_prob, preferences.dispreferred)
    return (1 - alpha) * reject - alpha * accept


def divergence(reference: Gaussian, policy: Gaussian, direction: Literal["forward", "reverse"]) -> Array:
    """`KL(reference || policy)`, or reverse `KL(policy || reference)`, in closed form: mean over states, in nats.

    Args:
      reference: [B, A]; no gradient flows into it. policy: [B, A].
      direction: "forward" or "reverse".

    Returns:
      [] float32.
    """
    reference = jax.lax.stop_gradient(reference)
    pair = (reference, policy) if direction == "forward" else (policy, reference)
    return jnp.mean(jnp.sum(distributions.kl_divergence(*pair), axis=-1))


def pmpo_loss(
    policy: Gaussian,
    reference: Gaussian | None,
    actions: Array,
    preferences: Preferences,
    *,
    alpha: float,
    beta: float,
    beta_stddev: float | None,
    kl: Literal["forward", "reverse"],
) -> tuple[Array, dict[str, Array]]:
    """The whole loss, the paper's objective with its sign changed: `likelihood_loss + beta KL(reference || policy)`.

    With `beta_stddev` it is the sum of two such losses, as MPO has its M-step: of the policy with the reference's
    standard deviation, and of the policy with the reference's mean. Then the variance is not fitted to how far the
    mean has moved. Of a reference that is known by its actions alone, `KL(reference || policy)` is their `-mean log pi`
    and a constant, which is left out, and the loss is not split.

    Args:
      policy: that is trained, [B, A].
      reference: the policy that `actions` are of, [B, A]; None if they are all that is known of it.
      actions: [N, B, A].
      preferences: [N, B] each.
      alpha: weight of the preferred actions, in [0, 1].
      beta: weight of the divergence, or of that through the mean.
      beta_stddev: weight of that through the standard deviation; None for one loss.
      kl: its direction, where the reference is given.

    Returns:
      The loss, [], and its metrics.
    """
    metrics = {"preferred": jnp.mean(preferences.preferred), "policy_stddev": jnp.mean(policy.stddev)}
    if reference is None:
        log_prob = policies.gaussian_log_prob(policy, actions)  # [N, B]
        loss = likelihood_loss(log_prob, preferences, alpha) - beta * jnp.mean(log_prob)
        return loss, metrics | {"loss_policy": loss}

    parts = [(policy, beta)]
    if beta_stddev is not None:
        reference = jax.lax.stop_gradient(reference)
        moved_mean, moved_stddev = Gaussian(policy.mean, reference.stddev), Gaussian(reference.mean, policy.stddev)
        parts = [(moved_mean, beta), (moved_stddev, beta_stddev)]
    loss = metrics["kl_reference"] = jnp.float32(0)
    for part, weight in parts:
        distance = divergence(reference, part, kl)
        loss += likelihood_loss(policies.gaussian_log_prob(part, actions), preferences, alpha)
        if weight > 0:  # Zero times the infinite divergence of a policy that has collapsed is not zero.
            loss += weight * distance
        metrics["kl_reference"] += distance
    return loss, metrics | {"loss_policy": loss}
