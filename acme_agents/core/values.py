"""Critics by kind: what the head returns, its mean, and the loss that fits it to a bootstrapped target.

A `ValueHead` bundles the three, so that an agent's loss is written once for every kind of critic. Time goes in the
names: `value_tm1` is the online critic at (s_{t-1}, a_{t-1}), `value_t` the target critic at the bootstrap state.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

import chex
import haiku as hk
import jax
import jax.numpy as jnp

from acme_agents.core import distributions, heads
from acme_agents.core.distributions import Gaussian
from acme_agents.core.types import Array, Key

_MIN_SCALE = 1e-4  # of a mixture's components; Acme's floor
_GOLDEN_RATIO = 0.6180339887498949  # its multiples, modulo one, fill [0, 1] evenly


class Mixture(NamedTuple):
    """A mixture of C Gaussians over the return, of batch shape [...]."""

    logits: Array  # [..., C] of the weights
    loc: Array  # [..., C] means
    scale: Array  # [..., C] standard deviations


class ValueHead(NamedTuple):
    """One kind of critic.

    Attributes:
      head: `(features [..., F]) -> value`, inside a haiku transform.
      mean: `(value) -> [...]`, the expected return.
      loss: `(key, value_tm1, r_t [B], discount_t [B], value_t) -> [B]`, where `value_tm1` has batch shape [B] and
        `value_t` [N, B], one for each of N actions at the bootstrap state. No gradient flows into `value_t`.
    """

    head: Callable[[Array], Any]
    mean: Callable[[Any], Array]
    loss: Callable[[Key, Any, Array, Array, Any], Array]


class HeadConfig(Protocol):
    """The fields of an agent's configuration that choose its critic."""

    @property
    def critic(self) -> Literal["mixture", "categorical", "scalar"]: ...
    @property
    def num_components(self) -> int: ...
    @property
    def init_scale(self) -> float: ...
    @property
    def num_return_samples(self) -> int: ...
    @property
    def vmin(self) -> float: ...
    @property
    def vmax(self) -> float: ...
    @property
    def num_atoms(self) -> int: ...


def make_head(config: HeadConfig) -> ValueHead:
    """The critic's kind, as configured."""
    if config.critic == "mixture":
        return mixture(config.num_components, config.init_scale, config.num_return_samples)
    if config.critic == "categorical":
        return categorical(config.vmin, config.vmax, config.num_atoms)
    return scalar()


def scalar() -> ValueHead:
    """A critic that returns the expected return itself."""
    return ValueHead(
        head=lambda features: jnp.squeeze(hk.Linear(1)(features), -1),
        mean=lambda value: value,
        loss=lambda key, value_tm1, r_t, discount_t, value_t: squared_loss(value_tm1, r_t, discount_t, value_t),
    )


def squared_loss(value_tm1: Array, r_t: Array, discount_t: Array, value_t: Array) -> Array:
    """Half the squared error to the target averaged over actions: `(r + discount mean_n v_n - v)^2 / 2`.

    Args:
      value_tm1: [B]. r_t: [B]. discount_t: [B]. value_t: [N, B].

    Returns:
      [B] float32.
    """
    chex.assert_rank([value_tm1, r_t, discount_t, value_t], [1, 1, 1, 2])
    target = jax.lax.stop_gradient(r_t + discount_t * jnp.mean(value_t, axis=0))
    return 0.5 * jnp.square(target - value_tm1)


def categorical(vmin: float, vmax: float, num_atoms: int) -> ValueHead:
    """A critic that returns probabilities of fixed atoms, evenly spaced on [vmin, vmax] (C51, Bellemare et al. 2017).

    Its value is the logits, [..., num_atoms].
    """
    atoms = jnp.linspace(vmin, vmax, num_atoms)
    return ValueHead(
        head=lambda features: hk.Linear(num_atoms)(features),
        mean=lambda logits: jax.nn.softmax(logits) @ atoms,
        loss=lambda key, logits_tm1, r_t, discount_t, logits_t: categorical_loss(
            atoms, logits_tm1, r_t, discount_t, logits_t
        ),
    )


def categorical_loss(atoms: Array, logits_tm1: Array, r_t: Array, discount_t: Array, logits_t: Array) -> Array:
    """Cross-entropy to the projected target distribution (Bellemare et al. 2017, eq. 7), averaged over actions.

    The N actions share their atoms, so their probabilities are averaged before the projection.

    Args:
      atoms: [K], increasing and evenly spaced.
      logits_tm1: [B, K]. r_t: [B]. discount_t: [B]. logits_t: [N, B, K].

    Returns:
      [B] float32.
    """
    chex.assert_rank([atoms, logits_tm1, r_t, discount_t, logits_t], [1, 2, 1, 1, 3])
    probabilities_t = jnp.mean(jax.nn.softmax(logits_t), axis=0)
    shifted = jnp.clip(r_t[:, None] + discount_t[:, None] * atoms[None], atoms[0], atoms[-1])  # [B, K]
    # Every shifted atom shares its mass between its two neighbours, linearly in the distance.
    distance = jnp.abs(shifted[:, None, :] - atoms[None, :, None]) / (atoms[1] - atoms[0])  # [B, K to, K from]
    target = jnp.einsum("bij,bj->bi", jnp.clip(1.0 - distance, 0.0, 1.0), probabilities_t)
    return -jnp.sum(jax.lax.stop_gradient(target) * jax.nn.log_softmax(logits_tm1), axis=-1)


def mixture(num_components: int, init_scale: float, num_samples: int) -> ValueHead:
    """A critic that returns a mixture of Gaussians over the return (Shahriari et al. 2022, arXiv 2204.10256).

    It needs no bounds on the return. All three layers start near zero, VarianceScaling(1e-5), so the first mixture
    lies at zero with scale `init_scale`. Source of the head: Acme `networks/distributional.py`.

    Args:
      num_components: C, Gaussians in the mixture.
      init_scale: standard deviation of each before training, in units of the return.
      num_samples: samples of the bootstrap return for each component of each of the N actions, in the loss.
    """

    def head(features: Array) -> Mixture:
        logits, loc, raw_scale = (
            hk.Linear(num_components, w_init=hk.initializers.VarianceScaling(1e-5))(features) for _ in range(3)
        )
        scale = heads.scale(raw_scale, init_scale, _MIN_SCALE)
        return Mixture(logits, loc, scale)

    return ValueHead(
        head=head,
        mean=mixture_mean,
        loss=lambda key, value_tm1, r_t, discount_t, value_t: mixture_loss(
            key, value_tm1, r_t, discount_t, value_t, num_samples
        ),
    )


def mixture_mean(mixture: Mixture) -> Array:
    """The expected return, `sum_c w_c loc_c`: [..., C] to [...]."""
    return jnp.sum(jax.nn.softmax(mixture.logits) * mixture.loc, axis=-1)


def mixture_log_prob(mixture: Mixture, returns: Array) -> Array:
    """The log-density of `returns` [..., B] under a mixture of batch shape [B]: [..., B]."""
    logits, loc, scale = (jnp.expand_dims(x, range(returns.ndim - 1)) for x in mixture)  # [..., B, C]
    component_log_prob = distributions.log_prob(Gaussian(loc[..., None], scale[..., None]), returns[..., None, None])
    return jax.nn.logsumexp(jax.nn.log_softmax(logits) + component_log_prob, axis=-1)


def mixture_loss(
    key: Key,
    value_tm1: Mixture,
    r_t: Array,
    discount_t: Array,
    value_t: Mixture,
    num_samples: int,
) -> Array:
    """Cross-entropy between the bootstrapped return's law and the critic's mixture, by few well-placed samples.

    `-1/N sum_n E[log Z(s, a)(r + discount z)]`, z ~ Z'(s', a_n) (Shahriari et al. 2022).

    Acme estimates it by 128 independent samples for each of N = 20 actions. Here every component of every Z'(s', a_n)
    has M samples of its own, weighted by the component's weight, so that chance plays no part in which component is
    drawn; and a component's samples are spread over its quantiles, see `stratified_samples`. The estimate is unbiased.

    Args:
      key: random key.
      value_tm1: batch shape [B].
      r_t: [B] float32.
      discount_t: [B] float32.
      value_t: batch shape [N, B].
      num_samples: M, for each component of each of the N actions.

    Returns:
      [B] float32.
    """
    chex.assert_rank([r_t, discount_t], 1)
    chex.assert_shape(value_t.loc, (None, *value_tm1.loc.shape))
    value_t = jax.lax.stop_gradient(jax.tree.map(lambda x: jnp.swapaxes(x, 1, 2), value_t))  # [N, C, B]
    weights = jax.nn.softmax(value_t.logits, axis=1)  # [N, C, B]
    z_t = stratified_samples(key, value_t.loc, value_t.scale, num_samples)  # [M, N, C, B]
    target = r_t[None, None, None] + discount_t[None, None, None] * z_t
    log_prob = jnp.mean(mixture_log_prob(value_tm1, target), axis=0)  # [N, C, B]
    return -jnp.mean(jnp.sum(weights * log_prob, axis=1), axis=0)


def stratified_samples(key: Key, loc: Array, scale: Array, num_samples: int) -> Array:
    """Samples of many Gaussians, each evenly over its own quantiles, and jointly over those of all.

    A Gaussian's M samples lie at the quantiles (m + u) / M, m = 0 .. M - 1, with u uniform, and so have exactly its
    law together. The offsets u of the N C Gaussians of one transition are a randomly shifted lattice, so they too
    cover [0, 1] evenly.

    Args:
      key: random key.
      loc: [N, C, B] means.
      scale: [N, C, B] standard deviations.
      num_samples: M.

    Returns:
      [M, N, C, B] float32.
    """
    *leading, batch_size = loc.shape
    points = jnp.arange(math.prod(leading), dtype=jnp.float32).reshape(1, *leading, 1)
    strata = jnp.arange(num_samples, dtype=jnp.float32).reshape(num_samples, 1, 1, 1)
    offset = (points * _GOLDEN_RATIO + jax.random.uniform(key, (1, 1, 1, batch_size))) % 1.0
    quantile = jnp.clip((strata + offset) / num_samples, 1e-6, 1.0 - 1e-6)
    return loc[None] + scale[None] * jax.scipy.special.ndtri(quantile)
