"""The V-MPO loss: weights of the better half of the steps, their temperature, and a policy fitted in a trust region.

Song et al. 2019 (arXiv 1909.12238). The trust region's Lagrangian and the duals' form are MPO's. Shapes: N rows.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from acme_agents.agents.mpo import losses as mpo
from acme_agents.core import distributions
from acme_agents.core.distributions import Gaussian
from acme_agents.core.types import Array

_NEVER = -1e30  # a logit of weight zero


class Duals(NamedTuple):
    """Lagrange multipliers of the constraints, stored before a softplus, as in `mpo.losses`."""

    log_temperature: Array  # [] of the weights' KL
    log_alphas: tuple[Array, ...]  # of the policy's KLs, each of the shape that `policy_kls` has without rows


def better_half(advantage: Array, valid: Array) -> Array:
    """The rows with the larger advantages: half of those that are valid, rounded up.

    Args:
      advantage: [N]. valid: [N] bool.

    Returns:
      [N] bool.
    """
    chex.assert_rank([advantage, valid], 1)
    order = jnp.argsort(-jnp.where(valid, advantage, _NEVER))
    place = jnp.argsort(order)  # of each row, the best first
    return valid & (place < (jnp.sum(valid) + 1) // 2)


def weights(advantage: Array, chosen: Array, temperature: Array) -> Array:
    """`psi_i = softmax_i(A_i / eta)` over the rows that are chosen, 0 at the others, without gradient (eq. 3).

    Args:
      advantage: [N]. chosen: [N] bool. temperature: [].

    Returns:
      [N], of sum one.
    """
    logits = jnp.where(chosen, advantage / temperature, _NEVER)
    return jax.lax.stop_gradient(jnp.where(chosen, jax.nn.softmax(logits), 0.0))


def temperature_loss(advantage: Array, chosen: Array, temperature: Array, epsilon: float) -> Array:
    """`eta epsilon + eta log(1/n sum_i exp(A_i / eta))` over the n rows that are chosen, minimised over eta (eq. 4).

    Args:
      advantage: [N]. chosen: [N] bool. temperature: []. epsilon: bound on the KL of the weights to equal ones, in nats.

    Returns:
      [] float32.
    """
    logits = jnp.where(chosen, jax.lax.stop_gradient(advantage) / temperature, _NEVER)
    log_mean_exp = jax.nn.logsumexp(logits) - jnp.log(jnp.maximum(jnp.sum(chosen), 1))
    return temperature * (epsilon + log_mean_exp)


def weights_kl(weights: Array, chosen: Array) -> Array:
    """KL of the weights [N] to equal ones over the rows that are chosen, in nats: []."""
    return jnp.sum(jax.scipy.special.xlogy(weights, weights * jnp.sum(chosen)))


def policy_kls(target: Any, online: Any) -> tuple[Array, ...]:
    """KL(target || online) of each row, in nats: of logits [N, A] one, [N, 1]; of Gaussians two, [N, A] each.

    A Gaussian's is decoupled: through the mean, under the target's deviation, and through the deviation, around the
    target's mean (section 4.2, as in MPO).
    """
    if isinstance(target, Gaussian):
        moved_mean, moved_stddev = Gaussian(online.mean, target.stddev), Gaussian(target.mean, online.stddev)
        return distributions.kl_divergence(target, moved_mean), distributions.kl_divergence(target, moved_stddev)
    log_p, log_q = jax.nn.log_softmax(target), jax.nn.log_softmax(online)
    return (jnp.sum(jnp.exp(log_p) * (log_p - log_q), axis=-1, keepdims=True),)


def vmpo_loss(
    duals: Duals,
    log_prob: Array,
    kls: tuple[Array, ...],
    advantage: Array,
    valid: Array,
    *,
    epsilon: float,
    epsilons: Sequence[float],
) -> tuple[Array, dict[str, Array]]:
    """The loss of the policy, of the temperature and of the trust region's multipliers (eqs. 2 to 5).

    Args:
      duals: the dual variables.
      log_prob: [N] float32, of the actions under the policy that is trained.
      kls: of `policy_kls`, [N, ...] each.
      advantage: [N] float32.
      valid: [N] bool, whether the row has an action.
      epsilon: bound on the KL of the weights, in nats.
      epsilons: bound on each of the KLs, mean over the rows that are valid, in nats.

    Returns:
      The loss, [], and its metrics; a metric `kl_*_ratio` is the measured KL over its bound.
    """
    chex.assert_equal_shape([log_prob, advantage, valid])
    temperature = mpo.positive(duals.log_temperature)
    chosen = better_half(advantage, valid)
    psi = weights(advantage, chosen, temperature)
    policy_loss = -jnp.sum(psi * jnp.where(chosen, log_prob, 0.0))
    loss = policy_loss + temperature_loss(advantage, chosen, temperature, epsilon)
    metrics = {"policy_loss": policy_loss, "temperature": temperature}
    metrics["kl_weights_ratio"] = weights_kl(psi, chosen) / epsilon
    number = jnp.maximum(jnp.sum(valid), 1)
    for name, kl, log_alpha, bound in zip(_names(kls), kls, duals.log_alphas, epsilons, strict=True):
        kl = jnp.sum(jnp.where(valid[:, None], kl, 0.0), axis=0) / number
        alpha = mpo.positive(log_alpha)
        penalty, dual = mpo.constraint_losses(kl, alpha, bound)
        loss += penalty + dual
        metrics |= {f"kl_{name}_ratio": jnp.mean(kl) / bound, f"alpha_{name}": jnp.mean(alpha)}
    return loss, metrics


def _names(kls: tuple[Array, ...]) -> tuple[str, ...]:
    return ("policy",) if len(kls) == 1 else ("mean", "stddev")
