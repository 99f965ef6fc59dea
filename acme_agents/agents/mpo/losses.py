"""The MPO loss: E-step weights, their temperature, and a policy fitted to them inside two trust regions.

Maximum a posteriori policy optimisation (Abdolmaleki et al. 2018a, arXiv 1806.06920) with the decoupled constraints of
Abdolmaleki et al. 2018b (arXiv 1812.02256), per action dimension, and out-of-bounds actions penalised as a second
objective (MO-MPO, Abdolmaleki et al. 2020, arXiv 2005.07513). Shapes: N sampled actions, B states, A dimensions.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from acme_agents.core import distributions
from acme_agents.core.distributions import Gaussian
from acme_agents.core.types import Array

_EPSILON = 1e-8  # keeps the softplus of a dual variable positive
_MIN_LOG_DUAL = -18.0


class Duals(NamedTuple):
    """Lagrange multipliers of the constraints, stored before a softplus ("log" by the field's custom)."""

    log_temperature: Array  # [] of the E-step's KL
    log_penalty_temperature: Array  # [] of the out-of-bounds objective's KL
    log_alpha_mean: Array  # [A] of the KL through the policy's mean
    log_alpha_stddev: Array  # [A] of the KL through the policy's standard deviation


def positive(log_dual: Array) -> Array:
    """The multiplier itself: `softplus(log_dual) + 1e-8`."""
    return jax.nn.softplus(log_dual) + _EPSILON


def clip_duals(duals: Duals) -> Duals:
    """Keeps the stored values at -18 and above, where the softplus still has a gradient."""
    return jax.tree.map(lambda x: jnp.maximum(x, _MIN_LOG_DUAL), duals)


def expectation_weights(q_values: Array, temperature: Array) -> Array:
    """The E-step: `w_n = softmax_n(q_n / temperature)`, without gradient.

    Args:
      q_values: [N, B]. temperature: [].

    Returns:
      [N, B], summing to one over N.
    """
    chex.assert_rank([q_values, temperature], [2, 0])
    return jax.lax.stop_gradient(jax.nn.softmax(q_values / temperature, axis=0))


def temperature_loss(q_values: Array, temperature: Array, epsilon: float | Array) -> Array:
    """The E-step's dual: `eta (epsilon + mean_b logsumexp_n(q_n / eta) - log N)`, minimised over eta.

    Args:
      q_values: [N, B]. temperature: []. epsilon: bound on the KL of the weighted to the uniform samples, in nats.

    Returns:
      [] float32.
    """
    q_values = jax.lax.stop_gradient(q_values)
    log_mean_exp = jax.nn.logsumexp(q_values / temperature, axis=0) - jnp.log(q_values.shape[0])
    return temperature * (epsilon + jnp.mean(log_mean_exp))


def e_step(q_values: Array, temperature: Array, epsilon: float | Array) -> tuple[Array, Array]:
    """One objective's E-step: its weights, [N, B], and its temperature's loss, []; arguments as of the two above."""
    return expectation_weights(q_values, temperature), temperature_loss(q_values, temperature, epsilon)


def solve_temperature(q_values: Array, epsilon: float | Array) -> Array:
    """The temperature at which the E-step's KL, mean over states, is `epsilon`: where `temperature_loss` is least.

    By bisection of its logarithm, between a thousandth and a thousand times the values' spread over actions; the KL
    falls as the temperature rises. Values that are all alike have no such temperature, and give about 1e-8.

    Args:
      q_values: [N, B]. epsilon: in nats, below log N.

    Returns:
      [] float32, in units of the value.
    """
    chex.assert_rank(q_values, 2)
    spread = jnp.maximum(jnp.sqrt(jnp.mean(jnp.var(q_values, axis=0))), _EPSILON)

    def halve(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = jnp.sqrt(low * high)
        too_cold = weights_kl(expectation_weights(q_values, middle)) > epsilon
        return jnp.where(too_cold, middle, low), jnp.where(too_cold, high, middle)

    low, high = jax.lax.fori_loop(0, 24, halve, (1e-3 * spread, 1e3 * spread))
    return jnp.sqrt(low * high)


def stored(multiplier: Array) -> Array:
    """What a dual variable stores for a multiplier, the inverse of `positive`: `log(exp(x) - 1)`, at least -18."""
    x = jnp.maximum(multiplier - _EPSILON, jnp.exp(_MIN_LOG_DUAL))
    return x + jnp.log(-jnp.expm1(-x))


def fit_temperature(log_temperature: Array, q_values: Array, epsilon: float | Array, is_new: Array) -> Array:
    """The stored temperature, solved for where `is_new`, else as it was.

    A temperature starts at `init_log_temperature` and its stored value moves by at most about `dual_learning_rate` in
    an update, whatever the unit of the values: they can be thousands of updates apart.

    Args:
      log_temperature: []. q_values: [N, B]. epsilon: bound on the KL, in nats. is_new: [] bool.

    Returns:
      [] float32.
    """
    q_values = jax.lax.stop_gradient(q_values)
    return jax.lax.cond(is_new, lambda: stored(solve_temperature(q_values, epsilon)), lambda: log_temperature)


def out_of_bounds(actions: Array) -> Array:
    """The objective that keeps actions inside [-1, 1]: `-||a - clip(a, -1, 1)||_2`; [N, B, A] to [N, B]."""
    return -jnp.linalg.norm(actions - jnp.clip(actions, -1.0, 1.0), axis=-1)


def weighted_cross_entropy(weights: Array, actions: Array, policy: Gaussian) -> Array:
    """The M-step: `-mean_b sum_n w_n log policy(a_n)`.

    Args:
      weights: [N, B]. actions: [N, B, A]. policy: [B, A].

    Returns:
      [] float32.
    """
    chex.assert_rank([weights, actions], [2, 3])
    log_prob = jax.vmap(distributions.log_prob, (None, 0))(policy, actions)  # [N, B]
    return -jnp.mean(jnp.sum(weights * log_prob, axis=0))


def constraint_losses(kl: Array, alpha: Array, epsilon: float) -> tuple[Array, Array]:
    """A trust region by its Lagrangian: the penalty on the policy and the loss of the multiplier.

    Args:
      kl: [A], mean over states. alpha: [A]. epsilon: bound on each, in nats.

    Returns:
      `sum_a sg(alpha_a) kl_a` and `sum_a alpha_a (epsilon - sg(kl_a))`, each [].
    """
    chex.assert_equal_shape([kl, alpha])
    penalty = jnp.sum(jax.lax.stop_gradient(alpha) * kl)
    dual = jnp.sum(alpha * (epsilon - jax.lax.stop_gradient(kl)))
    return penalty, dual


def weights_kl(weights: Array) -> Array:
    """KL of the weighted to the uniform samples, mean over states, in nats; [N, B] to []."""
    return jnp.mean(jnp.sum(weights * jnp.log(weights * weights.shape[0] + _EPSILON), axis=0))


def m_step(
    duals: Duals,
    online: Gaussian,
    target: Gaussian,
    actions: Array,
    weights: Array,
    *,
    epsilon_mean: float,
    epsilon_stddev: float,
) -> tuple[Array, dict[str, Array]]:
    """Fits the policy to weighted actions inside two trust regions: the loss of the policy and of both multipliers.

    The policy's mean is fitted under the target's standard deviation and its standard deviation around the target's
    mean, each with a KL constraint of its own.

    Args:
      duals: the dual variables, of which the alphas are read.
      online: policy that is trained, [B, A].
      target: policy at the middle of the trust regions, [B, A].
      actions: [N, B, A].
      weights: [N, B], of any sum.
      epsilon_mean: KL bound through the mean, per dimension, in nats.
      epsilon_stddev: KL bound through the standard deviation, per dimension, in nats.

    Returns:
      The loss, [], and its metrics; a metric `kl_*_ratio` is the measured KL over its bound.
    """
    chex.assert_shape(actions, (*weights.shape, online.mean.shape[-1]))
    target = jax.lax.stop_gradient(target)
    moved_mean = Gaussian(online.mean, target.stddev)
    moved_stddev = Gaussian(target.mean, online.stddev)
    loss_policy = weighted_cross_entropy(weights, actions, moved_mean)
    loss_policy += weighted_cross_entropy(weights, actions, moved_stddev)

    kl_mean = jnp.mean(distributions.kl_divergence(target, moved_mean), axis=0)  # [A]
    kl_stddev = jnp.mean(distributions.kl_divergence(target, moved_stddev), axis=0)
    penalty_mean, dual_mean = constraint_losses(kl_mean, positive(duals.log_alpha_mean), epsilon_mean)
    penalty_stddev, dual_stddev = constraint_losses(kl_stddev, positive(duals.log_alpha_stddev), epsilon_stddev)

    metrics = {
        "loss_policy": loss_policy,
        "kl_mean_ratio": jnp.mean(kl_mean) / epsilon_mean,
        "kl_stddev_ratio": jnp.mean(kl_stddev) / epsilon_stddev,
        "alpha_mean": jnp.mean(positive(duals.log_alpha_mean)),
        "alpha_stddev": jnp.mean(positive(duals.log_alpha_stddev)),
        "policy_stddev": jnp.mean(online.stddev),
    }
    return loss_policy + penalty_mean + penalty_stddev + dual_mean + dual_stddev, metrics


def mpo_loss(
    duals: Duals,
    online: Gaussian,
    target: Gaussian,
    actions: Array,
    q_values: Array,
    *,
    epsilon: float,
    epsilon_penalty: float | None,
    epsilon_mean: float,
    epsilon_stddev: float,
) -> tuple[Array, dict[str, Array]]:
    """The whole loss, over the online policy and the dual variables: E-step, action penalty, M-step.

    The penalty's weights are added to those of the values, not averaged, as Acme's MPO does.

    Args:
      duals: the dual variables.
      online: policy that is trained, [B, A].
      target: policy that sampled the actions, [B, A].
      actions: [N, B, A], samples of `target`.
      q_values: [N, B], their values.
      epsilon: KL bound of the E-step, in nats.
      epsilon_penalty: the same for the out-of-bounds objective; None for no such objective.
      epsilon_mean: KL bound through the mean, per dimension, in nats.
      epsilon_stddev: KL bound through the standard deviation, per dimension, in nats.

    Returns:
      The loss, [], and its metrics; a metric `kl_*_ratio` is the measured KL over its bound.
    """
    temperature = positive(duals.log_temperature)
    weights, loss_temperature = e_step(q_values, temperature, epsilon)
    metrics = {"temperature": temperature, "kl_q_ratio": weights_kl(weights) / epsilon}

    if epsilon_penalty is not None:
        penalty_temperature = positive(duals.log_penalty_temperature)
        penalty_weights, loss_penalty = e_step(out_of_bounds(actions), penalty_temperature, epsilon_penalty)
        weights += penalty_weights
        loss_temperature += loss_penalty
        metrics["kl_penalty_ratio"] = weights_kl(penalty_weights) / epsilon_penalty

    loss, m_step_metrics = m_step(
        duals, online, target, actions, weights, epsilon_mean=epsilon_mean, epsilon_stddev=epsilon_stddev
    )
    return loss + loss_temperature, metrics | m_step_metrics | {"loss_temperature": loss_temperature}
