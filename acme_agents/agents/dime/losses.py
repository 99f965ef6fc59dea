"""The DiME loss: an expert for each objective, and a policy distilled from all of them.

Abdolmaleki et al. 2021 (arXiv 2106.08199), reconstructed: the paper could not be read, and README.md says what is
unverified. MPO's E-step and M-step are `acme_agents.agents.mpo.losses`; here is what several objectives add.

Shapes: K objectives, J experts, N sampled actions, B states, A dimensions; a preference has M = K entries, or K + 1
with a behaviour, whose weight is last.
"""

from typing import Literal, NamedTuple

import chex
import jax
import jax.numpy as jnp

from acme_agents.agents.mpo import losses as mpo
from acme_agents.core import distributions
from acme_agents.core.distributions import Gaussian
from acme_agents.core.types import Array

Method = Literal["dime", "mo-mpo", "scalarisation"]

_MAX_ADVANTAGE_WEIGHT = 20.0  # CRR's clip
_TINY = 1e-8


class Experts(NamedTuple):
    """J improved policies, each the old one tilted by values: all in which the three methods differ."""

    q_values: Array  # [J, N, B]
    share: Array  # [B, J] weight in the distillation
    epsilon: Array  # [J] bound on the KL to the old policy, in nats


def experts(method: Method, q_values: Array, preference: Array, epsilon: float) -> Experts:
    """Says which experts there are, with alpha the preference and rho = sum_k alpha_k, 1 without a behaviour.

      dime:           K experts of Q_k,           shares alpha_k, bounds epsilon;
      mo-mpo:         K experts of Q_k,           shares rho,     bounds epsilon K alpha_k / rho;
      scalarisation:  one of sum_k alpha_k Q_k,   share rho,      bound epsilon.

    With K = 1, or for mo-mpo with equal preferences, every bound is epsilon. In MO-MPO itself (Abdolmaleki et al.
    2020) the bounds are the preference, and are given; this form of them is ours, to compare under one configuration.

    Args:
      method: one of the three.
      q_values: [K, N, B].
      preference: [B, M]; for mo-mpo all rows are taken to be equal.
      epsilon: in nats.
    """
    chex.assert_rank([q_values, preference], [3, 2])
    num_objectives, _, batch_size = q_values.shape
    alpha = preference[:, :num_objectives]  # [B, K]
    chex.assert_shape(alpha, (batch_size, num_objectives))
    rho = jnp.sum(alpha, axis=-1, keepdims=True)  # [B, 1]
    if method == "dime":
        return Experts(q_values, alpha, jnp.full(num_objectives, epsilon))
    if method == "mo-mpo":
        relative = jnp.mean(alpha / jnp.maximum(rho, _TINY), axis=0)  # [K]
        return Experts(q_values, jnp.broadcast_to(rho, alpha.shape), epsilon * num_objectives * relative)
    return Experts(jnp.einsum("bk,knb->nb", alpha, q_values)[None], rho, jnp.full(1, epsilon))


def num_experts(method: Method, num_objectives: int) -> int:
    """J, the number of temperatures."""
    return 1 if method == "scalarisation" else num_objectives


def mixture_weights(weights: Array, share: Array) -> Array:
    """The distillation's weights: `sum_j share_j w^j_n`.

    Args:
      weights: [J, N, B]. share: [B, J].

    Returns:
      [N, B].
    """
    chex.assert_shape(share, (weights.shape[2], weights.shape[0]))
    return jnp.einsum("bj,jnb->nb", share, weights)


def advantage(action_values: Array, q_values: Array, preference: Array) -> Array:
    """The data's action against the policy's: `A = sum_k alpha_k / rho [Q_k(s, a_D) - mean_n Q_k(s, a_n)]`.

    For K > 1 this adds values of different objectives, and so depends on their scales, as nothing else in DiME does.

    Args:
      action_values: [K, B]. q_values: [K, N, B]. preference: [B, M].

    Returns:
      [B] float32.
    """
    chex.assert_rank([action_values, q_values, preference], [2, 3, 2])
    alpha = preference[:, : q_values.shape[0]]
    relative = alpha / jnp.maximum(jnp.sum(alpha, axis=-1, keepdims=True), _TINY)
    return jnp.einsum("bk,kb->b", relative, action_values - jnp.mean(q_values, axis=1))


def advantage_weights(advantages: Array, temperature: float) -> Array:
    """Weights of the data's actions, of mean one before the clip: `f_b = min(B softmax_b(A_b / temperature), 20)`; [B].

    Without gradient. The form, and normalising over the batch, are ours (CRR has exp(A), clipped at 20).
    """
    chex.assert_rank(advantages, 1)
    weights = advantages.shape[0] * jax.nn.softmax(advantages / temperature)
    return jax.lax.stop_gradient(jnp.minimum(weights, _MAX_ADVANTAGE_WEIGHT))


class Behaviour(NamedTuple):
    """One more expert, given by a sample at each state."""

    action: Array  # [B, A]
    factor: Array  # [B] f, beside its weight in the preference


def dime_loss(
    duals: mpo.Duals,
    online: Gaussian,
    target: Gaussian,
    actions: Array,
    q_values: Array,
    preference: Array,
    behaviour: Behaviour | None = None,
    *,
    method: Method,
    epsilon: float,
    epsilon_penalty: float | None,
    epsilon_mean: float,
    epsilon_stddev: float,
) -> tuple[Array, dict[str, Array]]:
    """The whole loss, over the online policy and the dual variables.

    `-E_s[sum_j share_j sum_n w^j_n log pi(a_n|s) + alpha_M f log pi(a_b|s)]`, inside MPO's trust regions, with
    `w^j = softmax(Q_j / eta_j)` and the losses of the temperatures eta_j. `log pi` is MPO's decoupled sum, for the
    behaviour's action too, which is one more weighted action. With K = 1 and no behaviour it is `mpo_loss`.

    Args:
      duals: the dual variables; `log_temperature` is [J].
      online: policy that is trained, [B, A].
      target: policy that sampled the actions, [B, A].
      actions: [N, B, A], samples of `target`.
      q_values: [K, N, B], their values.
      preference: [B, M].
      behaviour: the last objective, or None.
      method: which experts there are.
      epsilon: KL bound of the E-steps, in nats.
      epsilon_penalty: the same for the out-of-bounds objective, whose weights are added; None for no such objective.
      epsilon_mean: KL bound through the mean, per dimension, in nats.
      epsilon_stddev: KL bound through the standard deviation, per dimension, in nats.

    Returns:
      The loss, [], and its metrics: MPO's, and for each expert its temperature and its KL over its bound.
    """
    chex.assert_shape(q_values, (None, *actions.shape[:2]))
    chex.assert_shape(preference, (actions.shape[1], q_values.shape[0] + (behaviour is not None)))
    improved = experts(method, q_values, preference, epsilon)
    temperature = mpo.positive(duals.log_temperature)
    chex.assert_equal_shape([temperature, improved.epsilon])
    expert_weights, temperature_losses = jax.vmap(mpo.e_step)(improved.q_values, temperature, improved.epsilon)
    weights, loss_temperature = mixture_weights(expert_weights, improved.share), jnp.sum(temperature_losses)
    metrics = {f"temperature_{j}": temperature[j] for j in range(len(temperature))}
    metrics |= {
        f"kl_q_ratio_{j}": mpo.weights_kl(expert_weights[j]) / jnp.maximum(improved.epsilon[j], _TINY)
        for j in range(len(temperature))
    }

    if epsilon_penalty is not None:
        penalty_temperature = mpo.positive(duals.log_penalty_temperature)
        penalty_weights, loss_penalty = mpo.e_step(mpo.out_of_bounds(actions), penalty_temperature, epsilon_penalty)
        weights += penalty_weights
        loss_temperature += loss_penalty
        metrics["kl_penalty_ratio"] = mpo.weights_kl(penalty_weights) / epsilon_penalty

    if behaviour is not None:
        actions = jnp.concatenate([actions, behaviour.action[None]])
        weights = jnp.concatenate([weights, (preference[:, -1] * behaviour.factor)[None]])
        metrics["behaviour_log_prob"] = jnp.mean(distributions.log_prob(online, behaviour.action))

    loss, m_step_metrics = mpo.m_step(
        duals, online, target, actions, weights, epsilon_mean=epsilon_mean, epsilon_stddev=epsilon_stddev
    )
    return loss + loss_temperature, metrics | m_step_metrics | {"loss_temperature": loss_temperature}
