"""DiME's reference figures on the concave bandit: it covers the front where scalarisation cannot, in any unit."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

ALPHAS = jnp.array([0.1, 0.3, 0.5, 0.7, 0.9])  # of r_1


@pytest.fixture(scope="module")
def bandits(script):
    return script("bandits")


@pytest.mark.slow
def test_dime_covers_the_front_and_scalarisation_its_ends(bandits):
    dime = bandits.solve("dime", bandits.FIXED, ALPHAS)
    np.testing.assert_allclose(dime.mean, [-0.93, -0.69, 0.00, 0.69, 0.93], atol=0.011)
    np.testing.assert_array_equal(dime.stddev, np.float32(0.5))
    scalarisation = bandits.solve("scalarisation", bandits.FIXED, ALPHAS)
    np.testing.assert_allclose(scalarisation.mean, [-1.00, -0.98, 0.95, 0.98, 1.00], atol=0.011)
    from_below = bandits.solve("scalarisation", bandits.FIXED, ALPHAS, -0.1)
    np.testing.assert_allclose(from_below.mean, [-1.00, -0.98, -0.95, 0.98, 1.00], atol=0.011)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dime", "mo-mpo"])
def test_the_unit_of_a_reward_changes_nothing(bandits, method):
    plain, scaled = (
        np.asarray(bandits.solve(method, bandits.FREE._replace(scale=scale), ALPHAS).mean) for scale in (1.0, 20.0)
    )
    np.testing.assert_allclose(plain, scaled, atol=0.005)
    assert abs(plain[2]) < 0.005
    assert (plain[:2] < -0.9).all()


@pytest.mark.slow
def test_scalarisation_follows_the_larger_reward(bandits):
    means = np.asarray(bandits.solve("scalarisation", bandits.FREE._replace(scale=20.0), ALPHAS).mean)
    np.testing.assert_allclose(means, [0.98, 1.00, 1.00, 1.00, 1.00], atol=0.011)


def test_temperature_meets_its_bound(bandits):
    """Two actions worth 0 and x have KL(w, uniform) = log 2 - entropy(w): with odds 1:3 it is log 2 - 0.5623."""
    q_values = jnp.array([[0.0], [5.0]])
    epsilon = math.log(2) + 0.25 * math.log(0.25) + 0.75 * math.log(0.75)
    np.testing.assert_allclose(bandits.best_temperature(q_values, epsilon), 5.0 / math.log(3), rtol=1e-3)


def test_stddev_ratios_meet_their_bound(bandits):
    low, high = bandits.stddev_ratios(0.01)
    assert low < 1 < high
    for ratio in (low, high):  # KL(N(0, 1), N(0, ratio))
        assert math.log(ratio) + 0.5 / ratio**2 - 0.5 == pytest.approx(0.01, abs=1e-5)
    np.testing.assert_allclose(bandits.stddev_ratios(0.0), (1.0, 1.0), atol=1e-5)
