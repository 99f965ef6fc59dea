"""The tree of priorities: what is drawn, how often, and with which probability it says that it was."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from acme_agents.replay import priorities

NOWHERE = 2**30
KEY = jax.random.PRNGKey(0)


def _of(weights, exponent=1.0):
    tree = priorities.add(priorities.make(len(weights)), jnp.arange(len(weights)), exponent)
    return priorities.change(tree, jnp.arange(len(weights)), jnp.array(weights, jnp.float32), exponent)


def _counts(tree, num_items, num_samples=200_000):
    items, _ = jax.jit(priorities.sample, static_argnums=2)(tree, KEY, num_samples)
    return np.bincount(np.asarray(items), minlength=num_items)


def test_nothing_can_be_drawn_of_a_new_tree():
    tree = priorities.make(3)
    assert float(tree.sums.sum()) == 0
    tree = priorities.add(tree, jnp.array([1]), 1.0)
    assert _counts(tree, 3, 100).tolist() == [0, 100, 0]


@pytest.mark.slow
@pytest.mark.parametrize("num_items", [5, 128, 129, 20_000])  # one row; full; two rows; two of the uppermost sums
def test_items_are_drawn_by_their_priority_to_the_power_of_the_exponent(num_items):
    rng = np.random.default_rng(num_items)
    given = rng.uniform(0.1, 4.0, num_items)
    counts = _counts(_of(given, 0.5), num_items)
    expected = given**0.5 / np.sum(given**0.5) * counts.sum()
    assert stats.chisquare(counts, expected).pvalue > 1e-3
    assert stats.chisquare(counts, given / given.sum() * counts.sum()).pvalue < 1e-6  # it would notice


def test_it_says_with_which_probability_each_was_drawn():
    given = np.array([1.0, 2.0, 5.0])
    items, probability = priorities.sample(_of(given), KEY, 64)
    np.testing.assert_allclose(probability, given[items] / 8, rtol=1e-6)


def test_new_items_get_the_largest_priority_so_far():
    tree = priorities.add(priorities.make(4), jnp.array([0, 1]), 1.0)
    tree = priorities.change(tree, jnp.array([0, 1]), jnp.array([0.5, 6.0]), 1.0)
    tree = priorities.change(tree, jnp.array([1]), jnp.array([2.0]), 1.0)
    tree = priorities.add(tree, jnp.array([3, NOWHERE]), 1.0)
    assert tree.weights[0, :4].tolist() == [0.5, 2.0, 0.0, 6.0]
    assert float(tree.sums[0, 0]) == 8.5


def test_what_is_removed_is_never_drawn_and_does_not_come_back_by_a_change():
    tree = _of([1.0, 1.0, 1.0])
    tree = priorities.remove(tree, jnp.array([1, NOWHERE]))
    tree = priorities.change(tree, jnp.array([1, 2, NOWHERE]), jnp.array([50.0, 3.0, 9.0]), 1.0)
    counts = _counts(tree, 3, 10_000)
    assert counts[1] == 0
    assert counts[2] / counts[0] == pytest.approx(3, rel=0.1)
    assert float(tree.weights.sum()) == 4


def test_a_priority_of_zero_leaves_an_item_within_reach():
    tree = _of([0.0, 1.0])
    assert 0 < float(tree.weights[0, 0]) < 1e-5


def test_the_sums_do_not_drift():
    rng = np.random.default_rng(0)
    tree, change = _of(rng.uniform(size=1000)), jax.jit(priorities.change)
    for _ in range(300):
        tree = change(tree, jnp.array(rng.integers(0, 1000, 32)), jnp.array(rng.uniform(0, 1e4, 32), jnp.float32), 0.9)
    np.testing.assert_allclose(tree.sums.reshape(-1)[:8], tree.weights.sum(axis=1)[:8], rtol=1e-6)
