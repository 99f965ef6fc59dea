"""DDPG's policy loss by hand, and its actor's noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents.ddpg import losses
from acme_agents.core import actors

ACTION = jnp.array([[0.1, 0.2], [0.3, -0.4]])
SLOPE = jnp.array([[3.0, 4.0], [0.3, 0.4]])  # of norms 5 and 0.5


def _q(action):
    return jnp.sum(SLOPE * action, axis=-1)


def test_gradient_is_that_of_the_critic_scaled_down_to_its_bound():
    def gradient(bound):
        return jax.grad(lambda action: losses.policy_loss(_q, action, bound))(ACTION)

    np.testing.assert_allclose(gradient(None), -SLOPE / 2, rtol=1e-6)
    np.testing.assert_allclose(gradient(1.0), [[-0.3, -0.4], [-0.15, -0.2]], rtol=1e-6)


def test_a_flat_critic_has_no_gradient():
    gradient = jax.grad(lambda action: losses.policy_loss(lambda a: 0.0 * a[:, 0], action, 1.0))(ACTION)
    np.testing.assert_array_equal(gradient, np.zeros((2, 2)))


def test_other_shapes_are_refused():
    with pytest.raises(AssertionError):
        losses.policy_loss(_q, jnp.zeros(4), 1.0)


def test_explores_at_random_until_something_was_learnt_and_then_with_noise():
    def act(steps, *, evaluation):
        actor = actors.deterministic(lambda params, observation: params[None], 0.1, evaluation=evaluation)
        params = actors.ActorParams(jnp.array([0.25, 0.95]), jnp.int32(steps))
        keys = jax.random.split(jax.random.PRNGKey(0), 2000)
        return np.asarray(jax.vmap(lambda key: actor.select_action(params, jnp.zeros(3), key)[0])(keys))

    np.testing.assert_allclose(act(0, evaluation=False).mean(0), [0.0, 0.0], atol=0.06)
    np.testing.assert_allclose(act(0, evaluation=False).std(0), [3**-0.5, 3**-0.5], atol=0.03)
    noisy = act(1, evaluation=False)
    np.testing.assert_allclose([noisy[:, 0].mean(), noisy[:, 0].std()], [0.25, 0.1], atol=0.01)
    assert noisy.max() == 1.0
    np.testing.assert_array_equal(act(0, evaluation=True), np.tile(np.float32([0.25, 0.95]), (2000, 1)))
