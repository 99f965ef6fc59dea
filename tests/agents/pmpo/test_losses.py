"""PMPO's loss by hand, what it weighs alike, where it pulls, and where it has a least value."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents.pmpo import losses
from acme_agents.core.distributions import Gaussian

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
STANDARD = Gaussian(jnp.zeros((1, 1)), jnp.ones((1, 1)))
WIDE = Gaussian(jnp.ones((1, 1)), jnp.full((1, 1), 2.0))
PLAIN = {"beta_stddev": None, "kl": "forward"}


def _preferences(*preferred):
    """Of actions of one state."""
    preferred = jnp.array(preferred)[:, None]
    return losses.Preferences(preferred, ~preferred)


# --- Which actions are preferred.


def test_ranks_halve_each_states_actions():
    """Two states, of units of their own; five actions leave a middle one in neither half."""
    q_values = jnp.array([[3.0, -100.0], [1.0, 0.0], [2.0, 200.0], [0.0, 100.0]])
    preferences = losses.by_rank(q_values)
    np.testing.assert_array_equal(preferences.preferred, [[1, 0], [0, 0], [1, 1], [0, 1]])
    np.testing.assert_array_equal(preferences.dispreferred, [[0, 1], [1, 1], [0, 0], [1, 0]])
    odd = losses.by_rank(jnp.array([[4.0], [1.0], [3.0], [0.0], [2.0]]))
    np.testing.assert_array_equal(odd.preferred[:, 0], [1, 0, 1, 0, 0])
    np.testing.assert_array_equal(odd.dispreferred[:, 0], [0, 1, 0, 1, 0])


def test_equal_actions_are_halved_too():
    preferences = losses.by_rank(jnp.zeros((4, 3)))
    np.testing.assert_array_equal(preferences.preferred.sum(axis=0), [2, 2, 2])
    np.testing.assert_array_equal(preferences.dispreferred, ~preferences.preferred)


def test_an_advantage_of_zero_is_preferred():
    preferences = losses.by_advantage(jnp.array([[-1e-6, 0.0, 2.0]]))
    np.testing.assert_array_equal(preferences.preferred, [[0, 1, 1]])
    np.testing.assert_array_equal(preferences.dispreferred, [[1, 0, 0]])


# --- Their likelihoods.


def test_likelihood_loss_by_hand():
    """Means -2 of {-1, -3} and -5 of {-5}; 0.7 * 2 - 0.3 * 5 = -0.1. The middle one counts in neither."""
    log_prob = jnp.array([[-1.0], [-3.0], [-5.0], [100.0]])
    sets = losses.Preferences(
        *(jnp.array(x)[:, None] for x in ([True, True, False, False], [False, False, True, False]))
    )
    np.testing.assert_allclose(losses.likelihood_loss(log_prob, sets, 0.7), -0.1, rtol=1e-6)
    np.testing.assert_allclose(losses.likelihood_loss(log_prob, sets, 1.0), 2.0, rtol=1e-6)
    np.testing.assert_allclose(losses.likelihood_loss(log_prob, sets, 0.0), -5.0, rtol=1e-6)


def test_sets_weigh_alike_whatever_their_sizes():
    """One preferred action and ten others, alpha 1/2: each set has a gradient of 1/2 in all; not 1/11 and 10/11."""
    sets = _preferences(True, *[False] * 10)
    slope = jax.grad(losses.likelihood_loss)(jnp.zeros((11, 1)), sets, 0.5)
    np.testing.assert_allclose(slope[:, 0], [-0.5, *[0.05] * 10], rtol=1e-6)
    # Through a policy, whose mean goes to what is preferred and away from the rest, by the same whatever alpha.
    actions = jnp.array([1.0, *[-1.0] * 10])[:, None, None]
    for alpha in (0.0, 0.5, 1.0):
        options = {"alpha": alpha, "beta": 0.0, **PLAIN}
        gradient, _ = jax.grad(losses.pmpo_loss, has_aux=True)(STANDARD, STANDARD, actions, sets, **options)
        np.testing.assert_allclose(gradient.mean, [[-1.0]], rtol=1e-6)


def test_a_set_may_be_empty():
    log_prob = jnp.array([[-1.0], [-3.0]])
    value, slope = jax.value_and_grad(losses.likelihood_loss)(log_prob, _preferences(True, True), 0.25)
    np.testing.assert_allclose([value, *slope[:, 0]], [0.5, -0.125, -0.125])


# --- The divergence.


def test_divergence_both_ways_by_hand():
    """KL(N(0, 1) || N(1, 2)) = log 2 + 2/8 - 1/2; the other way -log 2 + 5/2 - 1/2. Summed over dimensions."""
    forward, reverse = math.log(2) - 0.25, 2 - math.log(2)
    np.testing.assert_allclose(losses.divergence(STANDARD, WIDE, "forward"), forward, rtol=1e-6)
    np.testing.assert_allclose(losses.divergence(STANDARD, WIDE, "reverse"), reverse, rtol=1e-6)
    twice = [Gaussian(jnp.tile(g.mean, (3, 2)), jnp.tile(g.stddev, (3, 2))) for g in (STANDARD, WIDE)]
    np.testing.assert_allclose(losses.divergence(*twice, "forward"), 2 * forward, rtol=1e-6)
    np.testing.assert_allclose(losses.divergence(*twice, "reverse"), 2 * reverse, rtol=1e-6)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_the_reference_stands_still(direction):
    moved, still = jax.grad(losses.divergence, argnums=(1, 0))(STANDARD, WIDE, direction)
    assert all(np.all(x != 0) for x in moved)
    assert all(np.all(x == 0) for x in still)


# --- The whole loss.

ACTIONS = jnp.array([1.0, -1.0])[:, None, None]  # [N, B, A]; the first is preferred
FIRST = _preferences(True, False)


def _log_prob(x, mean, stddev):
    return -0.5 * ((x - mean) / stddev) ** 2 - math.log(stddev) - LOG_SQRT_2PI


def test_whole_loss_by_hand():
    """At N(1, 2), of actions 1 and -1 of N(0, 1): at once, and the mean and the deviation apart."""
    value, metrics = losses.pmpo_loss(WIDE, STANDARD, ACTIONS, FIRST, alpha=0.75, beta=2.0, **PLAIN)
    expected = -0.75 * _log_prob(1, 1, 2) + 0.25 * _log_prob(-1, 1, 2) + 2 * (math.log(2) - 0.25)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose([metrics["preferred"], metrics["policy_stddev"]], [0.5, 2.0])
    np.testing.assert_allclose(metrics["kl_reference"], math.log(2) - 0.25, rtol=1e-6)
    value, metrics = losses.pmpo_loss(
        WIDE, STANDARD, ACTIONS, FIRST, alpha=0.75, beta=2.0, beta_stddev=3.0, kl="reverse"
    )
    expected = -0.75 * (_log_prob(1, 1, 1) + _log_prob(1, 0, 2)) + 0.25 * (_log_prob(-1, 1, 1) + _log_prob(-1, 0, 2))
    kl_mean, kl_stddev = 0.5, -math.log(2) + 2 - 0.5
    np.testing.assert_allclose(value, expected + 2 * kl_mean + 3 * kl_stddev, rtol=1e-6)
    np.testing.assert_allclose(metrics["kl_reference"], kl_mean + kl_stddev, rtol=1e-6)


def test_a_reference_of_actions_alone_is_imitated():
    """beta times -mean log pi of all actions: (1 + beta) BC where all are preferred."""
    everything = _preferences(True, True)
    bc = -0.5 * (_log_prob(1, 1, 2) + _log_prob(-1, 1, 2))
    for beta_stddev in (None, 10.0):
        value, _ = losses.pmpo_loss(
            WIDE, None, ACTIONS, everything, alpha=1.0, beta=0.5, beta_stddev=beta_stddev, kl="forward"
        )
        np.testing.assert_allclose(value, 1.5 * bc, rtol=1e-6)


def _slope(mean, alpha, beta, beta_stddev=10.0):
    def loss(mean):
        policy = Gaussian(mean.reshape(1, 1), jnp.ones((1, 1)))
        options = {"alpha": alpha, "beta": beta, "beta_stddev": beta_stddev, "kl": "forward"}
        return losses.pmpo_loss(policy, STANDARD, ACTIONS, FIRST, **options)[0]

    return float(jax.grad(loss)(jnp.float32(mean)))


@pytest.mark.parametrize("beta_stddev", [None, 10.0])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (0.5, 1.0), (0.0, 2.0), (1.0, 1.0), (0.5, 3.0), (0.0, 5.0)])
def test_the_best_mean_by_hand(alpha, beta, beta_stddev):
    """At a deviation of 1 the slope in the mean m is (2 alpha - 1 + beta) m - 1: both sets pull alike at 0."""
    weight = 2 * alpha - 1 + beta
    for m in (0.0, 1 / weight, 4.0):
        np.testing.assert_allclose(_slope(m, alpha, beta, beta_stddev), weight * m - 1, atol=1e-5)


@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 0.0), (0.0, 0.5), (0.0, 1.0), (0.5, 0.0)])
def test_too_little_divergence_has_no_best_mean(alpha, beta):
    """Where 2 alpha - 1 + beta <= 0 the loss falls without end, the farther the policy runs."""
    assert all(_slope(m, alpha, beta) <= -0.99 for m in (0.0, 1.0, 10.0, 1000.0))
