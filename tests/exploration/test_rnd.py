"""Random network distillation: its numbers by hand, and that what was seen often is worth little."""

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core import running
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Step, Stretch
from acme_agents.exploration import rnd
from acme_agents.exploration.rnd import learning, losses, networks

SPEC = EnvironmentSpec(ArraySpec((2,)), ArraySpec((), "int32", 3))
SMALL = {"target_layers": (16,), "predictor_layers": (16,), "embedding_size": 8, "learning_rate": 1e-2}


def test_errors_are_means_over_the_embedding():
    """(1 - 3)^2 and (2 - 2)^2; the target has no gradient."""
    predicted, target = jnp.array([[1.0, 2.0]]), jnp.array([[3.0, 2.0]])
    assert losses.errors(predicted, target).tolist() == [2.0]
    assert jax.grad(lambda x: losses.errors(predicted, x).sum())(target).tolist() == [[0.0, 0.0]]
    assert jax.grad(lambda x: losses.errors(x, target).sum())(predicted).tolist() == [[-2.0, 0.0]]


def test_errors_are_divided_by_the_deviation_of_their_returns():
    """Returns 2, 2 of a stretch of two and 4 of one that ends at once, gamma 1/2, after none: by hand."""
    errors, valid = jnp.array([[2.0, 1.0], [4.0, 9.0]]), jnp.array([[True, True], [True, False]])
    reward, scale, moments = losses.scaled(errors, valid, running.init(()), gamma=0.5)
    deviation = np.std([2.0, 2.0, 4.0])
    np.testing.assert_allclose(scale, deviation, rtol=1e-6)
    np.testing.assert_allclose(reward[0], [2.0 / deviation, 1.0 / deviation], rtol=1e-6)
    assert moments.number == 3.0
    # Further returns 0 and 8: the deviation is that of all five.
    _, scale, _ = losses.scaled(jnp.array([[0.0, 8.0]]), jnp.array([[True, True]]), moments, gamma=0.5)
    np.testing.assert_allclose(scale, np.std([2.0, 2.0, 4.0, 0.0, 8.0]), rtol=1e-6)


def test_the_predictor_learns_from_what_is_valid_and_chosen():
    errors = jnp.array([[1.0, 2.0, 4.0, 8.0]])
    valid, chosen = jnp.array([[True, True, False, True]]), jnp.array([[True, False, True, True]])
    assert losses.loss(errors, valid, chosen) == (1.0 + 8.0) / 2


def _bonus(**changes):
    config = rnd.Config(**SMALL | changes)
    nets = networks.make_networks(config, SPEC)
    return learning.make_bonus(config, nets, SPEC), nets


def _stretch(observation, valid=None):
    """Rows [B, T + 1, 2]."""
    observation = jnp.asarray(observation, jnp.float32)
    shape = observation.shape[:2]
    steps = Step(observation, jnp.zeros(shape, jnp.int32), jnp.zeros(shape), jnp.ones(shape), jnp.zeros(shape, bool))
    return Stretch(steps, jnp.ones((shape[0], shape[1] - 1), bool) if valid is None else jnp.asarray(valid))


def test_a_transition_is_worth_what_it_led_to_normalised_and_clipped():
    bonus, nets = _bonus(observation_limit=1.5)
    state = bonus.init(jax.random.PRNGKey(0))
    rows = np.random.default_rng(0).normal(3.0, 2.0, (4, 6, 2))
    valid = np.ones((4, 5), bool)
    valid[1, 3:] = False
    after, reward, metrics = bonus.update(state, _stretch(rows, valid), jax.random.PRNGKey(1))
    seen = rows[:, 1:][valid]
    scaled = np.clip((seen - seen.mean(0)) / seen.std(0), -1.5, 1.5)
    assert np.abs(scaled).max() == 1.5
    embeddings = [
        net.apply(params, scaled) for net, params in ((nets.predictor, state.predictor), (nets.target, state.target))
    ]
    expected = np.mean(np.square(np.subtract(*embeddings)), axis=1)
    np.testing.assert_allclose(metrics["error"], expected.mean(), rtol=1e-4)
    np.testing.assert_allclose(np.asarray(reward)[valid] * metrics["scale"], expected, rtol=1e-3)
    np.testing.assert_allclose(after.observations.mean, seen.mean(0), rtol=1e-5)
    # The target stays what it was, and rows without a transition change nothing.
    jax.tree.map(np.testing.assert_array_equal, after.target, state.target)
    rows[1, 4:] = 1e3
    again, *_ = bonus.update(state, _stretch(rows, valid), jax.random.PRNGKey(1))
    jax.tree.map(np.testing.assert_array_equal, again, after)


def test_what_was_never_seen_is_worth_more():
    bonus, _ = _bonus(update_share=1.0)
    state, update = bonus.init(jax.random.PRNGKey(0)), jax.jit(bonus.update)
    rng = np.random.default_rng(0)
    known = rng.normal(size=(8, 9, 2)) * [1.0, 0.1]  # The second number hardly varies ...
    for i in range(300):
        state, *_ = update(state, _stretch(known), jax.random.PRNGKey(i))
    new = known.copy()
    new[4:, :, 1] += 2.0  # ... until it does.
    _, reward, _ = update(state, _stretch(new), jax.random.PRNGKey(0))
    assert float(reward[4:].mean()) > 10 * float(reward[:4].mean())
