"""Running means and variances, with numbers worked by hand."""

import jax.numpy as jnp
import numpy as np

from acme_agents.core import running


def test_moments_are_those_of_all_numbers_that_count():
    moments = running.add(
        running.init((2,)), jnp.array([[1.0, 0.0], [3.0, 0.0], [99.0, 99.0]]), jnp.array([1, 1, 0], bool)
    )
    np.testing.assert_allclose(moments.mean, [2.0, 0.0])
    np.testing.assert_allclose(moments.variance, [1.0, 0.0])
    moments = running.add(moments, jnp.array([[5.0, 6.0]]), jnp.array([True]))
    np.testing.assert_allclose(moments.mean, [3.0, 2.0])
    np.testing.assert_allclose(moments.variance, [8 / 3, 8.0], rtol=1e-6)
    assert float(moments.number) == 3.0


def test_without_numbers_nothing_changes():
    before = running.init(())
    after = running.add(before, jnp.array([7.0]), jnp.array([False]))
    assert [float(x) for x in after] == [0.0, 1.0, 0.0]


def test_normalised_numbers_are_clipped():
    found = running.normalise(jnp.array([[1.0], [9.0], [-99.0]]), jnp.array([1.0]), jnp.array([2.0]), limit=3.0)
    np.testing.assert_allclose(found, [[0.0], [3.0], [-3.0]])
