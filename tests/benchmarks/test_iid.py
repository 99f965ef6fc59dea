"""The two losses that benchmarks/return_samples.py measures ours against: integrated, and by independent samples."""

import importlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.core import values


@pytest.fixture(scope="module")
def iid(repository):
    """`iid`, found where a script of that folder finds it: beside itself."""
    sys.path.insert(0, str(repository / "benchmarks"))
    yield importlib.import_module("iid")
    sys.path.remove(str(repository / "benchmarks"))


def _mixture(key, *shape):
    keys = jax.random.split(key, 3)
    scale = jnp.exp(jax.random.uniform(keys[2], shape, minval=-1.0, maxval=0.5))
    return values.Mixture(jax.random.normal(keys[0], shape), 2 * jax.random.normal(keys[1], shape), scale)


def test_one_gaussian_against_the_closed_form(iid):
    """-E_{z ~ N(m, s)} log N(r + d z; 0, 1) = (log 2 pi + (r + d m)^2 + d^2 s^2) / 2; r = 1, d = 1/2, m = s = 2."""
    online = values.Mixture(jnp.zeros((1, 1)), jnp.zeros((1, 1)), jnp.ones((1, 1)))
    target = values.Mixture(jnp.zeros((1, 1, 1)), jnp.full((1, 1, 1), 2.0), jnp.full((1, 1, 1), 2.0))
    loss = iid.exact_loss(online, jnp.ones(1), jnp.full(1, 0.5), target)
    np.testing.assert_allclose(loss, [(np.log(2 * np.pi) + 4.0 + 1.0) / 2], rtol=1e-5)


@pytest.mark.parametrize("kind", ["iid", "stratified"])
def test_many_samples_come_to_the_integral(iid, kind):
    """Loss and gradient, for mixtures of three Gaussians, four actions and two states, one of them terminal."""
    online_key, target_key, key = jax.random.split(jax.random.PRNGKey(0), 3)
    online, target = _mixture(online_key, 2, 3), _mixture(target_key, 4, 2, 3)
    reward, discount = jnp.array([0.5, -1.0]), jnp.array([0.9, 0.0])
    sampled = {"iid": iid.loss, "stratified": values.mixture_loss}[kind]

    def mean(loss):
        return jax.value_and_grad(lambda online: jnp.mean(loss(online)))(online)

    expected = mean(lambda online: iid.exact_loss(online, reward, discount, target))
    found = mean(lambda online: sampled(key, online, reward, discount, target, 20_000))
    jax.tree.map(lambda f, e: np.testing.assert_allclose(f, e, rtol=0.03, atol=0.02), found, expected)
