"""CRR's losses by hand, where no gradient may flow, and which shapes are refused."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents.bc import losses as bc_losses
from acme_agents.agents.crr import losses

# Three states, whose data's actions are better than, as good as and worse than the policy's mean action.
Q_VALUE = jnp.array([3.0, 1.0, 0.0])
Q_SAMPLES = jnp.array([[0.0, 1.0, 4.0], [2.0, 1.0, 0.0]])  # [m, B]: means 1, 1, 2; maxima 2, 1, 4


def test_advantage_by_hand():
    np.testing.assert_array_equal(losses.advantage(Q_VALUE, Q_SAMPLES, "mean"), [2.0, 0.0, -2.0])
    np.testing.assert_array_equal(losses.advantage(Q_VALUE, Q_SAMPLES, "max"), [1.0, 0.0, -4.0])


def test_binary_weights_are_one_where_the_advantage_is_positive_and_a_tie_is_not():
    advantage = losses.advantage(Q_VALUE, Q_SAMPLES, "mean")
    np.testing.assert_array_equal(losses.weights(advantage, "binary"), [1.0, 0.0, 0.0])
    np.testing.assert_array_equal(losses.weights(jnp.array([1e-6, -1e-6]), "binary"), [1.0, 0.0])
    # "Binary max": an action must beat every sample.
    one = jnp.array([1.5])
    samples = jnp.array([[2.0], [0.0]])
    assert losses.weights(losses.advantage(one, samples, "mean"), "binary")[0] == 1.0
    assert losses.weights(losses.advantage(one, samples, "max"), "binary")[0] == 0.0


def test_exp_weights_by_hand_and_their_bound():
    weights = losses.weights(jnp.array([0.0, 1.0, -2.0, 2.9, 3.0, 1e6, -1e6]), "exp")
    expected = [1.0, math.e, math.exp(-2), math.exp(2.9), 20.0, 20.0, 0.0]  # log 20 = 2.996
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    weights = losses.weights(jnp.array([1.0, -2.0]), "exp", beta=0.5, upper_bound=5.0)
    np.testing.assert_allclose(weights, [5.0, math.exp(-4)], rtol=1e-6)


def test_at_infinite_temperature_exp_is_all():
    advantage = jnp.array([3.0, 0.0, -70.0])
    np.testing.assert_array_equal(losses.weights(advantage, "exp", beta=1e12), losses.weights(advantage, "all"))
    np.testing.assert_array_equal(losses.weights(advantage, "all"), [1.0, 1.0, 1.0])


@pytest.mark.parametrize("kind", ["exp", "binary", "all"])
def test_no_gradient_flows_into_the_advantage(kind):
    gradient = jax.grad(lambda a: losses.weights(a, kind).sum())(jnp.array([0.3, -0.4]))
    np.testing.assert_array_equal(gradient, [0.0, 0.0])


def test_weighted_negative_log_likelihood_by_hand():
    log_prob = jnp.array([-1.0, 2.0, -4.0])
    np.testing.assert_allclose(
        losses.weighted_negative_log_likelihood(jnp.array([1.0, 0.0, 0.5]), log_prob), 1.0, rtol=1e-6
    )
    assert losses.weighted_negative_log_likelihood(jnp.ones(3), log_prob) == bc_losses.negative_log_likelihood(log_prob)
    gradient = jax.grad(losses.weighted_negative_log_likelihood, argnums=1)(jnp.array([3.0, 0.0, 0.6]), log_prob)
    np.testing.assert_allclose(gradient, [-1.0, 0.0, -0.2], rtol=1e-6)


def test_a_sarsa_target_needs_a_next_action_or_no_bootstrap():
    discount = jnp.array([0.99, 0.99, 0.0, 0.0])
    next_last = jnp.array([False, True, True, False])
    # Within an episode; cut short; terminated; terminated on the way, in an n-step window.
    np.testing.assert_array_equal(losses.has_target(discount, next_last), [True, False, True, True])


B, B1 = jnp.zeros(4), jnp.zeros((4, 1))


@pytest.mark.parametrize(
    "call",
    [
        lambda: losses.advantage(B, B1, "mean"),
        lambda: losses.advantage(B, B, "mean"),
        lambda: losses.advantage(B1, jnp.zeros((2, 4, 1)), "mean"),
        lambda: losses.weights(B1, "exp"),
        lambda: losses.weighted_negative_log_likelihood(B, B1),
        lambda: losses.weighted_negative_log_likelihood(B[:1], B),
        lambda: losses.has_target(B, B1 > 0),
    ],
)
def test_other_shapes_are_refused(call):
    with pytest.raises(AssertionError):
        call()
