"""Geometric entropy: its numbers by hand, its invariances, and that what is paid is the rarity of what is visited."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.core.types import ArraySpec, EnvironmentSpec, Step, Stretch
from acme_agents.exploration import gem
from acme_agents.exploration.gem import learning, losses, networks, tabular

LAW, HALF = jnp.array([0.75, 0.25]), jnp.array([[1.0, 0.5], [0.5, 1.0]])
FOUR = EnvironmentSpec(ArraySpec((4,)), ArraySpec((), "int32", 3))
SMALL = {"rarity_layers": (32,), "embedding_layers": (32,), "embedding_size": 4, "learning_rate": 1e-2}


def test_entropy_by_hand():
    """Typical similarities 3/4 + 1/8 = 7/8 and 3/8 + 1/4 = 5/8."""
    np.testing.assert_allclose(tabular.rarity(LAW, HALF), [8 / 7, 8 / 5], rtol=1e-6)
    expected = -0.75 * np.log(7 / 8) - 0.25 * np.log(5 / 8)
    np.testing.assert_allclose(tabular.entropy(LAW, HALF), expected, rtol=1e-6)


def test_gradient_by_hand():
    """What is alike takes off 6/7 + 1/5 and 3/7 + 2/5, 1 in the mean."""
    expected = [-np.log(7 / 8) - 6 / 7 - 1 / 5, -np.log(5 / 8) - 3 / 7 - 2 / 5]
    np.testing.assert_allclose(tabular.gradient(LAW, HALF), expected, rtol=1e-5)
    np.testing.assert_allclose(jax.grad(tabular.entropy)(LAW, HALF), expected, rtol=1e-5)


def test_entropy_is_shannons_without_similarity_and_nothing_where_all_is_alike():
    law = jnp.array([0.5, 0.25, 0.25])
    np.testing.assert_allclose(tabular.entropy(law, jnp.eye(3)), 1.5 * np.log(2), rtol=1e-6)
    assert tabular.entropy(law, jnp.ones((3, 3))) == 0.0


def test_entropy_knows_no_names_and_no_copies():
    """A state in two halves that are alike, in another order, has the entropy of the state."""
    law = jnp.array([0.25, 0.35, 0.4])
    similarity = jnp.array([[1.0, 0.5, 0.5], [0.5, 1.0, 1.0], [0.5, 1.0, 1.0]])
    np.testing.assert_allclose(tabular.entropy(law, similarity), tabular.entropy(LAW, HALF), rtol=1e-6)


# In state 0 action 0 stays and action 1 goes to state 1, where both stay.
TWO = tabular.Process(
    jnp.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]]), jnp.array([1.0, 0.0]), discount=0.5
)


def test_visits_by_hand():
    """Half goes on: 1/2 + 1/8 + 1/32 ... = 2/3 at the start, of a half each time."""
    law = tabular.visits(jnp.full((2, 2), 0.5), TWO)
    np.testing.assert_allclose(law, [[1 / 3, 1 / 3], [1 / 6, 1 / 6]], rtol=1e-6)
    going = jnp.array([[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_allclose(tabular.visits(going, TWO), [[0.0, 0.5], [0.5, 0.0]], atol=1e-7)
    np.testing.assert_array_equal(tabular.best_policy(jnp.array([0.0, 1.0]), TWO), going)
    policy = jnp.array([[0.3, 0.7], [0.9, 0.1]])
    np.testing.assert_allclose(tabular.policy_of(tabular.visits(policy, TWO)), policy, rtol=1e-5)
    np.testing.assert_array_equal(tabular.policy_of(jnp.array([[0.25, 0.75], [0.0, 0.0]]))[1], [0.5, 0.5])


@pytest.mark.parametrize("exact", [True, False])
def test_most_entropy_by_hand(exact):
    """A law (p, 1 - p) with p from 1/2 to 1: most is log 2 at 1/2, and with discount 3/4 too, where p may be 1/4."""
    for discount in (0.5, 0.75):
        found = tabular.maximise(jnp.eye(2), TWO._replace(discount=discount), iterations=200, exact=exact)
        np.testing.assert_allclose(found.law.sum(1), [0.5, 0.5], atol=0.01)
        np.testing.assert_allclose(found.entropy, np.log(2), rtol=1e-3)
        assert -1e-4 < found.gap < 0.02
    # A third state that is the first one's double is worth nothing: half of all visits are the second's.
    transitions = jnp.stack([jnp.eye(3)[jnp.array([0, 1, 2])]] * 3)
    process = tabular.Process(transitions, jnp.array([1.0, 0.0, 0.0]), discount=0.9)
    double = jnp.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    found = tabular.maximise(double, process, iterations=200, exact=exact)
    np.testing.assert_allclose(found.law.sum(1)[1], 0.5, atol=0.01)


def test_the_objective_by_hand():
    """States 0, 0, 0, 1 at log f = 0, 0, 0, log 2, and one that does not count."""
    u = jnp.log(jnp.array([1.0, 1.0, 1.0, 2.0, 9.0]))
    state, counts = jnp.array([0, 0, 0, 1, 1]), jnp.array([True, True, True, True, False])
    similarity = HALF[state][:, state]
    pairs = counts[:, None] & counts[None] & ~jnp.eye(5, dtype=bool)
    # Pairs: 6 of equal states worth 1; 3 of 0 with 1 worth 1/2; 3 of 1 with 0 worth 2 / 2.
    expected = np.log(2) / 4 - (6 + 3 * 0.5 + 3 * 1.0) / 12 + 1
    np.testing.assert_allclose(losses.entropy(u, similarity, counts, pairs), expected, rtol=1e-6)


def test_the_objective_is_the_entropy_at_the_best_f_and_less_at_others():
    state = jnp.array([0, 0, 0, 1])  # of LAW; all pairs, a state's with itself too, are the product of the law
    similarity, ones = HALF[state][:, state], jnp.ones(4, bool)
    best, pairs = jnp.log(tabular.rarity(LAW, HALF))[state], jnp.ones((4, 4), bool)
    value, slope = jax.value_and_grad(losses.entropy)(best, similarity, ones, pairs)
    np.testing.assert_allclose(value, tabular.entropy(LAW, HALF), rtol=1e-6)
    np.testing.assert_allclose(slope, 0.0, atol=1e-6)
    for other in np.random.default_rng(0).normal(size=(5, 4)):
        assert losses.entropy(best + other, similarity, ones, pairs) < value - 1e-3
    paid = best - losses.crowding(best, similarity, pairs)
    np.testing.assert_allclose(paid, tabular.gradient(LAW, HALF)[state], rtol=1e-5)


def test_crowding_by_hand():
    """Two states of f = 1 and 2 with three others, of which one has no pair."""
    similarity = jnp.array([[1.0, 0.5, 0.2], [0.25, 1.0, 0.2]])
    pairs = jnp.array([[True, True, False], [True, False, False]])
    found = losses.crowding(jnp.log(jnp.array([1.0, 2.0])), similarity, pairs)
    np.testing.assert_allclose(found, [(1.0 + 0.5) / 2, 0.5, 0.0], rtol=1e-6)


def test_similarity_by_hand():
    squared = losses.squared_distances(jnp.array([[0.0, 0.0], [3.0, 4.0]]), jnp.array([[0.0, 0.0], [3.0, 0.0]]))
    np.testing.assert_allclose(squared, [[0.0, 9.0], [25.0, 16.0]])
    np.testing.assert_allclose(losses.gaussian(squared, 5.0)[:, 0], [1.0, np.exp(-0.5)], rtol=1e-6)


def test_adjacency_by_hand():
    """Distances 0 and 2 of what is adjacent; 0, which stays finite, and log 2 of what is not: 1 - 0.99 / 2."""
    positive, counts = jnp.array([0.0, 2.0, 5.0]), jnp.array([True, True, False])
    negative, pairs = jnp.array([[0.0, np.log(2)], [7.0, 7.0]]), jnp.array([[True, True], [False, False]])
    expected = 1.0 - np.log(0.99) - (np.log(0.01) + np.log(1 - 0.99 / 2)) / 2
    np.testing.assert_allclose(losses.adjacency(positive, counts, negative, pairs), expected, rtol=1e-5)
    assert np.isfinite(jax.grad(losses.adjacency, 2)(positive, counts, negative, pairs)).all()


def test_followers_by_hand():
    """Rows of five transitions; in the second row an episode ends before its third."""
    valid = jnp.array([[True] * 5, [True, True, False, True, True]])
    batch, row, offset = jnp.array([0, 0, 0, 1, 1, 1]), jnp.array([0, 3, 4, 0, 1, 3]), jnp.array([2, 2, 2, 2, 2, 2])
    later, counts = losses.followers(valid, batch, row, offset)
    assert later.tolist() == [2, 5, 5, 2, 3, 5]
    assert counts.tolist() == [True, True, False, True, False, True]


def _bonus(**changes):
    config = gem.Config(**SMALL | changes)
    return learning.make_bonus(config, networks.make_networks(config, FOUR), FOUR)


def _stretch(observation, valid=None):
    """Rows [B, T + 1, 4]."""
    observation = jnp.asarray(observation, jnp.float32)
    shape = observation.shape[:2]
    steps = Step(observation, jnp.zeros(shape, jnp.int32), jnp.zeros(shape), jnp.ones(shape), jnp.zeros(shape, bool))
    return Stretch(steps, jnp.ones((shape[0], shape[1] - 1), bool) if valid is None else jnp.asarray(valid))


STATES = np.repeat(np.arange(4), [32, 16, 8, 8])  # of law 1/2, 1/4, 1/8, 1/8


@pytest.mark.parametrize("reward", ["rarity", "gradient"])
def test_what_is_paid_is_the_rarity_of_what_is_visited_and_stays(reward):
    """No two states are alike: log f = -log p, of log 16 at most, and the gradient is 1 less."""
    bonus = _bonus(max_rarity=16.0, bandwidth=0.1, normalise_observations=False, reward=reward)
    state, update, rng = bonus.init(jax.random.PRNGKey(0)), jax.jit(bonus.update), np.random.default_rng(0)
    sums, numbers = np.zeros(4), np.zeros(4)
    for i in range(400):
        states = rng.choice(STATES, size=(64, 2))
        state, paid, metrics = update(state, _stretch(np.eye(4)[states]), jax.random.PRNGKey(i))
        if i >= 300:
            np.add.at(sums, states[:, 1], np.asarray(paid)[:, 0] * np.log(16))
            np.add.at(numbers, states[:, 1], 1)
    np.testing.assert_allclose(sums / numbers, np.log([2, 4, 8, 8]) - (reward == "gradient"), atol=0.1)
    np.testing.assert_allclose(metrics["log_rarity"], 1.75 * np.log(2), atol=0.15)


def test_images_are_compared_as_numbers_to_one():
    """An image, a grid and a number, none of them normalised: 255 / 255, 2 and 3 apart."""
    leaves = {"camera": ArraySpec((2, 2, 3), "uint8"), "grid": ArraySpec((2, 2, 1)), "speed": ArraySpec(())}
    spec = EnvironmentSpec(leaves, ArraySpec((), "int32", 3))
    config = gem.Config(**SMALL | {"normalise_observations": False, "bandwidth": 1.0})
    bonus = learning.make_bonus(config, networks.make_networks(config, spec), spec)
    seen = {name: np.zeros((2, 2, *leaf.shape), leaf.dtype) for name, leaf in leaves.items()}
    seen["camera"][1, :, 0, 0, 0], seen["grid"][1, :, 1, 1], seen["speed"][1] = 255, 2.0, 3.0
    stretch = _stretch(np.zeros((2, 2, 4)))
    stretch = stretch._replace(steps=stretch.steps._replace(observation=jax.tree.map(jnp.asarray, seen)))
    state, _, metrics = jax.jit(bonus.update)(bonus.init(jax.random.PRNGKey(0)), stretch, jax.random.PRNGKey(1))
    np.testing.assert_allclose(metrics["bandwidth"], np.sqrt(1 + 4 + 9), rtol=1e-5)
    assert state.observations == {"camera": (), "grid": (), "speed": ()}


@pytest.mark.parametrize("similarity", ["gaussian", "learned"])
def test_units_and_the_order_of_rows_change_nothing(similarity):
    bonus = _bonus(similarity=similarity, adjacency=1, reward="gradient")
    state = bonus.init(jax.random.PRNGKey(0))
    rows = np.random.default_rng(0).normal(size=(8, 5, 4))
    update = jax.jit(bonus.update)
    _, paid, metrics = update(state, _stretch(rows), jax.random.PRNGKey(1))
    _, other, _ = update(state, _stretch(100.0 * rows + [1.0, 2.0, 3.0, 4.0]), jax.random.PRNGKey(1))
    np.testing.assert_allclose(other, paid, atol=1e-4)
    _, other, _ = update(state, _stretch(rows[::-1]), jax.random.PRNGKey(2))
    np.testing.assert_allclose(other[::-1], paid, atol=1e-4)
    assert paid.std() > 0.01 and np.isfinite(metrics["gradient_norm"])


@pytest.mark.parametrize("similarity", ["gaussian", "learned"])
def test_rows_without_a_transition_change_nothing(similarity):
    bonus = _bonus(similarity=similarity, num_steps=2, reward="rarity")
    state, update = bonus.init(jax.random.PRNGKey(0)), jax.jit(bonus.update)
    rows, valid = np.random.default_rng(0).normal(size=(8, 5, 4)), np.ones((8, 4), bool)
    valid[2, 2:] = valid[5] = False
    states = []
    for value in (1.0, 1e3):
        rows[2, 3:] = rows[5] = value
        after, paid, _ = update(state, _stretch(rows, valid), jax.random.PRNGKey(1))
        states.append((after, np.asarray(paid)[valid]))
    jax.tree.map(np.testing.assert_array_equal, *states)
    assert (states[0][1] >= 0.0).all() and (states[0][1] <= 1.0).all()


def test_states_of_one_row_are_not_taken_for_independent_ones():
    """Rows that stay where they are, two states a row apart: what is compared is never alike, but in a lone row."""
    bonus = _bonus(normalise_observations=False, bandwidth=0.1)
    state, update = bonus.init(jax.random.PRNGKey(0)), jax.jit(bonus.update)
    rows = np.repeat(np.eye(4)[:, None], 6, axis=1)
    *_, metrics = update(state, _stretch(rows), jax.random.PRNGKey(0))
    assert metrics["similarity"] < 1e-6
    *_, metrics = update(state, _stretch(rows[:1]), jax.random.PRNGKey(0))
    np.testing.assert_allclose(metrics["similarity"], 1.0, rtol=1e-5)


def test_the_bandwidth_is_a_share_of_the_median_distance_so_far():
    """Distances 3, 4 and 5 of three rows of one transition, then 8 thrice: medians 4 and 8."""
    bonus = _bonus(normalise_observations=False, bandwidth=0.25)
    state, update = bonus.init(jax.random.PRNGKey(0)), jax.jit(bonus.update)
    corners = np.zeros((3, 2, 4))
    corners[1, :, 0], corners[2, :, 1] = 3.0, 4.0
    state, _, metrics = update(state, _stretch(corners), jax.random.PRNGKey(0))
    np.testing.assert_allclose(metrics["bandwidth"], 1.0, rtol=1e-5)
    corners = np.repeat(np.eye(4)[:3, None], 2, axis=1) * 8.0 / np.sqrt(2)
    *_, metrics = update(state, _stretch(corners), jax.random.PRNGKey(0))
    np.testing.assert_allclose(metrics["bandwidth"], 0.25 * (4 + 8) / 2, rtol=1e-5)


def test_what_soon_follows_is_learned_to_be_alike():
    """A walk between states 0 and 1, and one between 2 and 3, that never meet.

    Of positive pairs half are of two neighbours, of negative ones a quarter: p = 2/3 is best. The others are of equal
    states, of which nothing can be learned, and half of the negative ones of states that never meet.
    """
    bonus = _bonus(similarity="learned", adjacency=2, normalise_observations=False)
    state, update, rng = bonus.init(jax.random.PRNGKey(0)), jax.jit(bonus.update), np.random.default_rng(0)
    for i in range(200):
        states = 2 * rng.integers(0, 2, (32, 1)) + rng.integers(0, 2, (32, 4))
        state, _, metrics = update(state, _stretch(np.eye(4)[states]), jax.random.PRNGKey(i))
    embedding = networks.make_networks(gem.Config(**SMALL), FOUR).embedding
    embedded = embedding.apply(state.params.embedding, np.eye(4, dtype=np.float32))
    alike = losses.gaussian(losses.squared_distances(embedded, embedded), np.sqrt(0.5))
    np.testing.assert_allclose(np.diag(alike), 1.0, atol=1e-5)
    np.testing.assert_allclose([alike[0, 1], alike[2, 3]], 2 / 3 / 0.99, atol=0.1)
    assert alike[:2, 2:].max() < 0.05
    best = np.log(3 / 2) / 2 - np.log(0.99) / 2 + np.log(3) / 4 + np.log(100) / 4
    np.testing.assert_allclose(metrics["adjacency_loss"], best, atol=0.2)
