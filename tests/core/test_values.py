"""Critics: laws and losses against closed forms, hand-worked numbers, a loop and numerical integration."""

import functools
import math

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from acme_agents.core import values
from acme_agents.core.values import Mixture

KEY = jax.random.PRNGKey(0)


def _mixture(weights, loc, scale):
    return Mixture(jnp.log(jnp.array(weights)), jnp.array(loc), jnp.array(scale))


def _random_mixture(seed, *shape):
    """Of means about 1 apart and scales about 0.7; some weights are close to 0."""
    rng = np.random.default_rng(seed)
    logits, loc, scale = rng.normal(size=shape), rng.normal(size=shape), 0.7 * np.exp(0.5 * rng.normal(size=shape))
    return Mixture(*(jnp.array(x, jnp.float32) for x in (logits, loc, scale)))


# --- The scalar critic.


def test_squared_loss_by_hand():
    # Target 2 + 0.5 mean(4, 8) = 5 against 1: 4^2 / 2. Terminated: 2 against 1: 1/2.
    args = (jnp.array([2.0, 2.0]), jnp.array([0.5, 0.0]), jnp.array([[4.0, 4.0], [8.0, 8.0]]))
    value_tm1 = jnp.array([1.0, 1.0])
    np.testing.assert_array_equal(values.squared_loss(value_tm1, *args), [8.0, 0.5])
    gradient = jax.grad(lambda *a: values.squared_loss(*a).sum(), argnums=(0, 3))(value_tm1, *args)
    np.testing.assert_array_equal(gradient[0], [-4.0, -1.0])
    np.testing.assert_array_equal(gradient[1], np.zeros((2, 2)))


# --- The categorical critic.


def _projected(atoms, probabilities_t, r_t, discount_t):
    """The projected target of one transition, read off the loss: its gradient is softmax(logits) - target."""
    logits_t = jnp.log(jnp.maximum(jnp.array(probabilities_t, jnp.float32), 1e-30)).reshape(-1, 1, len(atoms))

    def loss(logits):
        return values.categorical_loss(
            jnp.array(atoms), logits, jnp.array([r_t]), jnp.array([discount_t]), logits_t
        ).sum()

    uniform = jnp.zeros((1, len(atoms)))
    return (jax.nn.softmax(uniform) - jax.grad(loss)(uniform))[0]


ATOMS = [-1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("r_t", "discount_t", "expected"),
    [
        # Atoms move to -0.25, 0.25, 0.75: 0.2 (1/4, 3/4, 0) + 0.3 (0, 3/4, 1/4) + 0.5 (0, 1/4, 3/4).
        (0.25, 0.5, [0.05, 0.5, 0.45]),
        (0.0, 1.0, [0.2, 0.3, 0.5]),  # in place
        (0.0, 0.0, [0.0, 1.0, 0.0]),  # terminated
        (0.5, 0.0, [0.0, 0.5, 0.5]),
        (5.0, 1.0, [0.0, 0.0, 1.0]),  # beyond the highest atom, all of it
        (-5.0, 1.0, [1.0, 0.0, 0.0]),
        (1.0, 1.0, [0.0, 0.2, 0.8]),  # to 0, 1 and 2, which is clipped to 1
    ],
)
def test_categorical_projection_by_hand(r_t, discount_t, expected):
    np.testing.assert_allclose(_projected(ATOMS, [0.2, 0.3, 0.5], r_t, discount_t), expected, atol=1e-6)


def test_categorical_loss_by_hand():
    # The target (0.05, 0.5, 0.45) of above against softmax (1/2, 1/4, 1/4).
    logits_tm1, logits_t = jnp.log(jnp.array([[0.5, 0.25, 0.25]])), jnp.log(jnp.array([[[0.2, 0.3, 0.5]]]))
    loss = values.categorical_loss(jnp.array(ATOMS), logits_tm1, jnp.array([0.25]), jnp.array([0.5]), logits_t)
    np.testing.assert_allclose(loss, [(0.05 + 2 * 0.95) * math.log(2)], rtol=1e-6)


def test_categorical_actions_are_averaged():
    # The average of (1, 0, 0) and (0, 0.5, 0.5), in place.
    np.testing.assert_allclose(_projected(ATOMS, [[1, 0, 0], [0, 0.5, 0.5]], 0.0, 1.0), [0.5, 0.25, 0.25], atol=1e-6)


def test_categorical_projection_keeps_the_mean():
    atoms = np.linspace(-10, 10, 21)
    probabilities = np.random.default_rng(0).dirichlet(np.ones(21))
    target = _projected(atoms.tolist(), probabilities, 0.37, 0.9)  # nothing leaves the atoms' range
    np.testing.assert_allclose(target @ atoms, 0.37 + 0.9 * probabilities @ atoms, rtol=1e-5)
    np.testing.assert_allclose(target.sum(), 1, rtol=1e-5)


def test_categorical_projection_agrees_with_the_loop_of_the_paper():
    """Algorithm 1 of Bellemare et al. 2017."""
    rng = np.random.default_rng(1)
    vmin, vmax, num_atoms = -2.0, 3.0, 11
    atoms = np.linspace(vmin, vmax, num_atoms)
    for _ in range(20):
        probabilities, r_t, discount_t = rng.dirichlet(np.ones(num_atoms)), rng.normal(), rng.uniform()
        expected = np.zeros(num_atoms)
        for j in range(num_atoms):
            b = (np.clip(r_t + discount_t * atoms[j], vmin, vmax) - vmin) / (atoms[1] - atoms[0])
            low, high = math.floor(b), math.ceil(b)
            if low == high:
                expected[low] += probabilities[j]
            else:
                expected[low] += probabilities[j] * (high - b)
                expected[high] += probabilities[j] * (b - low)
        target = _projected(atoms.tolist(), probabilities, float(r_t), float(discount_t))
        np.testing.assert_allclose(target, expected, atol=2e-6)


# --- The mixture critic.


def test_mixture_mean_by_hand():
    mixture = _mixture([[0.5, 0.25, 0.25], [1.0, 1.0, 2.0]], [[1.0, 2.0, 4.0]] * 2, [[1.0] * 3] * 2)
    np.testing.assert_allclose(values.mixture_mean(mixture), [2.0, 2.75], rtol=1e-6)


def test_mixture_log_prob_of_one_gaussian():
    # Two standard deviations from the mean: -2 - log 0.5 - log sqrt(2 pi).
    expected = -2.0 - math.log(0.5) - 0.5 * math.log(2 * math.pi)
    for num_components in (1, 4):  # four that coincide are one
        mixture = _mixture([[1.0] * num_components], [[3.0] * num_components], [[0.5] * num_components])
        np.testing.assert_allclose(values.mixture_log_prob(mixture, jnp.array([4.0])), [expected], rtol=1e-6)


def test_mixture_log_prob_agrees_with_scipy():
    mixture = _random_mixture(0, 6, 5)  # [B, C]
    returns = jnp.array(np.random.default_rng(1).normal(size=(3, 4, 6)) * 3, jnp.float32)
    log_weights = scipy.special.log_softmax(np.asarray(mixture.logits, np.float64), axis=-1)
    log_density = scipy.stats.norm.logpdf(np.asarray(returns)[..., None], mixture.loc, mixture.scale)
    expected = scipy.special.logsumexp(log_weights + log_density, axis=-1)
    np.testing.assert_allclose(values.mixture_log_prob(mixture, returns), expected, rtol=2e-5, atol=1e-5)


def test_mixture_log_prob_is_finite_far_from_a_narrow_mixture():
    """At the smallest scale a return of 1 000 lies ten million standard deviations off, its density far below 1e-38."""
    mixture = Mixture(jnp.array([[0.0, -50.0]]), jnp.zeros((1, 2)), jnp.full((1, 2), 1e-4))

    def log_prob(mixture, x):
        return values.mixture_log_prob(mixture, jnp.array([x])).sum()

    np.testing.assert_allclose(log_prob(mixture, 1000.0), -0.5e14, rtol=1e-5)
    np.testing.assert_allclose(log_prob(mixture, 0.0), 4 * math.log(10) - 0.5 * math.log(2 * math.pi), rtol=1e-5)
    for x in (1000.0, -1000.0, 0.0):
        assert all(np.isfinite(g).all() for g in jax.grad(log_prob)(mixture, x))


# --- Samples of the bootstrap return.

NUM_KEYS = 4000


def _samples(loc, scale, num_samples, num_keys=NUM_KEYS):
    """[keys, M, N, C, B]"""
    draw = jax.jit(jax.vmap(lambda key: values.stratified_samples(key, loc, scale, num_samples)))
    return np.asarray(draw(jax.random.split(KEY, num_keys)))


def _random_gaussians(seed, *shape):
    mixture = _random_mixture(seed, *shape)
    return mixture.loc, mixture.scale


@pytest.mark.parametrize("num_samples", [1, 3])
def test_the_samples_of_a_gaussian_have_its_law(num_samples):
    loc, scale = _random_gaussians(2, 3, 4, 2)  # [N, C, B], all different
    samples = _samples(loc, scale, num_samples)
    quantile = scipy.stats.norm.cdf(samples, np.asarray(loc), np.asarray(scale))
    stratum = np.floor(quantile * num_samples)  # each of the M samples in its own
    expected = np.broadcast_to(np.arange(num_samples)[:, None, None, None], quantile.shape)
    assert np.mean(stratum == expected) > 0.995  # all but those that rounding puts over a border
    # Kolmogorov-Smirnov, for every n, c and b over all M: 2.2 / sqrt(keys) is exceeded once in 8 000.
    ordered = np.sort(quantile.reshape(-1, *loc.shape), axis=0)
    empirical = (np.arange(len(ordered)) + 0.5)[:, None, None, None] / len(ordered)
    assert np.abs(ordered - empirical).max() < 2.2 / math.sqrt(NUM_KEYS)
    # Four standard errors of the mean of one sample for each key, more than enough for a mean over strata.
    error = (samples.mean((0, 1)) - np.asarray(loc)) / (np.asarray(scale) / math.sqrt(NUM_KEYS))
    assert np.abs(error).max() < 4
    np.testing.assert_allclose(samples.std((0, 1)) / np.asarray(scale), np.ones(loc.shape), atol=0.06)


def test_samples_of_different_transitions_are_independent():
    loc, scale = (jnp.repeat(x, 2, axis=2) for x in _random_gaussians(3, 3, 4, 1))  # two alike
    means = _samples(loc, scale, 2).mean((1, 2, 3))  # [keys, B]
    assert abs(np.corrcoef(means.T)[0, 1]) < 4 / math.sqrt(NUM_KEYS)


def test_the_gaussians_of_a_transition_are_covered_jointly():
    """One sample of each of 100 equal Gaussians: their mean is far quieter than that of independent samples."""
    samples = _samples(jnp.zeros((20, 5, 8)), jnp.ones((20, 5, 8)), 1, 1000)
    measured = samples.mean((1, 2, 3)).var(0).mean()
    print(f"variance of the mean over that of independent samples: {measured * 100:.4f}")
    assert measured < 0.1 / 100


# --- The mixture's loss, against numerical integration.

N, B, C = 20, 6, 5


def _bootstrap_problem(shift):
    """Random transitions; the N actions' laws are one law shifted by about `shift`, or unrelated for None."""
    rng = np.random.default_rng(5)
    value_tm1, value_t = _random_mixture(6, B, C), _random_mixture(7, N, B, C)
    if shift is not None:
        value_t = jax.tree.map(lambda x: jnp.repeat(x[:1], N, axis=0), value_t)
        moved = value_t.loc + jnp.array(shift * rng.normal(size=(N, B, 1)), jnp.float32).repeat(C, -1)
        value_t = value_t._replace(loc=moved)
    return value_tm1, jnp.array(0.3 * rng.normal(size=B), jnp.float32), jnp.linspace(0.0, 0.95, B), value_t


@functools.cache
def _integrate(shift):
    """The loss [B] and its gradient, three [B, C], by the trapezoid rule in float64 over each of N C Gaussians."""
    value_tm1, r_t, discount_t, value_t = jax.tree.map(lambda x: np.asarray(x, np.float64), _bootstrap_problem(shift))
    u = np.linspace(-8, 8, 257)
    density = np.exp(-(u**2) / 2)
    mass = scipy.special.softmax(value_t.logits, axis=-1)[..., None] * density / density.sum() / N  # [N, B, C, U]
    returns = value_t.loc[..., None] + value_t.scale[..., None] * u
    losses, gradients = [], []
    for b in range(B):
        y, p = (r_t[b] + discount_t[b] * returns[:, b]).reshape(-1, 1), mass[:, b].reshape(-1, 1)  # [Y, 1]
        logits, loc, scale = value_tm1.logits[b], value_tm1.loc[b], value_tm1.scale[b]
        joint = scipy.special.log_softmax(logits) + scipy.stats.norm.logpdf(y, loc, scale)  # [Y, C]
        log_prob = scipy.special.logsumexp(joint, axis=-1, keepdims=True)
        posterior, error = np.exp(joint - log_prob), (y - loc) / scale
        losses.append(-np.sum(p * log_prob))
        slopes = (
            posterior - scipy.special.softmax(logits),
            posterior * error / scale,
            posterior * (error**2 - 1) / scale,
        )
        gradients.append([-np.sum(p * slope, axis=0) for slope in slopes])
    return np.array(losses), Mixture(*(np.array(g) for g in zip(*gradients)))


def _estimates(problem, num_samples, num_keys):
    """Losses [keys, B] and gradients, three [keys, B, C]."""
    value_tm1, r_t, discount_t, value_t = problem

    def estimate(key):
        def total(value):
            loss = values.mixture_loss(key, value, r_t, discount_t, value_t, num_samples)
            return loss.sum(), loss

        gradient, loss = jax.grad(total, has_aux=True)(value_tm1)
        return loss, gradient

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(estimate))(jax.random.split(KEY, num_keys)))


@pytest.mark.parametrize("num_samples", [1, 2])
@pytest.mark.parametrize("shift", [None, 0.3])
def test_mixture_loss_is_an_unbiased_estimate_of_the_integral(num_samples, shift):
    problem = _bootstrap_problem(shift)
    losses, gradients = _estimates(problem, num_samples, num_keys=3000)
    exact_loss, exact_gradient = _integrate(shift)

    def check(estimates, exact):
        scale = np.sqrt(np.mean(exact**2))
        np.testing.assert_allclose(estimates.mean(0) / scale, exact / scale, atol=0.1)
        standard_error = estimates.std(0) / math.sqrt(len(estimates))
        # Five of them; the last term is for the row whose discount is 0, where all samples agree.
        assert np.all(np.abs(estimates.mean(0) - exact) < 5 * standard_error + 3e-5 * (1 + np.abs(exact)))

    check(losses, exact_loss)
    jax.tree.map(check, gradients, exact_gradient)


def _noise(estimates, exact):
    """RMS error of a gradient over keys, transitions and parameters, over the RMS of the gradient itself."""
    pairs = list(zip(estimates, exact))
    error = sum(np.mean((estimate - e) ** 2) for estimate, e in pairs)
    return math.sqrt(error / sum(np.mean(e**2) for _, e in pairs))


def _independent_loss(key, value_tm1, r_t, discount_t, value_t, num_samples):
    """What Acme does: so many independent samples for each action."""
    component_key, normal_key = jax.random.split(key)
    shape = (num_samples, *value_t.loc.shape[:-1])
    component = jax.random.categorical(component_key, value_t.logits, shape=shape)[..., None]
    loc, scale = (jnp.take_along_axis(x[None], component, axis=-1)[..., 0] for x in (value_t.loc, value_t.scale))
    z_t = loc + scale * jax.random.normal(normal_key, shape)
    target = r_t[None, None] + discount_t[None, None] * z_t
    return -jnp.mean(values.mixture_log_prob(value_tm1, target), axis=(0, 1))


# 20 actions of 5 components: one sample for each component is 100 log-densities, eight independent ones for each action
# are 160, and Acme's 128 are 2,560; four for each component are 400.
@pytest.mark.parametrize("shift", [0.0, 0.3])
@pytest.mark.parametrize(("num_samples", "rival"), [(1, 8), (4, 128)])
def test_few_stratified_samples_are_as_good_as_many_independent_ones(shift, num_samples, rival, monkeypatch):
    problem = _bootstrap_problem(shift)
    _, exact = _integrate(shift)
    stratified = _noise(_estimates(problem, num_samples, num_keys=100)[1], exact)
    monkeypatch.setattr(values, "mixture_loss", _independent_loss)
    independent = _noise(_estimates(problem, rival, num_keys=100)[1], exact)
    print(f"shift {shift}: {num_samples} stratified {stratified:.3f}, {rival} independent {independent:.3f}")
    assert stratified < independent


def test_mixture_loss_gives_no_gradient_to_the_target():
    value_tm1, r_t, discount_t, value_t = _bootstrap_problem(None)
    gradient = jax.grad(lambda v: values.mixture_loss(KEY, value_tm1, r_t, discount_t, v, 2).sum())(value_t)
    assert all(not np.any(g) for g in gradient)


# --- The three together.


@pytest.mark.parametrize("head", [values.scalar(), values.categorical(-1.0, 1.0, 5), values.mixture(5, 1e-3, 2)])
def test_heads_fit_their_means_and_losses(head):
    net = hk.without_apply_rng(hk.transform(head.head))
    features = jax.random.normal(KEY, (4, 3, 16))  # [N, B, F]
    params = net.init(KEY, features)
    value_t, value_tm1 = net.apply(params, features), net.apply(params, features[0])
    assert head.mean(value_t).shape == (4, 3)
    assert head.mean(value_tm1).shape == (3,)
    np.testing.assert_allclose(head.mean(value_t)[0], head.mean(value_tm1), rtol=1e-5, atol=1e-7)
    assert head.loss(KEY, value_tm1, jnp.zeros(3), jnp.ones(3), value_t).shape == (3,)


def test_categorical_mean_by_hand():
    head = values.categorical(-2.0, 2.0, 5)
    np.testing.assert_allclose(head.mean(jnp.log(jnp.array([[0.1, 0.2, 0.3, 0.2, 0.2]]))), [0.2], rtol=1e-5)


@pytest.mark.parametrize("init_scale", [1e-3, 10.0])
def test_mixture_starts_near_zero_with_its_initial_scale(init_scale):
    net = hk.without_apply_rng(hk.transform(values.mixture(5, init_scale, 2).head))
    features = jax.random.normal(KEY, (8, 256))
    mixture = net.apply(net.init(KEY, features), features)
    assert [x.shape for x in mixture] == [(8, 5)] * 3
    # Weights have standard deviation sqrt(1e-5 / 256), features 1: outputs of about 0.003.
    assert 1e-4 < np.abs(mixture.loc).max() < 0.02
    np.testing.assert_allclose(jax.nn.softmax(mixture.logits), np.full((8, 5), 0.2), rtol=0.02)
    np.testing.assert_allclose(mixture.scale, np.full((8, 5), init_scale + 1e-4), rtol=0.02)


def test_mixture_scale_has_a_floor():
    head = values.mixture(2, 1.0, 2).head
    net = hk.without_apply_rng(hk.transform(head))
    params = jax.tree.map(lambda x: jnp.full_like(x, -100.0), net.init(KEY, jnp.ones((1, 3))))
    np.testing.assert_allclose(net.apply(params, jnp.ones((1, 3))).scale, [[1e-4, 1e-4]], rtol=1e-6)


# --- Shapes.


@pytest.mark.parametrize("wrong", ["value_tm1", "r_t", "discount_t", "value_t"])
@pytest.mark.parametrize("kind", ["squared", "categorical", "mixture"])
def test_a_column_for_a_vector_raises(kind, wrong):
    """[B, 1] for [B], or a target without its axis of actions, would broadcast to [B, B] in silence."""
    shape = {"squared": (), "categorical": (3,), "mixture": (3,)}[kind]
    arrays = {
        "value_tm1": jnp.ones((4, *shape)),
        "r_t": jnp.ones(4),
        "discount_t": jnp.ones(4),
        "value_t": jnp.ones((2, 4, *shape)),
    }

    def loss(value_tm1, r_t, discount_t, value_t):
        if kind == "squared":
            return values.squared_loss(value_tm1, r_t, discount_t, value_t)
        if kind == "categorical":
            return values.categorical_loss(jnp.arange(3.0), value_tm1, r_t, discount_t, value_t)
        return values.mixture_loss(KEY, Mixture(*[value_tm1] * 3), r_t, discount_t, Mixture(*[value_t] * 3), 2)

    assert loss(**arrays).shape == (4,)
    arrays[wrong] = arrays[wrong][0] if wrong == "value_t" else arrays[wrong][:, None]
    with pytest.raises(AssertionError, match=r"rank|shape"):
        loss(**arrays)


def test_the_suite_runs_with_rank_promotion_forbidden():
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.ones(3) - jnp.ones((3, 1))
