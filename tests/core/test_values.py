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


@pytest.mark.parametrize(("loc", "scale"), [(0.0, 1.0), (1.0, 1.0), (-3.0, 0.5), (100.0, 1e-4), (0.0, 1e-3)])
def test_mean_absolute_of_a_gaussian(loc, scale):
    """Against scipy's folded normal; the derivatives are erf(z / sqrt 2) and sqrt(2 / pi) exp(-z^2 / 2)."""
    z = loc / scale
    np.testing.assert_allclose(
        values.mean_absolute(jnp.float32(loc), jnp.float32(scale)),
        scipy.stats.foldnorm.mean(abs(z), scale=scale),
        rtol=1e-5,
    )
    gradient = jax.grad(values.mean_absolute, argnums=(0, 1))(jnp.float32(loc), jnp.float32(scale))
    expected = scipy.special.erf(z / math.sqrt(2)), math.sqrt(2 / math.pi) * math.exp(-z * z / 2)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)


N, B, C = 4, 6, 3


def _bootstrap_problem():
    """Random transitions, the first of them terminal."""
    r_t = jnp.array(0.3 * np.random.default_rng(5).normal(size=B), jnp.float32)
    return _random_mixture(6, B, C), r_t, jnp.linspace(0.0, 0.95, B), _random_mixture(7, N, B, C)


def _loss(*args, smoothing=0.3):
    return values.mixture_loss(*args, smoothing=smoothing)


def _integrated(value_tm1, r_t, discount_t, value_t, smoothing):
    """The loss by another formula: h sqrt(pi / 2) times the integral of (F_X - F_Y)^2, less the same with Y's own
    spread.

    E|X - Y| - E|X - X'| / 2 - E|Y - Y'| / 2 = integral (F_X(z) - F_Y(z))^2 dz (Szekely and Rizzo 2004), and E|Y - Y'| /
    2 is integral F_Y (1 - F_Y); both by the trapezoid rule.
    """
    as_array = functools.partial(jax.tree.map, lambda x: np.asarray(x, np.float64))
    x, y, r, d = as_array(value_tm1), as_array(value_t), np.asarray(r_t), np.asarray(discount_t)
    weight_x, weight_y = scipy.special.softmax(x.logits, -1), scipy.special.softmax(y.logits, -1) / N
    loc_y, scale_y = r[:, None] + d[:, None] * y.loc, d[:, None] * y.scale
    mean_x, mean_y = (weight_x * x.loc).sum(-1), (weight_y * loc_y).sum((0, -1))
    h = smoothing * math.sqrt(np.var(mean_y) + np.mean((mean_x - mean_y) ** 2))
    z = np.linspace(-30, 30, 20_001)[:, None]
    losses = []
    for b in range(B):
        half = h * h / 2  # of each law, so that a difference of two has h^2
        cdf_x = scipy.stats.norm.cdf(z, x.loc[b], np.sqrt(x.scale[b] ** 2 + half)) @ weight_x[b]
        cdf_y = (
            scipy.stats.norm.cdf(z, loc_y[:, b].ravel(), np.sqrt(scale_y[:, b].ravel() ** 2 + half))
            @ weight_y[:, b].ravel()
        )
        losses.append(math.sqrt(math.pi / 2) * h * np.trapz((cdf_x - cdf_y) ** 2 + cdf_y * (1 - cdf_y), z[:, 0]))
    return np.array(losses)


@pytest.mark.parametrize("smoothing", [0.1, 1.0])
def test_mixture_loss_against_the_integral_over_distribution_functions(smoothing):
    problem = _bootstrap_problem()
    np.testing.assert_allclose(_loss(*problem, smoothing=smoothing), _integrated(*problem, smoothing), rtol=1e-4)


def test_mixture_loss_by_hand():
    """Points at 1 and, in the target, at 2 and 5: x - y is -1 and -4; S^2 = 1.5^2 + (1 + 16) / 2 = 10.75."""
    point = Mixture(jnp.zeros((2, 1)), jnp.ones((2, 1)), jnp.full((2, 1), 1e-4))
    loss = _loss(point, jnp.array([2.0, 5.0]), jnp.zeros(2), jax.tree.map(lambda x: x[None], point), smoothing=1.0)
    h = math.sqrt(10.75)
    cross = [math.sqrt(math.pi / 2) * h * scipy.stats.foldnorm.mean(e / h, scale=h) for e in (1.0, 4.0)]
    np.testing.assert_allclose(loss, np.array(cross) - h * h / 2, rtol=1e-5)  # E|X - X'| = h sqrt(2 / pi), by itself h
    wide = _loss(point, jnp.array([2.0, 5.0]), jnp.zeros(2), jax.tree.map(lambda x: x[None], point), smoothing=100.0)
    np.testing.assert_allclose(wide - 0.5 * 100.0**2 * 10.75, [0.5, 8.0], rtol=0.02)  # half the squared errors


def test_mixture_loss_has_its_least_value_where_the_laws_are_equal():
    """One action, discount 1, no reward, and the same mixture: no gradient; and a higher loss beside it."""
    value, ones, zeros = _random_mixture(6, B, C), jnp.ones(B), jnp.zeros(B)
    target = jax.tree.map(lambda x: x[None], value)
    gradient = jax.grad(lambda v: jnp.sum(_loss(v, zeros, ones, target)))(value)
    for leaf in gradient:
        np.testing.assert_allclose(leaf, np.zeros((B, C)), atol=1e-5)
    least = jnp.sum(_loss(value, zeros, ones, target, smoothing=0.3))
    for name in Mixture._fields:
        moved = value._replace(**{name: getattr(value, name) + np.linspace(0.0, 0.6, C, dtype=np.float32)[None]})
        # The width is of the means' spread, which the move adds to: kept as it was, to compare like with like.
        same = 0.3 * jnp.std(values.mixture_mean(value))
        spread = jnp.sqrt(jnp.var(values.mixture_mean(value)) + jnp.mean(
            jnp.square(values.mixture_mean(moved) - values.mixture_mean(value))))  # fmt: skip
        assert jnp.sum(_loss(moved, zeros, ones, target, smoothing=same / spread)) > least + 1e-3


def test_mixture_loss_is_equivariant():
    """Returns times 100 give the loss times 10,000, and shifted returns the same."""
    value_tm1, r_t, discount_t, value_t = _bootstrap_problem()
    loss = _loss(value_tm1, r_t, discount_t, value_t)

    def scaled(mixture, k):
        return mixture._replace(loc=k * mixture.loc, scale=k * mixture.scale)

    np.testing.assert_allclose(
        _loss(scaled(value_tm1, 100.0), 100.0 * r_t, discount_t, scaled(value_t, 100.0)), 1e4 * loss, rtol=1e-4
    )
    shifted = value_tm1._replace(loc=value_tm1.loc + 3.0)
    np.testing.assert_allclose(_loss(shifted, r_t + 3.0, discount_t, value_t), loss, rtol=1e-3)


def test_mixture_loss_has_bounded_gradients():
    """A target at 1000 beside many at 0: in a mean, at most 2.5 w_c h, where a likelihood at scale 1e-4 has 1e11."""
    value = Mixture(jnp.zeros((100, C)), jnp.zeros((100, C)), jnp.full((100, C), 1e-4))
    r_t = jnp.zeros(100).at[0].set(1000.0)
    unread = jax.tree.map(lambda x: x[None], value)
    gradient = jax.grad(lambda v: jnp.sum(_loss(v, r_t, jnp.zeros(100), unread)))(value).loc
    h = 0.3 * math.sqrt(99 / 100**2 * 1000**2 + 1000**2 / 100)
    np.testing.assert_allclose(gradient[0], np.full(C, -math.sqrt(math.pi / 2) * h / C), rtol=1e-3)
    np.testing.assert_allclose(gradient[1:], np.zeros((99, C)), atol=1e-4)


def test_mixture_loss_is_finite_where_nothing_varies():
    value = Mixture(jnp.zeros((4, C)), jnp.zeros((4, C)), jnp.full((4, C), 1e-4))
    unread = jax.tree.map(lambda x: x[None], value)
    loss, gradient = jax.value_and_grad(lambda v: jnp.sum(_loss(v, jnp.zeros(4), jnp.zeros(4), unread)))(value)
    assert loss == 0.0
    assert all(not np.any(leaf) for leaf in gradient)


def test_mixture_loss_gives_no_gradient_to_the_target():
    value_tm1, r_t, discount_t, value_t = _bootstrap_problem()
    gradient = jax.grad(lambda v: _loss(value_tm1, r_t, discount_t, v).sum())(value_t)
    assert all(not np.any(g) for g in gradient)


# --- The three together.


@pytest.mark.parametrize("head", [values.scalar(), values.categorical(-1.0, 1.0, 5), values.mixture(5, 1e-3, 0.3)])
def test_heads_fit_their_means_and_losses(head):
    net = hk.without_apply_rng(hk.transform(head.head))
    features = jax.random.normal(KEY, (4, 3, 16))  # [N, B, F]
    params = net.init(KEY, features)
    value_t, value_tm1 = net.apply(params, features), net.apply(params, features[0])
    assert head.mean(value_t).shape == (4, 3)
    assert head.mean(value_tm1).shape == (3,)
    np.testing.assert_allclose(head.mean(value_t)[0], head.mean(value_tm1), rtol=1e-5, atol=1e-7)
    assert head.loss(value_tm1, jnp.zeros(3), jnp.ones(3), value_t).shape == (3,)


def test_categorical_mean_by_hand():
    head = values.categorical(-2.0, 2.0, 5)
    np.testing.assert_allclose(head.mean(jnp.log(jnp.array([[0.1, 0.2, 0.3, 0.2, 0.2]]))), [0.2], rtol=1e-5)


def test_the_categorical_critic_starts_alike_everywhere():
    """Untrained values on [-150, 150] hardly differ over inputs; with Haiku's own start they differ by tens."""
    net = hk.without_apply_rng(hk.transform(values.categorical(-150.0, 150.0, 51).head))
    features = jax.random.normal(KEY, (64, 256))
    mean = values.categorical(-150.0, 150.0, 51).mean(net.apply(net.init(KEY, features), features))
    assert np.ptp(mean) < 0.5


@pytest.mark.parametrize("init_scale", [1e-3, 10.0])
def test_mixture_starts_near_zero_with_its_initial_scale(init_scale):
    net = hk.without_apply_rng(hk.transform(values.mixture(5, init_scale, 0.3).head))
    features = jax.random.normal(KEY, (8, 256))
    mixture = net.apply(net.init(KEY, features), features)
    assert [x.shape for x in mixture] == [(8, 5)] * 3
    # Weights have standard deviation sqrt(1e-5 / 256), features 1: outputs of about 0.003.
    assert 1e-4 < np.abs(mixture.loc).max() < 0.02
    np.testing.assert_allclose(jax.nn.softmax(mixture.logits), np.full((8, 5), 0.2), rtol=0.02)
    np.testing.assert_allclose(mixture.scale, np.full((8, 5), init_scale + 1e-4), rtol=0.02)


def test_mixture_scale_has_a_floor():
    head = values.mixture(2, 1.0, 0.3).head
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
        return _loss(Mixture(*[value_tm1] * 3), r_t, discount_t, Mixture(*[value_t] * 3))

    assert loss(**arrays).shape == (4,)
    arrays[wrong] = arrays[wrong][0] if wrong == "value_t" else arrays[wrong][:, None]
    with pytest.raises(AssertionError, match=r"rank|shape"):
        loss(**arrays)


def test_the_suite_runs_with_rank_promotion_forbidden():
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.ones(3) - jnp.ones((3, 1))
