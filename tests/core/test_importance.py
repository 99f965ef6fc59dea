"""Importance weights and sequences' priorities, with numbers worked by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.core import importance
from acme_agents.core.types import SampleInfo


def _weights(probabilities, sources, exponent):
    draw = SampleInfo(jnp.array(probabilities, jnp.float32), jnp.array(sources, jnp.int32))
    return importance.weights(draw, exponent)


def test_the_likeliest_weigh_least():
    np.testing.assert_allclose(_weights([0.1, 0.2, 0.4], [0, 0, 0], 1.0), [1, 0.5, 0.25], rtol=1e-6)
    np.testing.assert_allclose(_weights([0.1, 0.4], [0, 0], 0.5), [1, 0.5], rtol=1e-6)
    np.testing.assert_array_equal(_weights([0.1, 0.4], [0, 0], 0.0), [1, 1])


def test_each_source_is_normalised_by_itself():
    # A small source's items are likely, a large one's are not: neither makes the other's weigh less.
    weights = _weights([1e-6, 0.5, 4e-6, 0.25], [0, 1, 0, 1], 1.0)
    np.testing.assert_allclose(weights, [1, 0.5, 0.25, 1], rtol=1e-6)
    # An element alone in its source weighs one.
    np.testing.assert_allclose(_weights([1e-6, 0.5, 2e-6], [0, 1, 0], 1.0), [1, 1, 0.5], rtol=1e-6)


def test_a_sequences_priority_mixes_the_largest_error_and_the_mean():
    errors = jnp.array([[1.0, -3.0, 2.0, 99.0], [2.0, 2.0, 99.0, 99.0], [99.0, 99.0, 99.0, 99.0]])
    valid = jnp.array([[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]], bool)
    # 0.9 * 3 + 0.1 * 2; 0.9 * 2 + 0.1 * 2; nothing counts.
    np.testing.assert_allclose(importance.sequence_priorities(errors, valid, 0.9), [2.9, 2, 0], rtol=1e-6)
    np.testing.assert_allclose(importance.sequence_priorities(errors, valid, 0.0), [2, 2, 0], rtol=1e-6)


def test_shapes_are_checked():
    with pytest.raises(AssertionError):
        _weights([[0.1]], [0], 1.0)
    with pytest.raises(AssertionError):
        importance.sequence_priorities(jnp.ones((2, 3)), jnp.ones((2, 4), bool), 0.9)
