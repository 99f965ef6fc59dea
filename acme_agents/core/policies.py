"""Stochastic policies by kind: what the head returns, how it is sampled, its likelihood, and its deterministic action.

A `PolicyHead` bundles the four, so that an agent that fits a policy by likelihood is written once for every kind.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import haiku as hk
import jax
import jax.numpy as jnp

from acme_agents.core import distributions, heads
from acme_agents.core.configs import StochasticPolicy
from acme_agents.core.distributions import LOG_SQRT_2PI, Gaussian
from acme_agents.core.types import Action, Array, Key

_SATURATED = 0.999  # a squashed action at least this far out counts as saturated; Acme's threshold
_TAIL = -10.0  # below it the normal's log-cdf is taken from its expansion


class GaussianMixture(NamedTuple):
    """A mixture of C diagonal Gaussians over whole action vectors, of batch shape [...]."""

    logits: Array  # [..., C] of the weights
    mean: Array  # [..., C, A]
    stddev: Array  # [..., C, A]


class PolicyHead(NamedTuple):
    """One kind of policy; its distribution has batch shape [B] and a field `stddev`.

    Attributes:
      head: `(features [B, F], num_dimensions) -> distribution`, inside a haiku transform.
      sample: `(key, distribution, num_samples) -> [N, B, A]`; actions may lie outside [-1, 1] unless they are squashed.
      log_prob: `(distribution, actions [..., B, A]) -> [..., B]`, in nats.
      mode: `(distribution) -> [B, A]`, the action of a deterministic policy.
    """

    head: Callable[[Array, int], Any]
    sample: Callable[[Key, Any, int], Action]
    log_prob: Callable[[Any, Action], Array]
    mode: Callable[[Any], Action]


def make_head(config: StochasticPolicy) -> PolicyHead:
    """The policy's kind, as configured."""
    if config.policy == "mixture":
        return mixture(config.num_policy_components, config.policy_init_stddev, config.policy_min_stddev)
    if config.policy == "tanh-gaussian":
        return tanh_gaussian(config.policy_init_stddev, config.policy_min_stddev)
    return gaussian(config.policy_init_stddev, config.policy_min_stddev)


def gaussian(init_stddev: float, min_stddev: float) -> PolicyHead:
    """A diagonal Gaussian; see `heads.gaussian`."""
    return PolicyHead(
        head=lambda features, num_dimensions: heads.gaussian(
            features, num_dimensions, init_stddev=init_stddev, min_stddev=min_stddev
        ),
        sample=distributions.sample,
        log_prob=gaussian_log_prob,
        mode=lambda policy: policy.mean,
    )


def gaussian_log_prob(policy: Gaussian, actions: Action) -> Array:
    """The log-density of actions [..., B, A] under a Gaussian [B, A]: [..., B], in nats."""
    chex.assert_shape(actions, (..., *policy.mean.shape))
    return distributions.log_prob(_expand(policy, actions.ndim - 2), actions)


def tanh_gaussian(init_stddev: float, min_stddev: float) -> PolicyHead:
    """The tanh of a diagonal Gaussian: every action lies in [-1, 1].

    The Gaussian before the tanh is the distribution's pytree, and its standard deviation is in units before the tanh.
    The deterministic action is the tanh of the Gaussian's mean: the median of each dimension, not the density's peak.
    """
    return gaussian(init_stddev, min_stddev)._replace(
        sample=lambda key, policy, num_samples: jnp.tanh(distributions.sample(key, policy, num_samples)),
        log_prob=tanh_gaussian_log_prob,
        mode=lambda policy: jnp.tanh(policy.mean),
    )


def tanh_gaussian_log_prob(policy: Gaussian, actions: Action) -> Array:
    """The log-density of squashed actions, a = tanh(u) with u Gaussian, finite also at a = -1 and a = 1.

    By change of variables `log p(a) = log N(u) - log(1 - a^2)`, u = artanh(a). Beyond |a| = 0.999, where that runs to
    infinity, the density is the tail's mass over the tail's width, `log P(u > artanh(0.999)) - log(1 - 0.999)`: it
    integrates to one, and has a gradient wherever the mean is. Source: `TanhTransformedDistribution` of Acme.

    Args:
      policy: the Gaussian before the tanh, [B, A].
      actions: [..., B, A], in [-1, 1].

    Returns:
      [..., B] float32, in nats.
    """
    chex.assert_shape(actions, (..., *policy.mean.shape))
    mean, stddev = _expand(policy, actions.ndim - 2)
    inside = jnp.clip(actions, -_SATURATED, _SATURATED)
    u = jnp.arctanh(inside)
    standardised = (u - mean) / stddev
    density = -0.5 * jnp.square(standardised) - jnp.log(stddev) - LOG_SQRT_2PI - jnp.log1p(-jnp.square(inside))
    # u is the edge of the tail that a saturated action lies in, and the tail lies beyond it, away from zero.
    tail = log_ndtr(-jnp.sign(inside) * standardised) - jnp.log1p(-_SATURATED)
    return jnp.sum(jnp.where(jnp.abs(actions) < _SATURATED, density, tail), axis=-1)


def tanh_gaussian_draw(key: Key, policy: Gaussian) -> tuple[Action, Array]:
    """One squashed action for each state and its log-density, both with a gradient through the action.

    With u Gaussian and a = tanh(u), `log p(a) = log N(u) - sum_d log(1 - tanh^2(u_d))`, and without a difference of
    nearly equal numbers `log(1 - tanh^2(u)) = 2 (log 2 - u - softplus(-2 u))`. Unlike `tanh_gaussian_log_prob` it has
    no tails, since u is known.

    Args:
      key: random key.
      policy: the Gaussian before the tanh, [B, A].

    Returns:
      actions [B, A], in [-1, 1], and log-densities [B], in nats.
    """
    u = distributions.sample(key, policy, 1)[0]
    correction = 2.0 * (jnp.log(2.0) - u - jax.nn.softplus(-2.0 * u))
    return jnp.tanh(u), distributions.log_prob(policy, u) - jnp.sum(correction, axis=-1)


def log_ndtr(x: Array) -> Array:
    """The log of the normal's cumulative distribution, whose gradient stays right thousands of deviations out.

    JAX's has a gradient of `exp(-x^2/2 - log_ndtr(x))`, the difference of two numbers that float32 cannot tell apart
    there; below -10 this is the asymptotic expansion, whose gradient is -x.
    """
    far = jnp.minimum(x, _TAIL)
    inverse = 1.0 / jnp.square(far)
    expansion = -0.5 * jnp.square(far) - jnp.log(-far) - LOG_SQRT_2PI + jnp.log1p(-inverse + 3.0 * jnp.square(inverse))
    return jnp.where(x < _TAIL, expansion, jax.scipy.special.log_ndtr(jnp.maximum(x, _TAIL)))


def mixture(num_components: int, init_stddev: float, min_stddev: float) -> PolicyHead:
    """A mixture of diagonal Gaussians, for data from several policies.

    All three layers start near zero, VarianceScaling(1e-5), so that the components lie close together at first.
    Source: `MultivariateGaussianMixture` of Acme. The deterministic action is the mean of the component of the largest
    weight.

    Args:
      num_components: C, Gaussians in the mixture.
      init_stddev: standard deviation of each before training, in units of the action.
      min_stddev: added to every standard deviation.
    """

    def head(features: Array, num_dimensions: int) -> GaussianMixture:
        sizes = (num_components, num_components * num_dimensions, num_components * num_dimensions)
        logits, mean, raw_stddev = (
            hk.Linear(size, w_init=hk.initializers.VarianceScaling(1e-5))(features) for size in sizes
        )
        stddev = heads.scale(raw_stddev, init_stddev, min_stddev)
        shape = (-1, num_components, num_dimensions)
        return GaussianMixture(logits, mean.reshape(shape), stddev.reshape(shape))

    return PolicyHead(head=head, sample=mixture_sample, log_prob=mixture_log_prob, mode=mixture_mode)


def mixture_sample(key: Key, policy: GaussianMixture, num_samples: int) -> Action:
    """[N, B, A] samples of a mixture of batch shape [B]: a component by its weight, then an action of it."""
    component_key, noise_key = jax.random.split(key)
    batch_size, _, num_dimensions = policy.mean.shape
    component = jax.random.categorical(component_key, policy.logits, shape=(num_samples, batch_size))  # [N, B]
    row = jnp.arange(batch_size)[None]
    noise = jax.random.normal(noise_key, (num_samples, batch_size, num_dimensions))
    return policy.mean[row, component] + policy.stddev[row, component] * noise


def mixture_log_prob(policy: GaussianMixture, actions: Action) -> Array:
    """`log sum_c w_c N(a; mean_c, stddev_c)` of actions [..., B, A], mixture of batch shape [B]: [..., B], in nats."""
    batch_size, _, num_dimensions = policy.mean.shape
    chex.assert_shape(actions, (..., batch_size, num_dimensions))
    logits, mean, stddev = _expand(policy, actions.ndim - 2)
    component_log_prob = distributions.log_prob(Gaussian(mean, stddev), actions[..., None, :])  # [..., B, C]
    return jax.nn.logsumexp(jax.nn.log_softmax(logits) + component_log_prob, axis=-1)


def mixture_mode(policy: GaussianMixture) -> Action:
    """The mean of the component of the largest weight, [B, A]."""
    likeliest = jnp.argmax(policy.logits, axis=-1)  # [B]
    return policy.mean[jnp.arange(likeliest.shape[0]), likeliest]


def _expand(distribution: Any, num_dimensions: int) -> Any:
    """The distribution with leading dimensions of one, to meet the samples'."""
    return jax.tree.map(lambda x: jnp.expand_dims(x, range(num_dimensions)), distribution)
