"""BC's loss by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents.bc import losses


def test_negative_log_likelihood_by_hand():
    np.testing.assert_allclose(losses.negative_log_likelihood(jnp.array([-1.0, 3.0, 4.0])), -2.0, rtol=1e-6)


def test_other_shapes_are_refused():
    for shape in ((), (4, 1), (2, 4)):
        with pytest.raises(AssertionError):
            losses.negative_log_likelihood(jnp.zeros(shape))
