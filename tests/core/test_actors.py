"""An actor without memory."""

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core import actors

KEY = jax.random.PRNGKey(0)


def test_acts_on_a_batch_of_one_with_chance_of_its_own():
    def act(params, observation, key):
        assert {name: x.shape for name, x in observation.items()} == {"x": (1, 2), "y": (1,)}
        return params * observation["x"][0] + jax.random.uniform(key)

    actor = actors.stateless(act)
    observation = {"x": np.array([1.0, 2.0]), "y": 3.0}
    first, key, extras = actor.select_action(jnp.float32(2.0), observation, actor.init(KEY))
    second, _, _ = actor.select_action(jnp.float32(2.0), observation, key)
    np.testing.assert_allclose(first[1] - first[0], 2.0, rtol=1e-6)
    assert np.all(first != second) and extras == ()
    again, _, _ = actor.select_action(jnp.float32(2.0), observation, actor.init(KEY))
    np.testing.assert_array_equal(again, first)
