"""Geometric entropy against an independent solver, in four rooms that are small enough for seconds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.exploration.gem import tabular


@pytest.fixture(scope="module")
def gem_tabular(script):
    return script("gem_tabular")


def test_walks_by_hand(gem_tabular):
    """Rooms of 2 x 2: the corner's neighbours are a step away, and the next room behind its wall four."""
    made = gem_tabular.rooms(5)
    at = {tuple(cell): i for i, cell in enumerate(made.cells)}
    walks = -2 * np.log(gem_tabular.similarities(made)["walks, 2 steps"])
    assert len(made.cells) == 20
    places = ((0, 0), (0, 1), (1, 1), (1, 2), (0, 3))
    np.testing.assert_allclose([walks[at[0, 0], at[place]] for place in places], [0, 1, 2, 3, 5], atol=1e-9)
    assert made.process.transitions[at[0, 0], :, at[0, 0]].tolist() == [1.0, 0.0, 1.0, 0.0]


@pytest.mark.slow
def test_the_optimum_is_the_solvers(gem_tabular):
    made = gem_tabular.rooms(5)
    process = made.process._replace(discount=0.9)
    uniform = tabular.visits(jnp.full((20, 4), 0.25), process)
    for name, exact_similarity in gem_tabular.similarities(made).items():
        similarity = jnp.asarray(exact_similarity, jnp.float32)
        optimum = gem_tabular.solve(exact_similarity, process, [np.asarray(uniform)])
        found = tabular.maximise(similarity, process, iterations=500)
        law = gem_tabular.sampled(similarity, process, jax.random.PRNGKey(0), turns=150)
        assert tabular.entropy(uniform.sum(1), similarity) < 0.97 * optimum, name
        assert 0.99 * optimum < found.entropy < optimum + 1e-3, name
        assert found.gap > optimum - found.entropy - 1e-3, name
        assert 0.98 * optimum < tabular.entropy(law.sum(1), similarity) < optimum + 1e-3, name
