"""DiME's loss: the three methods by hand, one objective as MPO, and what changes with a reward's unit."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents.dime import losses
from acme_agents.agents.mpo import losses as mpo
from acme_agents.core.distributions import Gaussian

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
METHODS = ["dime", "mo-mpo", "scalarisation"]
K, N, B, A = 2, 4, 3, 2
EPSILONS = {"epsilon": 0.1, "epsilon_penalty": 0.05, "epsilon_mean": 0.01, "epsilon_stddev": 0.02}
NO_PENALTY = EPSILONS | {"epsilon_penalty": None}


def _problem(seed=0, num_objectives=K, num_experts=K):
    """Duals, online and target policy, actions [N, B, A] and their values [K, N, B]."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return jnp.array(rng.normal(size=shape), jnp.float32)

    duals = mpo.Duals(normal(num_experts), normal(), normal(A), normal(A))
    online = Gaussian(normal(B, A), jnp.exp(0.3 * normal(B, A)))
    target = Gaussian(normal(B, A), jnp.exp(0.3 * normal(B, A)))
    return duals, online, target, 1.5 * normal(N, B, A), normal(num_objectives, N, B)


# --- Terms.


def test_experts_by_hand():
    q_values = jnp.array([[[1.0], [2.0]], [[30.0], [40.0]]])  # [K, N, B]
    preference = jnp.array([[0.2, 0.6]])  # the rest, 0.2, is the behaviour's: rho = 0.8
    dime = losses.experts("dime", q_values, preference, 0.1)
    np.testing.assert_array_equal(dime.q_values, q_values)
    np.testing.assert_allclose(dime.share, [[0.2, 0.6]])
    np.testing.assert_allclose(dime.epsilon, [0.1, 0.1])
    momo = losses.experts("mo-mpo", q_values, preference, 0.1)
    np.testing.assert_array_equal(momo.q_values, q_values)
    np.testing.assert_allclose(momo.share, [[0.8, 0.8]], rtol=1e-6)
    np.testing.assert_allclose(momo.epsilon, [0.05, 0.15], rtol=1e-6)  # 0.1 * 2 * (1/4, 3/4)
    linear = losses.experts("scalarisation", q_values, preference, 0.1)
    np.testing.assert_allclose(linear.q_values, [[[0.2 + 18.0], [0.4 + 24.0]]])
    np.testing.assert_allclose(linear.share, [[0.8]], rtol=1e-6)
    np.testing.assert_allclose(linear.epsilon, [0.1])


def test_equal_preferences_give_mo_mpo_the_same_bounds():
    epsilon = losses.experts("mo-mpo", jnp.zeros((4, N, B)), jnp.full((B, 4), 0.25), 0.1).epsilon
    np.testing.assert_allclose(epsilon, [0.1] * 4, rtol=1e-6)


def test_mixture_weights_by_hand():
    weights = jnp.array([[[0.25], [0.75]], [[0.5], [0.5]]])  # [J, N, B]
    np.testing.assert_allclose(losses.mixture_weights(weights, jnp.array([[0.4, 0.6]])), [[0.4], [0.6]])
    np.testing.assert_allclose(losses.mixture_weights(weights, jnp.ones((1, 2))), [[0.75], [1.25]])


def test_advantage_by_hand():
    action_values = jnp.array([[3.0, 1.0], [10.0, 0.0]])  # [K, B]
    q_values = jnp.array([[[0.0, 1.0], [2.0, 1.0]], [[4.0, 5.0], [4.0, 7.0]]])  # [K, N, B]; means 1, 1 and 4, 6
    preference = jnp.array([[0.25, 0.25, 0.5], [0.1, 0.3, 0.6]])
    expected = [(2 + 6) / 2, 0.25 * 0 + 0.75 * -6]
    np.testing.assert_allclose(losses.advantage(action_values, q_values, preference), expected, rtol=1e-6)
    # Where the behaviour has all the weight, no objective says what is good.
    np.testing.assert_array_equal(losses.advantage(action_values, q_values, jnp.array([[0.0, 0.0, 1.0]] * 2)), 0)


def test_advantage_weights_by_hand():
    weights = losses.advantage_weights(jnp.array([0.0, 2 * math.log(3)]), 2.0)
    np.testing.assert_allclose(weights, [0.5, 1.5], rtol=1e-6)
    # One of 64 that outshines the rest has weight 20, and not 64.
    weights = losses.advantage_weights(jnp.zeros(64).at[3].set(100.0), 1.0)
    assert (float(weights[3]), float(weights.sum())) == (20.0, pytest.approx(20.0))


# --- The whole loss.


def _by_hand(method, problem, preference, behaviour, epsilon, epsilon_penalty, epsilon_mean, epsilon_stddev):
    """The same equations once more, in float64 loops over states, experts and dimensions."""
    duals, online, target, actions, q_values = jax.tree.map(lambda x: np.asarray(x, np.float64), problem)
    etas, eta_penalty, alpha_mean, alpha_stddev = (np.log1p(np.exp(x)) + 1e-8 for x in duals)
    total = 0.0
    for b in range(B):
        weights, rho = np.zeros(N), sum(preference[b, :K])
        if method == "scalarisation":
            values = [sum(preference[b, k] * q_values[k, :, b] for k in range(K))]
        else:
            values = [q_values[k, :, b] for k in range(K)]
        for j, (value, eta) in enumerate(zip(values, etas)):
            share = preference[b, j] if method == "dime" else rho
            bound = epsilon * K * preference[b, j] / rho if method == "mo-mpo" else epsilon
            weights += share * np.exp(value / eta) / np.exp(value / eta).sum()
            total += eta * (bound + np.log(np.mean(np.exp(value / eta))))
        outside = -np.sqrt(np.sum((actions[:, b] - np.clip(actions[:, b], -1, 1)) ** 2, axis=-1)) / eta_penalty
        weights += np.exp(outside) / np.exp(outside).sum()
        total += eta_penalty * (epsilon_penalty + np.log(np.mean(np.exp(outside))))
        points = [*zip(weights, actions[:, b])]
        if behaviour is not None:
            points.append((preference[b, K] * behaviour.factor[b], behaviour.action[b]))
        for a in range(A):
            (m, s), (m_t, s_t) = ((p.mean[b, a], p.stddev[b, a]) for p in (online, target))
            for mean, stddev in ((m, s_t), (m_t, s)):
                for weight, action in points:
                    total -= weight * (-0.5 * ((action[a] - mean) / stddev) ** 2 - np.log(stddev) - LOG_SQRT_2PI)
            total += alpha_mean[a] * epsilon_mean + alpha_stddev[a] * epsilon_stddev  # the KLs cancel in value
    return total / B


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("with_behaviour", [False, True])
def test_whole_loss_by_hand(method, with_behaviour):
    problem = _problem(num_experts=losses.num_experts(method, K))
    preference = np.array([[0.2, 0.5, 0.3]] * B if with_behaviour else [[0.2, 0.8]] * B, np.float32)
    if method != "mo-mpo":  # of a conditioned policy every state has its own
        preference = np.stack([np.roll(row, i) for i, row in enumerate(preference)])
    behaviour = losses.Behaviour(jnp.full((B, A), 0.3), jnp.array([0.5, 1.0, 1.5])) if with_behaviour else None
    loss, metrics = losses.dime_loss(*problem, jnp.array(preference), behaviour, method=method, **EPSILONS)
    np.testing.assert_allclose(loss, _by_hand(method, problem, preference, behaviour, **EPSILONS), rtol=1e-5)
    assert all(np.ndim(value) == 0 for value in metrics.values())


@pytest.mark.long
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("epsilons", [EPSILONS, NO_PENALTY], ids=["penalty", "no penalty"])
def test_one_objective_is_mpo(method, epsilons):
    """Loss and all gradients, of the policy and of every dual variable."""
    duals, online, target, actions, q_values = _problem(num_objectives=1, num_experts=1)

    def dime_loss(duals, online):
        preference = jnp.ones((B, 1))
        return losses.dime_loss(duals, online, target, actions, q_values, preference, method=method, **epsilons)

    def mpo_loss(duals, online):
        duals = duals._replace(log_temperature=duals.log_temperature[0])
        return mpo.mpo_loss(duals, online, target, actions, q_values[0], **epsilons)

    ours, theirs = (jax.value_and_grad(loss, (0, 1), has_aux=True)(duals, online) for loss in (dime_loss, mpo_loss))
    (loss, metrics), gradient = ours
    (expected, expected_metrics), expected_gradient = theirs
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), gradient, expected_gradient)
    np.testing.assert_allclose(metrics["kl_q_ratio_0"], expected_metrics["kl_q_ratio"], rtol=1e-5)


@pytest.mark.parametrize(("method", "invariant"), [("dime", True), ("mo-mpo", True), ("scalarisation", False)])
def test_the_unit_of_an_objective(method, invariant):
    """Q_2 -> 20 Q_2 with eta_2 -> 20 eta_2 moves neither the policy nor what the temperature has yet to move."""
    duals, online, target, actions, q_values = _problem(num_experts=losses.num_experts(method, K))
    preference = jnp.array([[0.3, 0.7]] * B)

    def gradients(q_values, duals):
        def loss(online, temperature):  # in the temperatures themselves, beneath the softplus
            log_temperature = jnp.log(jnp.expm1(temperature - 1e-8))
            all_duals = duals._replace(log_temperature=log_temperature)
            return losses.dime_loss(
                all_duals, online, target, actions, q_values, preference, method=method, **EPSILONS
            )[0]

        return jax.grad(loss, argnums=(0, 1))(online, mpo.positive(duals.log_temperature))

    factor = jnp.array([1.0, 20.0])
    temperature = mpo.positive(duals.log_temperature) * (factor if method != "scalarisation" else 1.0)
    scaled = duals._replace(log_temperature=jnp.log(jnp.expm1(temperature)))
    before, after = gradients(q_values, duals), gradients(q_values * factor[:, None, None], scaled)
    close = jax.tree.map(lambda x, y: np.allclose(x, y, rtol=1e-3, atol=1e-4), before, after)
    assert all(jax.tree.leaves(close)) == invariant


@pytest.mark.parametrize("method", METHODS)
def test_all_weight_on_the_behaviour_is_its_likelihood(method):
    """With alpha = (0, 0, 1) the policy's gradient is that of -log pi_mu(a_b) - log pi_sigma(a_b) and the KLs."""
    duals, online, target, actions, q_values = _problem(num_experts=losses.num_experts(method, K))
    behaviour = losses.Behaviour(jnp.full((B, A), 0.3), jnp.ones(B))

    def dime_loss(online):
        preference = jnp.array([[0.0, 0.0, 1.0]] * B)
        problem = (duals, online, target, actions, q_values, preference, behaviour)
        return losses.dime_loss(*problem, method=method, **NO_PENALTY)[0]

    def likelihood(online):
        bounds = {"epsilon_mean": 0.01, "epsilon_stddev": 0.02}
        return mpo.m_step(duals, online, target, behaviour.action[None], jnp.ones((1, B)), **bounds)[0]

    ours, theirs = jax.grad(dime_loss)(online), jax.grad(likelihood)(online)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), ours, theirs)


def test_no_gradient_flows_into_target_values_or_factors():
    duals, online, target, actions, q_values = _problem()
    preference = jnp.array([[0.2, 0.5, 0.3]] * B)

    def loss(online, target, q_values, advantages):
        behaviour = losses.Behaviour(jnp.full((B, A), 0.3), losses.advantage_weights(advantages, 1.0))
        problem = (duals, online, target, actions, q_values, preference, behaviour)
        return losses.dime_loss(*problem, method="dime", **EPSILONS)[0]

    to_online, *others = jax.grad(loss, argnums=(0, 1, 2, 3))(online, target, q_values, jnp.arange(3.0))
    assert all(np.all(g != 0) for g in to_online)
    assert not any(np.any(g) for g in jax.tree.leaves(others))


def test_shapes_are_checked():
    duals, online, target, actions, q_values = _problem()
    preference = jnp.full((B, K), 0.5)

    def loss(q_values, preference, duals=duals, method="dime"):
        problem = (duals, online, target, actions, q_values, preference)
        return losses.dime_loss(*problem, method=method, **EPSILONS)

    loss(q_values, preference)
    with pytest.raises(AssertionError, match="shape"):
        loss(q_values[0], preference)
    with pytest.raises(AssertionError, match="shape"):
        loss(q_values, preference[:, :1])
    with pytest.raises(AssertionError, match="shape"):
        loss(q_values, preference, method="scalarisation")  # two temperatures for one expert
    with pytest.raises(AssertionError, match="shape"):
        losses.mixture_weights(jnp.ones((K, N, B)), jnp.ones((K, B)))
    with pytest.raises(AssertionError, match="rank"):
        losses.experts("dime", q_values[0], preference, 0.1)
    with pytest.raises(AssertionError, match="rank"):
        losses.advantage_weights(jnp.ones((B, 1)), 1.0)
