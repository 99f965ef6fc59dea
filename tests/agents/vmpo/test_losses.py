"""V-MPO's loss: every term by hand, the directions of its gradients, and where no gradient may flow."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents.mpo import losses as mpo
from acme_agents.agents.vmpo import losses
from acme_agents.core.distributions import Gaussian

# Four rows with an action, of which the second and the fourth are the better half; the fifth has none.
ADVANTAGE = jnp.array([-1.0, 2.0, 0.5, 2.0 + 2.0 * math.log(3.0), 99.0])
VALID = jnp.array([True, True, True, True, False])
CHOSEN = jnp.array([False, True, False, True, False])


@pytest.mark.parametrize(("number", "half"), [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2)])
def test_the_better_half_of_the_rows_that_have_an_action(number, half):
    advantage = jnp.array([3.0, 1.0, 2.0, 4.0])
    valid = jnp.arange(4) < number
    expected = sorted(range(number), key=lambda i: -advantage[i])[:half]
    np.testing.assert_array_equal(np.flatnonzero(losses.better_half(advantage, valid)), sorted(expected))
    np.testing.assert_array_equal(losses.better_half(ADVANTAGE, VALID), CHOSEN)


def test_weights_by_hand():
    # Apart by 2 log 3 at a temperature of 2: one to three.
    psi = losses.weights(ADVANTAGE, CHOSEN, jnp.array(2.0))
    np.testing.assert_allclose(psi, [0, 0.25, 0, 0.75, 0], rtol=1e-6)
    expected = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    np.testing.assert_allclose(losses.weights_kl(psi, CHOSEN), expected, rtol=1e-5)


def test_temperature_by_hand():
    def loss(temperature):
        return losses.temperature_loss(ADVANTAGE, CHOSEN, temperature, 0.1)

    value, slope = jax.value_and_grad(loss)(jnp.array(2.0))
    # 2 (0.1 + log((e^1 + 3 e^1) / 2)); its slope is the bound less the KL of the weights.
    np.testing.assert_allclose(value, 2.0 * (0.1 + 1.0 + math.log(2.0)), rtol=1e-6)
    np.testing.assert_allclose(slope, 0.1 - (0.25 * math.log(0.5) + 0.75 * math.log(1.5)), rtol=1e-5)


def test_kl_of_discrete_actions_by_hand():
    (kl,) = losses.policy_kls(jnp.log(jnp.array([[0.5, 0.5]])), jnp.log(jnp.array([[0.25, 0.75]])) + 7.0)
    np.testing.assert_allclose(kl, [[0.5 * math.log(2.0) + 0.5 * math.log(2.0 / 3.0)]], rtol=1e-5)


def test_kl_of_continuous_actions_is_decoupled():
    target, online = (Gaussian(jnp.array([[m]]), jnp.array([[s]])) for m, s in ((1.0, 2.0), (5.0, 1.0)))
    mean, stddev = losses.policy_kls(target, online)
    np.testing.assert_allclose(mean, [[0.5 * 16 / 4]])
    np.testing.assert_allclose(stddev, [[0.5 * (4 - 1 - math.log(4.0))]], rtol=1e-6)


def _loss(log_temperature, log_alpha, log_prob, kl):
    duals = losses.Duals(log_temperature, (log_alpha,))
    return losses.vmpo_loss(duals, log_prob, (kl,), ADVANTAGE, VALID, epsilon=0.1, epsilons=(0.5,))


STORED = mpo.stored(jnp.array(2.0))  # of a multiplier of 2
LOG_PROB = jnp.array([-9.0, -1.0, -9.0, -3.0, jnp.nan])
KL = jnp.array([[0.1], [0.2], [0.3], [0.6], [jnp.nan]])  # 0.3 in the mean


def test_the_whole_loss_by_hand():
    loss, metrics = _loss(STORED, STORED[None], LOG_PROB, KL)
    policy = 0.25 * 1.0 + 0.75 * 3.0
    temperature = 2.0 * (0.1 + 1.0 + math.log(2.0))
    np.testing.assert_allclose(loss, policy + temperature + 2.0 * 0.3 + 2.0 * (0.5 - 0.3), rtol=1e-5)
    np.testing.assert_allclose(metrics["policy_loss"], policy, rtol=1e-5)
    np.testing.assert_allclose(metrics["kl_policy_ratio"], 0.6, rtol=1e-5)
    np.testing.assert_allclose(metrics["alpha_policy"], 2.0, rtol=1e-5)


def test_where_its_gradients_flow():
    gradient = jax.grad(lambda *args: _loss(*args)[0], argnums=(0, 1, 2, 3))
    temperature, alpha, log_prob, kl = gradient(STORED, STORED[None], LOG_PROB, KL)
    slope = 1.0 - math.exp(-2.0)  # of the softplus where it is 2
    np.testing.assert_allclose(temperature, slope * (0.1 - 0.130812), rtol=1e-4)
    np.testing.assert_allclose(alpha, [slope * (0.5 - 0.3)], rtol=1e-5)
    np.testing.assert_allclose(log_prob, [0, -0.25, 0, -0.75, 0], rtol=1e-5)
    np.testing.assert_allclose(kl, np.array([[1.0], [1.0], [1.0], [1.0], [0.0]]) * 2.0 / 4.0, rtol=1e-5)
