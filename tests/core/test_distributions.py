"""The Gaussian against numbers worked by hand and against its own samples."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.core import distributions
from acme_agents.core.distributions import Gaussian

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


def test_log_prob_by_hand():
    gaussian = Gaussian(jnp.array([[0.0, 1.0]]), jnp.array([[1.0, 2.0]]))
    # At (1, 5) both stand 1 and 2 standard deviations off: -1/2 - 2 - log 1 - log 2 - 2 log sqrt(2 pi).
    expected = -2.5 - math.log(2) - 2 * LOG_SQRT_2PI
    np.testing.assert_allclose(distributions.log_prob(gaussian, jnp.array([[1.0, 5.0]])), [expected], rtol=1e-6)


def test_kl_by_hand():
    p = Gaussian(jnp.array([[0.0, 0.0, 1.0]]), jnp.array([[1.0, 1.0, 2.0]]))
    q = Gaussian(jnp.array([[1.0, 0.0, 1.0]]), jnp.array([[1.0, 2.0, 2.0]]))
    # (mu_p - mu_q)^2 / 2 = 1/2;  log 2 + 1/8 - 1/2;  0 for the same.
    expected = [[0.5, math.log(2) - 0.375, 0.0]]
    np.testing.assert_allclose(distributions.kl_divergence(p, q), expected, rtol=1e-5, atol=1e-7)


def test_samples_have_the_mean_and_standard_deviation():
    gaussian = Gaussian(jnp.array([[0.0, 5.0], [-3.0, 1.0]]), jnp.array([[1.0, 0.1], [2.0, 0.5]]))
    samples = distributions.sample(jax.random.PRNGKey(0), gaussian, 20_000)
    assert samples.shape == (20_000, 2, 2)
    # Standard error 1/sqrt(20 000) = 0.7 per cent of a standard deviation; four of them.
    np.testing.assert_allclose((samples.mean(0) - gaussian.mean) / gaussian.stddev, np.zeros((2, 2)), atol=0.028)
    np.testing.assert_allclose(samples.std(0) / gaussian.stddev, np.ones((2, 2)), atol=0.02)
    correlation = np.corrcoef(np.asarray(samples).reshape(20_000, 4).T)
    np.testing.assert_allclose(correlation, np.eye(4), atol=0.028)


def test_shapes_are_checked():
    gaussian = Gaussian(jnp.zeros((3, 2)), jnp.ones((3, 2)))
    with pytest.raises(AssertionError, match="rank"):
        distributions.log_prob(gaussian, jnp.zeros((5, 3, 2)))
    with pytest.raises(AssertionError, match="shape"):
        distributions.kl_divergence(gaussian, Gaussian(jnp.zeros((3, 1)), jnp.ones((3, 1))))
