"""Policy heads: densities against closed forms and integrals, samples against densities, and the edges of both."""

import dataclasses
import functools
import math
from typing import Literal

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
import scipy.stats

from acme_agents.core import policies
from acme_agents.core.distributions import Gaussian
from acme_agents.core.policies import GaussianMixture

KEY = jax.random.PRNGKey(0)
FEATURES = jax.random.normal(jax.random.PRNGKey(1), (8, 32))


@dataclasses.dataclass(frozen=True)
class Config:
    policy: Literal["mixture", "gaussian", "tanh-gaussian"] = "mixture"
    num_policy_components: int = 5
    policy_init_stddev: float = 0.5
    policy_min_stddev: float = 1e-3


def _mixture(weights, mean, stddev):
    """Of batch shape [1] or [B], from plain lists."""
    return GaussianMixture(jnp.log(jnp.array(weights)), jnp.array(mean), jnp.array(stddev))


# One state, two dimensions: a quarter of it lies at (0, 1), three quarters at (2, -1).
HAND = _mixture([[0.25, 0.75]], [[[0.0, 1.0], [2.0, -1.0]]], [[[1.0, 0.5], [0.5, 2.0]]])


# --- Every kind.


@functools.cache
def _jitted(kind):
    """A head whose functions are jitted once for all tests."""
    head = policies.make_head(Config(policy=kind))
    return head._replace(
        sample=jax.jit(head.sample, static_argnums=2), mode=jax.jit(head.mode), log_prob=jax.jit(head.log_prob)
    )


@pytest.fixture(params=["mixture", "gaussian", "tanh-gaussian"])
def kind(request):
    return _jitted(request.param)


@functools.cache
def _policy(head, num_dimensions=3):
    net = hk.without_apply_rng(hk.transform(lambda x: head.head(x, num_dimensions)))
    return jax.jit(lambda: net.apply(net.init(KEY, FEATURES), FEATURES))()


def test_untrained_policy_lies_near_zero_with_the_initial_standard_deviation(kind):
    policy = _policy(kind)
    np.testing.assert_allclose(policy.stddev, np.full(policy.stddev.shape, 0.501), rtol=0.05)
    mode = kind.mode(policy)
    assert mode.shape == (8, 3)
    assert 0 < np.abs(mode).max() < 0.05
    samples = kind.sample(KEY, policy, 2000)
    assert samples.shape == (2000, 8, 3)
    np.testing.assert_allclose(samples.mean(axis=(0, 1)), np.zeros(3), atol=0.03)


def test_samples_of_each_state_and_dimension_are_their_own(kind):
    samples = kind.sample(KEY, _policy(kind), 5)
    assert len(np.unique(samples)) == 5 * 8 * 3


def test_log_prob_broadcasts_over_leading_dimensions_alone(kind):
    policy = _policy(kind)
    actions = jax.random.uniform(KEY, (4, 2, 8, 3), minval=-0.9, maxval=0.9)
    together = kind.log_prob(policy, actions)
    assert together.shape == (4, 2, 8)
    np.testing.assert_allclose(together[3, 1], kind.log_prob(policy, actions[3, 1]), rtol=1e-5)
    for wrong in ((8, 1), (8, 2), (1, 3), (4, 1, 3), (3,)):
        with pytest.raises(AssertionError):
            kind.log_prob(policy, jnp.zeros(wrong))


def test_make_head_reads_its_configuration(kind):
    assert _policy(policies.make_head(Config(num_policy_components=7))).logits.shape == (8, 7)
    one = _policy(policies.make_head(Config("gaussian", policy_init_stddev=0.25)))
    np.testing.assert_allclose(one.stddev, np.full((8, 3), 0.251), rtol=0.05)
    squashed = policies.make_head(Config("tanh-gaussian"))
    far = Gaussian(jnp.full((1, 1), 3.0), jnp.ones((1, 1)))
    np.testing.assert_allclose(squashed.mode(far), [[math.tanh(3.0)]], rtol=1e-6)


# --- The Gaussian.


def test_gaussian_log_prob_is_the_sum_over_dimensions():
    policy = Gaussian(jnp.array([[0.5, -1.0]]), jnp.array([[0.1, 2.0]]))
    expected = scipy.stats.norm.logpdf(0.4, 0.5, 0.1) + scipy.stats.norm.logpdf(1.0, -1.0, 2.0)
    np.testing.assert_allclose(policies.gaussian_log_prob(policy, jnp.array([[0.4, 1.0]])), [expected], rtol=1e-5)


# --- The mixture.


def test_mixture_log_prob_is_the_log_of_the_weighted_densities():
    action = [1.0, 0.0]
    density = 0.25 * scipy.stats.multivariate_normal.pdf(action, [0, 1], np.diag([1.0, 0.25]))
    density += 0.75 * scipy.stats.multivariate_normal.pdf(action, [2, -1], np.diag([0.25, 4.0]))
    np.testing.assert_allclose(policies.mixture_log_prob(HAND, jnp.array([action])), [math.log(density)], rtol=1e-5)


def test_mixture_log_prob_far_from_every_component_is_finite():
    action = jnp.full((1, 2), 100.0)
    value, gradient = jax.value_and_grad(lambda p: policies.mixture_log_prob(p, action).sum())(HAND)
    assert -1e5 < value < -1e3
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradient))


def test_mixture_samples_have_the_mixtures_law():
    samples = np.asarray(policies.mixture_sample(KEY, HAND, 20_000)[:, 0])  # [N, A]
    # Which component a sample is of cannot be seen, but the marginals can be tested, and the dimensions' dependence:
    # the component is one for the whole vector. Mean (1.5, -0.5), covariance 0.25 * 0.75 * 2 * -2 = -0.75.
    for dimension in range(2):

        def cdf(x, d=dimension):
            parts = [scipy.stats.norm.cdf(x, HAND.mean[0, c, d], HAND.stddev[0, c, d]) for c in range(2)]
            return 0.25 * parts[0] + 0.75 * parts[1]

        assert scipy.stats.kstest(samples[:, dimension], cdf).pvalue > 1e-3
    np.testing.assert_allclose(np.cov(samples.T)[0, 1], -0.75, atol=0.05)


def test_mixture_mode_is_the_mean_of_the_largest_weight():
    three = GaussianMixture(
        jnp.array([[0.0, 1.0], [3.0, 1.0], [0.0, 0.1]]),
        jnp.arange(12.0).reshape(3, 2, 2),
        jnp.ones((3, 2, 2)),
    )
    np.testing.assert_array_equal(policies.mixture_mode(three), [[2.0, 3.0], [4.0, 5.0], [10.0, 11.0]])


def test_mixture_of_one_component_is_the_gaussian():
    one = jax.tree.map(lambda x: x[:, 1:], HAND)
    actions = jax.random.normal(KEY, (6, 1, 2))
    expected = policies.gaussian_log_prob(Gaussian(one.mean[:, 0], one.stddev[:, 0]), actions)
    np.testing.assert_allclose(policies.mixture_log_prob(one, actions), expected, rtol=1e-5)


def test_mixture_fits_two_minds_from_its_collapsed_start():
    """Actions of -0.5 and 0.5: one Gaussian has stddev 0.5 and log-density -0.73, two components do far better."""
    actions = jnp.where(jnp.arange(64) % 2 == 0, -0.5, 0.5)[:, None]
    head = policies.mixture(2, 0.7, 0.05)
    net = hk.without_apply_rng(hk.transform(lambda x: head.head(x, 1)))
    features = jnp.ones((64, 16))
    params = jax.jit(net.init)(KEY, features)

    def loss(params):
        return -jnp.mean(head.log_prob(net.apply(params, features), actions))

    optimizer = optax.adam(1e-2)

    def step(_, carry):
        params, state = carry
        updates, state = optimizer.update(jax.grad(loss)(params), state)
        return optax.apply_updates(params, updates), state

    params, _ = jax.lax.fori_loop(0, 500, step, (params, optimizer.init(params)))
    assert loss(params) < -0.5  # at best log(2) + log(0.05) + 0.92 = -1.38
    assert abs(float(head.mode(net.apply(params, features))[0, 0])) == pytest.approx(0.5, abs=0.05)


# --- The tanh of a Gaussian.


_tanh_gaussian_log_prob = jax.jit(policies.tanh_gaussian_log_prob)


def _density(policy, actions):
    """Of a one-dimensional squashed policy, at actions [N]: [N]."""
    return np.exp(_tanh_gaussian_log_prob(policy, jnp.asarray(actions, jnp.float32)[:, None, None]))[:, 0]


@pytest.mark.parametrize(("mean", "stddev"), [(0.0, 0.5), (1.5, 0.3), (-4.0, 1.0), (0.0, 10.0)])
def test_tanh_gaussian_integrates_to_one_and_changes_variables(mean, stddev):
    policy = Gaussian(jnp.full((1, 1), mean), jnp.full((1, 1), stddev))
    # Inside, in the variable before the tanh, where nothing is steep: da = (1 - tanh(u)^2) du.
    edge = np.arctanh(0.999)
    u = np.linspace(-edge, edge, 20_001)[1:-1]
    a = np.tanh(u)
    expected = scipy.stats.norm.pdf(u, mean, stddev) / (1 - a**2)
    density = _density(policy, a)
    visible = expected > 1e-6
    np.testing.assert_allclose(density[visible], expected[visible], rtol=5e-3)
    inside = np.sum(density * (1 - a**2)) * (u[1] - u[0])
    tails = _density(policy, [-1.0, 1.0])
    assert inside + tails.sum() * (1 - 0.999) == pytest.approx(1.0, abs=3e-3)


def test_saturated_actions_have_the_tails_mass_over_its_width():
    policy = Gaussian(jnp.array([[1.0]]), jnp.array([[2.0]]))
    edge = math.atanh(0.999)
    right = scipy.stats.norm.sf(edge, 1.0, 2.0) / 0.001
    left = scipy.stats.norm.cdf(-edge, 1.0, 2.0) / 0.001
    np.testing.assert_allclose(_density(policy, [1.0, 0.9995, -0.9995, -1.0]), [right, right, left, left], rtol=1e-3)


def test_samples_of_the_squashed_policy_have_its_law():
    head = policies.tanh_gaussian(0.5, 1e-3)
    samples = np.asarray(head.sample(KEY, Gaussian(jnp.array([[0.5]]), jnp.array([[1.0]])), 5000)).ravel()
    assert np.abs(samples).max() <= 1
    assert scipy.stats.kstest(samples, lambda a: scipy.stats.norm.cdf(np.arctanh(a), 0.5, 1.0)).pvalue > 1e-3


@jax.jit
@functools.partial(jax.value_and_grad, argnums=(0, 1, 2))
def _log_prob_and_gradient(mean, stddev, action):
    policy = Gaussian(mean.reshape(1, 1), stddev.reshape(1, 1))
    return policies.tanh_gaussian_log_prob(policy, action.reshape(1, 1))[0]


@pytest.mark.parametrize("stddev", [1e-3, 0.5, 20.0])
@pytest.mark.parametrize("mean", [-8.0, 0.0, 8.0])
def test_saturated_actions_are_finite_and_pull_the_mean(mean, stddev):
    """However narrow and however far the policy is, as it is after training on other actions."""
    for action in (-1.0, 1.0):
        value, gradient = _log_prob_and_gradient(*map(jnp.float32, (mean, stddev, action)))
        assert np.isfinite([value, *gradient]).all()
        # Against float64. Where the whole policy lies in the tail, the gradient is zero: it is there already.
        x = (action * mean - math.atanh(0.999)) / stddev
        hazard = math.exp(min(scipy.stats.norm.logpdf(x) - scipy.special.log_ndtr(x), 50)) if x > -1e3 else -x
        np.testing.assert_allclose(value, scipy.special.log_ndtr(x) - math.log(0.001), rtol=1e-3)
        np.testing.assert_allclose(gradient[0], action * hazard / stddev, rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("x", [-1e5, -3e3, -100.0, -10.5, -9.5, -1.0, 0.0, 5.0])
def test_log_ndtr_and_its_gradient(x):
    value, gradient = jax.value_and_grad(policies.log_ndtr)(jnp.float32(x))
    np.testing.assert_allclose(value, scipy.special.log_ndtr(x), rtol=1e-5, atol=1e-7)
    expected = -x if x < -1e3 else math.exp(scipy.stats.norm.logpdf(x) - scipy.special.log_ndtr(x))
    np.testing.assert_allclose(gradient, expected, rtol=1e-3)


def test_jaxs_own_gradient_would_not_do():
    """Why there is a `log_ndtr`: if this fails one day, it can go."""
    gradient = jax.vmap(jax.grad(jax.scipy.special.log_ndtr))(-jnp.array([3.0e3, 3.3e3, 3.7e3, 1.0e5]))
    assert not np.allclose(gradient, [3.0e3, 3.3e3, 3.7e3, 1.0e5], rtol=0.01)


def test_gradient_reaches_every_parameter(kind):
    net = hk.without_apply_rng(hk.transform(functools.partial(kind.head, num_dimensions=3)))
    params = jax.jit(net.init)(KEY, FEATURES)
    actions = jnp.full((8, 3), 1.0)
    gradient = jax.jit(jax.grad(lambda p: kind.log_prob(net.apply(p, FEATURES), actions).sum()))(params)
    assert all(np.isfinite(x).all() and np.any(x != 0) for x in jax.tree.leaves(gradient))


def test_drawn_log_density_is_that_of_the_action_and_finite_where_the_action_saturates():
    policy = Gaussian(jnp.array([[0.2, -0.4], [30.0, 0.0]]), jnp.array([[0.5, 1.0], [0.1, 1e-3]]))
    action, log_prob = policies.tanh_gaussian_draw(jax.random.PRNGKey(0), policy)
    expected = policies.tanh_gaussian_log_prob(policy, action)
    np.testing.assert_allclose(log_prob[0], expected[0], rtol=1e-5)
    # Of u = 30 or so, log(1 - tanh^2(u)) is 2 log 2 - 2 u; float32's tanh is 1.
    assert action[1, 0] == 1.0
    assert np.isfinite(log_prob[1])
    assert log_prob[1] > 2 * 29.0 - 2 * np.log(2) - 5.0
    gradient = jax.grad(
        lambda mean: policies.tanh_gaussian_draw(jax.random.PRNGKey(0), Gaussian(mean, policy.stddev))[1].sum()
    )
    np.testing.assert_allclose(gradient(policy.mean)[1, 0], 2.0, rtol=1e-5)  # d(2 u)
