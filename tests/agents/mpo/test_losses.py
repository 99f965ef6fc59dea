"""MPO's loss: every term by hand, the directions of its gradients, and where no gradient may flow."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents.mpo import losses
from acme_agents.core.distributions import Gaussian

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
N, B, A = 4, 3, 2
EPSILONS = {"epsilon": 0.1, "epsilon_penalty": 0.05, "epsilon_mean": 0.01, "epsilon_stddev": 0.02}


def _problem(seed=0, spread=1.5):
    """Duals, online and target policy, actions [N, B, A], some of them outside [-1, 1], and their values [N, B]."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return jnp.array(rng.normal(size=shape), jnp.float32)

    duals = losses.Duals(normal(), normal(), normal(A), normal(A))
    online = Gaussian(normal(B, A), jnp.exp(0.3 * normal(B, A)))
    target = Gaussian(normal(B, A), jnp.exp(0.3 * normal(B, A)))
    return duals, online, target, spread * normal(N, B, A), normal(N, B)


# --- Terms.


def test_positive_by_hand():
    np.testing.assert_allclose(losses.positive(jnp.array([0.0, 20.0])), [math.log(2), 20.0], rtol=1e-6)
    np.testing.assert_allclose(losses.positive(jnp.array([-100.0])), [1e-8], rtol=1e-6)


def test_clip_duals():
    duals = losses.Duals(jnp.array(-20.0), jnp.array(-18.0), jnp.array([-1e9, 3.0]), jnp.array([-17.5, 1000.0]))
    clipped = losses.clip_duals(duals)
    assert (float(clipped.log_temperature), float(clipped.log_penalty_temperature)) == (-18.0, -18.0)
    np.testing.assert_array_equal(clipped.log_alpha_mean, [-18.0, 3.0])
    np.testing.assert_array_equal(clipped.log_alpha_stddev, [-17.5, 1000.0])


Q_VALUES = jnp.array([[0.0, 5.0], [2 * math.log(3), 5.0]])  # [N, B]; at temperature 2 the odds are 1:3 and 1:1


def test_expectation_weights_by_hand():
    weights = losses.expectation_weights(Q_VALUES, jnp.float32(2.0))
    np.testing.assert_allclose(weights, [[0.25, 0.5], [0.75, 0.5]], rtol=1e-6)
    # A constant more or less changes nothing; small temperatures and large values overflow nothing.
    np.testing.assert_allclose(losses.expectation_weights(Q_VALUES + 1e3, jnp.float32(2.0)), weights, rtol=1e-4)
    np.testing.assert_allclose(losses.expectation_weights(Q_VALUES * 1e6, jnp.float32(1e-3)), [[0, 0.5], [1, 0.5]])


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e4])
def test_solved_temperature_meets_the_bound(unit):
    """Whatever the values' unit; it is where the dual's slope vanishes. Two values one apart, at 0.1 nats, by hand."""
    q_values = unit * jax.random.normal(jax.random.PRNGKey(0), (20, 64))
    temperature = losses.solve_temperature(q_values, 0.1)
    kl = losses.weights_kl(losses.expectation_weights(q_values, temperature))
    np.testing.assert_allclose(kl, 0.1, rtol=1e-3)
    np.testing.assert_allclose(jax.grad(losses.temperature_loss, 1)(q_values, temperature, 0.1), 0.0, atol=1e-3)
    # KL = log 2 + w log w + (1 - w) log(1 - w) with w = sigmoid(1 / temperature): 0.1 at w = 0.7198.
    pair = unit * jnp.array([[0.0], [1.0]])
    np.testing.assert_allclose(losses.solve_temperature(pair, 0.1), unit / math.log(0.7198 / 0.2802), rtol=2e-3)


def test_solved_temperature_of_values_that_are_alike_is_finite():
    assert 0 < losses.solve_temperature(jnp.ones((20, 4)), 0.1) < 1e-4


def test_stored_is_the_inverse_of_positive():
    multipliers = jnp.array([1e-7, 1e-3, 0.7, 30.0, 1e5])
    np.testing.assert_allclose(losses.positive(losses.stored(multipliers)), multipliers, rtol=1e-4)
    np.testing.assert_allclose(losses.stored(jnp.float32(0.0)), -18.0, rtol=1e-5)


def test_temperature_loss_by_hand():
    # 2 (0.1 + mean(log(1 + 3), 5/2 + log 2) - log 2)
    expected = 2 * (0.1 + (math.log(4) + 2.5 + math.log(2)) / 2 - math.log(2))
    np.testing.assert_allclose(losses.temperature_loss(Q_VALUES, jnp.float32(2.0), 0.1), expected, rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 2.0, 10.0])
def test_temperature_gradient(temperature):
    """It is epsilon - KL(weights, uniform): the temperature rises exactly when the E-step moves too far."""
    gradient = jax.grad(losses.temperature_loss, argnums=1)(Q_VALUES, jnp.float32(temperature), 0.1)
    weights = losses.expectation_weights(Q_VALUES, jnp.float32(temperature))
    np.testing.assert_allclose(gradient, 0.1 - losses.weights_kl(weights), atol=1e-5)

    def in_float64(temperature):
        q = np.asarray(Q_VALUES, np.float64) / temperature
        return temperature * (0.1 + np.mean(np.log(np.mean(np.exp(q), axis=0))))

    h = 1e-4
    np.testing.assert_allclose(
        gradient, (in_float64(temperature + h) - in_float64(temperature - h)) / (2 * h), atol=1e-5
    )


def test_weights_kl_by_hand():
    uniform, certain = jnp.full((4, 1), 0.25), jnp.array([[1.0], [0.0], [0.0], [0.0]])
    np.testing.assert_allclose(losses.weights_kl(uniform), 0.0, atol=1e-6)
    np.testing.assert_allclose(losses.weights_kl(certain), math.log(4), rtol=1e-6)
    both = jnp.concatenate([uniform, certain], axis=1)  # the mean over states
    np.testing.assert_allclose(losses.weights_kl(both), math.log(4) / 2, rtol=1e-6)


def test_weighted_cross_entropy_by_hand():
    # log pi(0) = -0 - 0 - log 2 - 2 c and log pi(1, 2) = -1/2 - 1/2 - log 2 - 2 c, weighted 1/4 and 3/4.
    policy = Gaussian(jnp.zeros((1, 2)), jnp.array([[1.0, 2.0]]))
    actions = jnp.array([[[0.0, 0.0]], [[1.0, 2.0]]])
    expected = 0.75 + math.log(2) + 2 * LOG_SQRT_2PI
    np.testing.assert_allclose(
        losses.weighted_cross_entropy(jnp.array([[0.25], [0.75]]), actions, policy), expected, rtol=1e-6
    )
    # Two such states average, and weights that sum to two count twice.
    two = losses.weighted_cross_entropy(
        jnp.array([[0.25, 0.5], [0.75, 1.5]]),
        jnp.repeat(actions, 2, axis=1),
        Gaussian(jnp.zeros((2, 2)), jnp.array([[1.0, 2.0]] * 2)),
    )
    np.testing.assert_allclose(two, expected * 1.5, rtol=1e-6)


def test_constraint_losses_by_hand():
    kl, alpha = jnp.array([1.0, 0.25]), jnp.array([3.0, 4.0])
    penalty, dual = losses.constraint_losses(kl, alpha, 0.5)
    assert (float(penalty), float(dual)) == (3 * 1 + 4 * 0.25, 3 * (0.5 - 1) + 4 * (0.5 - 0.25))

    gradient = jax.grad(lambda *args: losses.constraint_losses(*args, 0.5)[0], argnums=(0, 1))(kl, alpha)
    np.testing.assert_array_equal(gradient, [[3, 4], [0, 0]])  # the penalty is the policy's
    gradient = jax.grad(lambda *args: losses.constraint_losses(*args, 0.5)[1], argnums=(0, 1))(kl, alpha)
    np.testing.assert_array_equal(gradient, [[0, 0], [-0.5, 0.25]])  # and the other the multiplier's


# --- The whole loss.


def _by_hand(problem, epsilon, epsilon_penalty, epsilon_mean, epsilon_stddev, of_policy=False):
    """The same equations once more, in float64 loops over states and dimensions.

    With `of_policy` it leaves the multipliers' losses out, whose KLs carry no gradient to the policy.
    """
    duals, online, target, actions, q_values = jax.tree.map(lambda x: np.asarray(x, np.float64), problem)
    (eta, eta_penalty, alpha_mean, alpha_stddev) = (np.log1p(np.exp(np.asarray(x, np.float64))) + 1e-8 for x in duals)
    (mu, sigma), (mu_t, sigma_t) = online, target
    total = 0.0
    for b in range(B):
        weights = np.exp(q_values[:, b] / eta) / np.exp(q_values[:, b] / eta).sum()
        total += eta * (epsilon + np.log(np.mean(np.exp(q_values[:, b] / eta))))
        if epsilon_penalty is not None:
            outside = -np.sqrt(np.sum((actions[:, b] - np.clip(actions[:, b], -1, 1)) ** 2, axis=-1)) / eta_penalty
            weights = weights + np.exp(outside) / np.exp(outside).sum()
            total += eta_penalty * (epsilon_penalty + np.log(np.mean(np.exp(outside))))
        for a in range(A):
            for m, s in ((mu[b, a], sigma_t[b, a]), (mu_t[b, a], sigma[b, a])):
                log_prob = -0.5 * ((actions[:, b, a] - m) / s) ** 2 - np.log(s) - LOG_SQRT_2PI
                total -= np.sum(weights * log_prob)
            kl_mean = 0.5 * (mu[b, a] - mu_t[b, a]) ** 2 / sigma_t[b, a] ** 2
            kl_stddev = np.log(sigma[b, a] / sigma_t[b, a]) + 0.5 * (sigma_t[b, a] / sigma[b, a]) ** 2 - 0.5
            total += alpha_mean[a] * kl_mean + alpha_stddev[a] * kl_stddev
            if not of_policy:
                total += alpha_mean[a] * (epsilon_mean - kl_mean) + alpha_stddev[a] * (epsilon_stddev - kl_stddev)
    return total / B


@pytest.mark.parametrize("epsilon_penalty", [None, 0.05])
@pytest.mark.parametrize("seed", range(3))
def test_whole_loss_by_hand(seed, epsilon_penalty):
    problem = _problem(seed)
    epsilons = EPSILONS | {"epsilon_penalty": epsilon_penalty}
    loss, _ = losses.mpo_loss(*problem, **epsilons)
    np.testing.assert_allclose(loss, _by_hand(problem, **epsilons), rtol=1e-5)


def test_gradient_to_the_policy_by_finite_differences():
    duals, online, *rest = _problem()
    gradient = jax.jit(jax.grad(lambda p: losses.mpo_loss(duals, p, *rest, **EPSILONS)[0]))(online)
    h = 1e-5
    for field in ("mean", "stddev"):
        for index in np.ndindex(B, A):
            either_side = []
            for step in (h, -h):
                moved = np.array(getattr(online, field), np.float64)
                moved[index] += step
                problem = (duals, online._replace(**{field: moved}), *rest)
                either_side.append(_by_hand(problem, **EPSILONS, of_policy=True))
            expected = (either_side[0] - either_side[1]) / (2 * h)
            np.testing.assert_allclose(getattr(gradient, field)[index], expected, rtol=1e-4, atol=1e-5)


def test_penalty_weights_are_added():
    duals, online, target, actions, q_values = _problem(spread=0.2)
    _, without = losses.mpo_loss(duals, online, target, actions, q_values, **EPSILONS | {"epsilon_penalty": None})

    # All actions inside: the penalty is uniform, and its weights of 1/N add up to one, as those of the values do.
    inside = jnp.clip(actions, -0.9, 0.9)
    equal = jnp.zeros_like(q_values)
    _, base = losses.mpo_loss(duals, online, target, inside, equal, **EPSILONS | {"epsilon_penalty": None})
    _, added = losses.mpo_loss(duals, online, target, inside, equal, **EPSILONS)
    np.testing.assert_allclose(added["loss_policy"], 2 * base["loss_policy"], rtol=1e-5)
    assert "kl_q_ratio" in without


def test_penalty_pulls_the_mean_inside():
    """Of two actions of equal value, at 0.5 and at 3, the policy turns to the one inside."""
    policy = Gaussian(jnp.array([[1.75]]), jnp.array([[1.0]]))
    actions, q_values = jnp.array([[[0.5]], [[3.0]]]), jnp.zeros((2, 1))
    duals = losses.Duals(jnp.array(0.0), jnp.array(0.0), jnp.zeros(1), jnp.zeros(1))

    def slope(epsilon_penalty):
        def loss(mean):
            epsilons = EPSILONS | {"epsilon_penalty": epsilon_penalty}
            return losses.mpo_loss(duals, policy._replace(mean=mean), policy, actions, q_values, **epsilons)[0]

        return float(jax.jit(jax.grad(loss))(policy.mean)[0, 0])

    assert slope(None) == pytest.approx(0, abs=1e-6)
    # Weights softmax(0, -2 / log 2): the pull is -sum_n w_n (a_n - mu).
    w = 1 / (1 + math.exp(-2 / math.log(2)))
    assert slope(0.05) == pytest.approx(-(w * -1.25 + (1 - w) * 1.25), rel=1e-5)


def test_metrics():
    duals, _, target, actions, q_values = _problem()
    online = Gaussian(target.mean + 0.1 * target.stddev, target.stddev)
    _, metrics = losses.mpo_loss(duals, online, target, actions, q_values, **EPSILONS)
    np.testing.assert_allclose(metrics["kl_mean_ratio"], 0.5 * 0.1**2 / 0.01, rtol=1e-3)
    np.testing.assert_allclose(metrics["kl_stddev_ratio"], 0.0, atol=1e-5)
    # KL(target || twice as wide) = log 2 + 1/8 - 1/2; the other way round it would be 3/2 - log 2.
    _, metrics_of_wider = losses.mpo_loss(
        duals, online._replace(stddev=2 * target.stddev), target, actions, q_values, **EPSILONS
    )
    np.testing.assert_allclose(metrics_of_wider["kl_stddev_ratio"], (math.log(2) - 0.375) / 0.02, rtol=1e-4)
    weights = losses.expectation_weights(q_values, losses.positive(duals.log_temperature))
    np.testing.assert_allclose(metrics["kl_q_ratio"], losses.weights_kl(weights) / 0.1, rtol=1e-6)
    np.testing.assert_allclose(metrics["policy_stddev"], online.stddev.mean(), rtol=1e-6)


@pytest.mark.parametrize(
    ("mean_shift", "stddev_ratio", "signs"),
    [
        (0.0, 1.0, (1, 1)),  # no KL: both multipliers fall
        (1.0, 1.0, (-1, 1)),  # the mean has moved: only its multiplier grows
        (0.0, 2.0, (1, -1)),
        (1.0, 2.0, (-1, -1)),
    ],
)
def test_multipliers_grow_where_the_kl_exceeds_its_bound(mean_shift, stddev_ratio, signs):
    duals, _, target, actions, q_values = _problem()
    online = Gaussian(target.mean + mean_shift * target.stddev, target.stddev * stddev_ratio)
    gradient = jax.grad(lambda d: losses.mpo_loss(d, online, target, actions, q_values, **EPSILONS)[0])(duals)
    # Descent: a negative gradient grows the multiplier.
    np.testing.assert_array_equal(np.sign(gradient.log_alpha_mean), [signs[0]] * A)
    np.testing.assert_array_equal(np.sign(gradient.log_alpha_stddev), [signs[1]] * A)


def test_the_constraint_is_per_dimension():
    duals, _, target, actions, q_values = _problem()
    online = Gaussian(target.mean + target.stddev * jnp.array([[1.0, 0.0]]), target.stddev)
    gradient = jax.grad(lambda d: losses.mpo_loss(d, online, target, actions, q_values, **EPSILONS)[0])(duals)
    np.testing.assert_array_equal(np.sign(gradient.log_alpha_mean), [-1, 1])


def test_mean_is_fitted_under_the_targets_stddev_and_stddev_around_the_targets_mean():
    """Decoupled: the mean's gradient does not see the online stddev, nor the other way round."""
    duals, online, target, actions, q_values = _problem()

    def gradient(policy):
        return jax.grad(lambda p: losses.mpo_loss(duals, p, target, actions, q_values, **EPSILONS)[0])(policy)

    wider, moved = online._replace(stddev=online.stddev * 2), online._replace(mean=online.mean + 1)
    np.testing.assert_allclose(gradient(wider).mean, gradient(online).mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient(moved).stddev, gradient(online).stddev, rtol=1e-5, atol=1e-6)


def test_no_gradient_flows_into_target_or_values():
    duals, online, target, actions, q_values = _problem()

    def loss(online, target, q_values):
        return losses.mpo_loss(duals, online, target, actions, q_values, **EPSILONS)[0]

    to_online, to_target, to_values = jax.grad(loss, argnums=(0, 1, 2))(online, target, q_values)
    assert all(np.all(g != 0) for g in to_online)
    assert not any(np.any(g) for g in to_target)
    assert not np.any(to_values)


def test_shapes_are_checked():
    duals, online, target, actions, q_values = _problem()
    with pytest.raises(AssertionError, match="shape"):
        losses.mpo_loss(duals, online, target, actions, q_values[..., None], **EPSILONS)
    with pytest.raises(AssertionError, match="shape"):
        losses.mpo_loss(duals, online, target, actions[..., :1], q_values, **EPSILONS)
    with pytest.raises(AssertionError, match="shape"):
        losses.constraint_losses(jnp.ones(2), jnp.ones(1), 0.1)
    with pytest.raises(AssertionError, match="rank"):
        losses.expectation_weights(jnp.ones(3), jnp.float32(1.0))
