"""Network heads: from features to a distribution over actions."""

import haiku as hk
import jax
import jax.numpy as jnp

from acme_agents.core.distributions import Gaussian
from acme_agents.core.types import Array

_SOFTPLUS_OF_ZERO = 0.6931471805599453


def gaussian(features: Array, num_dimensions: int, *, init_stddev: float, min_stddev: float) -> Gaussian:
    """A diagonal Gaussian over actions, its mean near 0 and its standard deviation near `init_stddev` at the start.

    `stddev = init_stddev softplus(h) / softplus(0) + min_stddev`, both layers with weights VarianceScaling(1e-4).
    Source: `MultivariateNormalDiagHead` of Acme.

    Args:
      features: [B, F] float32.
      num_dimensions: A, of the action.
      init_stddev: standard deviation before training, in units of the action.
      min_stddev: added to every standard deviation.

    Returns:
      A Gaussian, [B, A].
    """
    w_init = hk.initializers.VarianceScaling(1e-4)
    mean = hk.Linear(num_dimensions, w_init=w_init)(features)
    raw_stddev = hk.Linear(num_dimensions, w_init=w_init)(features)
    return Gaussian(mean, scale(raw_stddev, init_stddev, min_stddev))


def deterministic(features: Array, num_dimensions: int) -> Array:
    """One action, the tanh of a linear layer that starts near zero, VarianceScaling(1e-4): [B, F] to [B, A]."""
    return jnp.tanh(hk.Linear(num_dimensions, w_init=hk.initializers.VarianceScaling(1e-4))(features))


def scale(raw: Array, init: float, least: float) -> Array:
    """A positive number of a layer's output: `init softplus(raw) / softplus(0) + least`, near `init` at the start."""
    return jax.nn.softplus(raw) * init / _SOFTPLUS_OF_ZERO + least
