"""What is compared with R2D2 is R2D2 in all but memory."""

import jax
import numpy as np
import pytest

from acme_agents.agents import r2d2
from acme_agents.agents.r2d2.networks import inputs_of
from acme_agents.core import recurrent
from tests.agents.r2d2.toys import SPEC, TINY, random_batch

KEY = jax.random.PRNGKey(0)


@pytest.fixture(scope="module")
def memoryless(script):
    return script("memoryless")


def test_a_steps_values_depend_on_nothing_before_its_inputs(memoryless):
    networks, remembering = memoryless.make(TINY)._networks(SPEC), r2d2.make(TINY)._networks(SPEC)
    inputs, params = inputs_of(random_batch(TINY), networks.num_actions), networks.init(KEY)
    state = recurrent.zero_state(inputs.reward.shape[0], TINY.lstm_size)
    q_values, after = networks.unroll(params, inputs, state)
    third = jax.tree.map(lambda x: x[:, 2:3], inputs)
    np.testing.assert_allclose(networks.unroll(params, third, state)[0][:, 0], q_values[:, 2], atol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, after, state)
    expected, _ = remembering.unroll(params, inputs, state)
    np.testing.assert_allclose(q_values[:, 0], expected[:, 0], atol=1e-6)  # before which there is nothing to remember
    assert np.abs(q_values[:, 2] - expected[:, 2]).max() > 1e-4
