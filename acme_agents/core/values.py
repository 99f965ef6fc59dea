"""Critics by kind: what the head returns, its mean, and the loss that fits it to a bootstrapped target.

A `ValueHead` bundles the three, so that an agent's loss is written once for every kind of critic. Time goes in the
names: `value_tm1` is the online critic at (s_{t-1}, a_{t-1}), `value_t` the target critic at the bootstrap state.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import haiku as hk
import jax
import jax.numpy as jnp

from acme_agents.core import heads
from acme_agents.core.configs import Critic
from acme_agents.core.types import Array

_MIN_SCALE = 1e-4  # of a mixture's components; Acme's floor
_SQRT_HALF_PI = 1.2533141373155001


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
      loss: `(value_tm1, r_t [B], discount_t [B], value_t) -> [B]`, where `value_tm1` has batch shape [B] and
        `value_t` [N, B], one for each of N actions at the bootstrap state. No gradient flows into `value_t`.
    """

    head: Callable[[Array], Any]
    mean: Callable[[Any], Array]
    loss: Callable[[Any, Array, Array, Any], Array]


def make_head(config: Critic) -> ValueHead:
    """The critic's kind, as configured."""
    if config.critic == "mixture":
        return mixture(config.num_components, config.init_scale, config.smoothing)
    if config.critic == "categorical":
        return categorical(config.vmin, config.vmax, config.num_atoms)
    return scalar()


def scalar() -> ValueHead:
    """A critic that returns the expected return itself."""
    return ValueHead(
        head=lambda features: jnp.squeeze(hk.Linear(1)(features), -1),
        mean=lambda value: value,
        loss=squared_loss,
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

    Its value is the logits, [..., num_atoms]. The layer starts near zero, VarianceScaling(1e-5), so that untrained
    values do not vary over actions. Source of the head: Acme `networks/distributional.py`.
    """
    atoms = jnp.linspace(vmin, vmax, num_atoms)
    return ValueHead(
        head=lambda features: hk.Linear(num_atoms, w_init=hk.initializers.VarianceScaling(1e-5))(features),
        mean=lambda logits: jax.nn.softmax(logits) @ atoms,
        loss=functools.partial(categorical_loss, atoms),
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


def mixture(num_components: int, init_scale: float, smoothing: float) -> ValueHead:
    """A critic that returns a mixture of Gaussians over the return (Shahriari et al. 2022, arXiv 2204.10256).

    It needs no bounds on the return. All three layers start near zero, VarianceScaling(1e-5), so the first mixture
    lies at zero with scale `init_scale`. Source of the head: Acme `networks/distributional.py`; the loss is ours, see
    `mixture_loss`.

    Args:
      num_components: C, Gaussians in the mixture.
      init_scale: standard deviation of each before training, in units of the return.
      smoothing: f of `mixture_loss`.
    """

    def head(features: Array) -> Mixture:
        logits, loc, raw_scale = (
            hk.Linear(num_components, w_init=hk.initializers.VarianceScaling(1e-5))(features) for _ in range(3)
        )
        scale = heads.scale(raw_scale, init_scale, _MIN_SCALE)
        return Mixture(logits, loc, scale)

    return ValueHead(head=head, mean=mixture_mean, loss=functools.partial(mixture_loss, smoothing=smoothing))


def mixture_mean(mixture: Mixture) -> Array:
    """The expected return, `sum_c w_c loc_c`: [..., C] to [...]."""
    return jnp.sum(jax.nn.softmax(mixture.logits) * mixture.loc, axis=-1)


def mixture_loss(value_tm1: Mixture, r_t: Array, discount_t: Array, value_t: Mixture, *, smoothing: float) -> Array:
    """Energy distance between the critic's mixture X and the bootstrapped return's law Y, both smoothed to a width h.

    `sqrt(pi / 2) h (E|X - Y| - E|X - X'| / 2)`, where noise N(0, h^2 / 2) has been added to both, and X' is an
    independent copy of X. The term of Y alone, E|Y - Y'| / 2, has no gradient and is left out. Y's law is that of
    r + discount z, with z from a mixture of the N actions' mixtures. All means are closed forms of pairs of Gaussians,
    `mean_absolute`: nothing is sampled.

    The width h = f S is in units of the spread of the minibatch's targets, with f = `smoothing` and

      S^2 = var_b(y_b) + mean_b (x_b - y_b)^2,  x_b and y_b being the means of X and Y.

    The distance is zero where the laws are equal, and only there, whatever h is. Its gradient is tame: in a mean mu_c,
    it is the squared error's while errors are below h (for h large the whole loss tends to (x - y)^2 / 2), and beyond
    it never exceeds 2.5 w_c h. So few far targets are not outvoted by small errors at many near ones. The factor h lets
    a minibatch whose targets are all alike weigh as little as in a squared error. Rewards times k give the loss times
    k^2, which Adam divides out: what remains in units of the return is the floor of the scales, Adam's own epsilon and
    step, and the norm to which gradients are clipped.

    Shahriari et al. fit the mixture by its likelihood. Where returns hardly vary its scales shrink to nothing, an error
    e then has the gradient e / scale^2, and rare returns are not learned for thousands of updates
    (benchmarks/rare_rewards.py). The energy distance between mixtures of Gaussians, unsmoothed, is from Nam et al.
    2021, *GMAC* (arXiv 2105.11366); by itself it behaves like an absolute error, which ignores what is rare.

    Args:
      value_tm1: batch shape [B].
      r_t: [B] float32.
      discount_t: [B] float32.
      value_t: batch shape [N, B].
      smoothing: f, h in units of the spread S.

    Returns:
      [B] float32, in units of the return squared.
    """
    chex.assert_rank([r_t, discount_t], 1)
    chex.assert_equal_shape([r_t, discount_t, value_tm1.loc[:, 0]])
    chex.assert_shape(value_t.loc, (None, *value_tm1.loc.shape))
    value_t = jax.lax.stop_gradient(value_t)
    num_actions, batch_size, num_components = value_t.loc.shape

    def flat(x: Array) -> Array:  # [N, B, C] to [B, N C]
        return jnp.swapaxes(x, 0, 1).reshape(batch_size, num_actions * num_components)

    weight_t = flat(jax.nn.softmax(value_t.logits)) / num_actions
    loc_t = r_t[:, None] + discount_t[:, None] * flat(value_t.loc)
    variance_t = jnp.square(discount_t[:, None] * flat(value_t.scale))

    mean_t, mean_tm1 = jnp.sum(weight_t * loc_t, axis=-1), jax.lax.stop_gradient(mixture_mean(value_tm1))
    width = smoothing * jnp.sqrt(jnp.var(mean_t) + jnp.mean(jnp.square(mean_tm1 - mean_t)))

    weight, loc, variance = jax.nn.softmax(value_tm1.logits), value_tm1.loc, jnp.square(value_tm1.scale)

    def distance(loc_y: Array, variance_y: Array) -> Array:  # [B, K] to [B, C, K]
        scale = jnp.sqrt(variance[:, :, None] + variance_y[:, None, :] + jnp.square(width))
        return mean_absolute(loc[:, :, None] - loc_y[:, None, :], scale)

    cross = jnp.einsum("bc,bk,bck->b", weight, weight_t, distance(loc_t, variance_t))
    within = jnp.einsum("bc,bk,bck->b", weight, weight, distance(loc, variance))
    return _SQRT_HALF_PI * width * (cross - 0.5 * within)


@jax.custom_jvp
def mean_absolute(loc: Array, scale: Array) -> Array:
    """E|D| of D ~ N(loc, scale^2), elementwise: `loc erf(z / sqrt 2) + scale sqrt(2 / pi) exp(-z^2 / 2)`.

    Here z = loc / scale.

    Its derivatives are the error function in `loc` and `sqrt(2 / pi) exp(...)` in `scale`, both within [-1, 1]; they
    are given by hand, since what differentiation finds are differences of large terms.
    """
    return _mean_absolute(loc, scale)[0]


@mean_absolute.defjvp
def _mean_absolute_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    value, by_loc, by_scale = _mean_absolute(*primals)
    return value, by_loc * tangents[0] + by_scale * tangents[1]


def _mean_absolute(loc: Array, scale: Array) -> tuple[Array, Array, Array]:
    """The value and its two derivatives."""
    standardised = loc / scale
    by_loc = jax.lax.erf(standardised * 0.5**0.5)
    by_scale = jnp.exp(-0.5 * jnp.square(standardised)) / _SQRT_HALF_PI
    return loc * by_loc + scale * by_scale, by_loc, by_scale
