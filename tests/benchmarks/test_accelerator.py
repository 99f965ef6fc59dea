"""What the benchmark of accelerators counts, against numbers worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest


@pytest.fixture(scope="module")
def accelerator(script):
    return script("accelerator")


def _scanned(weights, x):
    """Seven products of [4, 3] by [3, 3]."""
    return jax.lax.scan(lambda carry, _: (jnp.tanh(carry @ weights), None), x, None, length=7)[0]


def test_a_loops_products_count_as_often_as_it_goes_round(accelerator):
    """A product of [4, 3] by [3, 3] takes 2 x 4 x 3 x 3 = 72 operations, and one of [4, 3] by [3] 24."""

    def function(weights, vector, x):
        return jax.jit(_scanned)(weights, x) @ vector

    jaxpr = jax.make_jaxpr(function)(jnp.ones((3, 3)), jnp.ones(3), jnp.ones((4, 3))).jaxpr
    assert accelerator.product_flops(jaxpr) == 7 * 72 + 24


def test_of_two_branches_the_larger_counts(accelerator):
    def function(choice, weights, x):
        return jax.lax.cond(choice, lambda: x @ weights, lambda: x)

    jaxpr = jax.make_jaxpr(function)(True, jnp.ones((3, 3)), jnp.ones((4, 3))).jaxpr
    assert accelerator.product_flops(jaxpr) == 72


def test_loops_within_loops(accelerator):
    """The outer body runs 4 times beyond its first, the inner 5 x 6: it begins 5 times, and XLA counts each once."""

    def function(weights, x):
        return jax.lax.scan(lambda carry, _: (_scanned(weights, carry), None), x, None, length=5)[0]

    found = accelerator.loops(jax.make_jaxpr(function)(jnp.ones((3, 3)), jnp.ones((4, 3))).jaxpr)
    assert [times for _, times in found] == [4, 5 * 6]


@pytest.mark.parametrize("agent", ["mpo", "sac", "r2d2", "ppo"])
def test_batches_are_those_that_the_agents_learn_from(accelerator, agent):
    made, spec = accelerator.make_agent(accelerator.Case(agent, "tiny", "default"))
    batch, core = accelerator.make_batch(made, spec), made.learner(spec)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(batch))
    state = jax.eval_shape(core.init, jax.random.PRNGKey(0))
    after, _ = jax.eval_shape(core.update, state, batch)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
