"""Means over a part of a batch, with numbers worked by hand."""

import jax.numpy as jnp
import pytest

from acme_agents.core import masks


def test_mean_where_divides_by_those_that_count():
    values = jnp.array([1.0, 5.0, jnp.inf])
    assert masks.mean_where(values, jnp.array([True, True, False])) == 3.0
    assert masks.mean_where(values, jnp.zeros(3, bool)) == 0.0
    assert masks.mean_where(values[:2], jnp.ones(2, bool)) == jnp.mean(values[:2])
    errors = jnp.array([[1.0, -2.0, 3.0], [4.0, 100.0, 100.0]])
    assert masks.mean_where(errors, jnp.array([[True, True, True], [True, False, False]])) == 1.5


@pytest.mark.parametrize("counts", [jnp.ones(4, bool), jnp.ones((1, 1), bool)])
def test_other_shapes_are_refused(counts):
    with pytest.raises(AssertionError):
        masks.mean_where(jnp.zeros((4, 1)), counts)
