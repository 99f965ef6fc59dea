"""Policy heads: what an untrained policy looks like, and its floor."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.core import heads

FEATURES = jax.random.normal(jax.random.PRNGKey(1), (8, 32))


def _gaussian(**kwargs):
    return hk.without_apply_rng(hk.transform(lambda x: heads.gaussian(x, 3, **kwargs)))


@pytest.mark.parametrize("init_stddev", [0.3, 0.7])
def test_starts_near_zero_with_the_initial_standard_deviation(init_stddev):
    net = _gaussian(init_stddev=init_stddev, min_stddev=1e-6)
    policy = net.apply(net.init(jax.random.PRNGKey(0), FEATURES), FEATURES)
    assert policy.mean.shape == policy.stddev.shape == (8, 3)
    # Weights have standard deviation sqrt(1e-4 / 32), features 1: outputs of about 0.01.
    assert 1e-4 < np.abs(policy.mean).max() < 0.05
    np.testing.assert_allclose(policy.stddev, np.full((8, 3), init_stddev), rtol=0.05)


def test_standard_deviation_is_the_scaled_softplus_and_never_below_the_floor():
    net = _gaussian(init_stddev=0.5, min_stddev=0.1)
    params = net.init(jax.random.PRNGKey(0), FEATURES)
    bias = {0.0: 0.5 + 0.1, -100.0: 0.1, np.log(3.0): 0.5 * 2.0 + 0.1}  # softplus(log 3) = log 4 = 2 log 2
    for h, stddev in bias.items():
        layer = {"w": jnp.zeros((32, 3)), "b": jnp.full(3, h)}
        policy = net.apply(params | {"linear_1": layer}, FEATURES)
        np.testing.assert_allclose(policy.stddev, np.full((8, 3), stddev), rtol=1e-5)
