"""The loss that the mixture critic's own is measured against."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from acme_agents.core import values


@pytest.fixture(scope="module")
def likelihood(script):
    return script("likelihood")


def test_log_prob_agrees_with_scipy(likelihood):
    rng = np.random.default_rng(0)
    logits, loc, scale = rng.normal(size=(6, 5)), rng.normal(size=(6, 5)), np.exp(rng.normal(size=(6, 5)))
    returns = 3 * rng.normal(size=(3, 4, 6))
    log_density = scipy.stats.norm.logpdf(returns[..., None], loc, scale)
    expected = scipy.special.logsumexp(scipy.special.log_softmax(logits, axis=-1) + log_density, axis=-1)
    mixture = values.Mixture(*(jnp.array(x, jnp.float32) for x in (logits, loc, scale)))
    np.testing.assert_allclose(
        likelihood.log_prob(mixture, jnp.array(returns, jnp.float32)), expected, rtol=2e-5, atol=1e-5
    )


def test_one_gaussian_against_the_closed_form(likelihood):
    """-E_{z ~ N(m, s)} log N(r + d z; 0, 1) = (log 2 pi + (r + d m)^2 + d^2 s^2) / 2; r = 1, d = 1/2, m = s = 2."""
    online = values.Mixture(jnp.zeros((1, 1)), jnp.zeros((1, 1)), jnp.ones((1, 1)))
    target = values.Mixture(jnp.zeros((1, 1, 1)), jnp.full((1, 1, 1), 2.0), jnp.full((1, 1, 1), 2.0))
    loss = likelihood.loss(jax.random.PRNGKey(0), online, jnp.ones(1), jnp.full(1, 0.5), target, 40_000)
    np.testing.assert_allclose(loss, [(np.log(2 * np.pi) + 4.0 + 1.0) / 2], rtol=0.01)
