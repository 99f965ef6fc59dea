"""Functional mirror ascent with exact gradients, on the paper's two tasks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents.fma_pg import losses, tabular

ETAS = tuple(2.0**i for i in (-7, -5, -3, 0))
SAFE, OPTIMAL = 0.9**8, 0.9**6  # the cliff's ways: one column away from it, and beside it


@pytest.fixture(scope="module")
def cliff():
    return tabular.cliff_world()


@pytest.fixture(scope="module")
def treasure():
    return tabular.deep_sea_treasure()


def test_the_best_policies_are_worth_what_is_known(cliff, treasure):
    assert float(tabular.best_value(cliff, iterations=30)) == pytest.approx(OPTIMAL, abs=1e-6)
    # Three moves, and the fourth earns the treasure.
    expected = -0.002 * (1 + 0.9 + 0.81) + 0.729
    assert float(tabular.best_value(treasure, iterations=30)) == pytest.approx(expected, abs=1e-6)


def test_the_cliff_leads_back_and_the_goal_ends_it(cliff):
    assert cliff.transitions.shape == (21, 4, 21) and np.all(cliff.transitions.sum(-1) == 1)
    assert np.all(cliff.transitions[1:4, :, 0] == 1) and np.all(cliff.rewards[1:4] == -100)
    assert np.all(cliff.transitions[4, :, 20] == 1) and np.all(cliff.rewards[4] == 1)
    assert cliff.transitions[0].argmax(-1).tolist() == [0, 1, 0, 5]  # down, up, left, right
    assert cliff.transitions[18].argmax(-1).tolist() == [17, 19, 13, 18]


@functools.partial(jax.jit, static_argnums=(0, 2))
def _closed(name, process, iterations, etas):
    def run(eta):
        values, logits = tabular.ascend(process, tabular.closed_form(name, eta=eta), iterations=iterations)
        return values[-1], logits

    return jax.lax.map(run, etas)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "on_the_cliff", "in_the_sea"),
    [
        ("smdpo", (0.436, 0.529, SAFE, SAFE), (0.358, 0.667, 0.7236, 0.7236)),
        ("mdpo", (0.435, 0.529, OPTIMAL, OPTIMAL), (0.357, 0.665, 0.7236, 0.7236)),
    ],
)
def test_closed_forms_end_where_they_are_known_to(name, on_the_cliff, in_the_sea, cliff, treasure):
    # From eta = 2^-3 on, smdpo takes all chance from actions that it needs later.
    found = _closed(name, cliff, 2000, jnp.array(ETAS))[0]
    np.testing.assert_allclose(found, on_the_cliff, atol=6e-4)
    np.testing.assert_allclose(_closed(name, treasure, 200, jnp.array((2.0**-6, *ETAS[1:])))[0], in_the_sea, atol=6e-4)


def test_the_gradient_is_exact(cliff):
    logits = jnp.sin(jnp.arange(84.0)).reshape(21, 4)
    found = tabular.evaluate(logits, cliff)
    expected = jax.grad(lambda logits: tabular.evaluate(logits, cliff).value)(logits)
    # sum_s d(s) / (1 - gamma) pi (A + ...): the policy gradient theorem.
    ours = jax.grad(lambda logits: tabular.objective("smdpo", logits, found))(logits) / (1.0 - cliff.discount)
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-3 * float(jnp.abs(expected).max()))
    assert float(found.visits.sum()) == pytest.approx(1.0, abs=1e-5)


def _one_iteration(improve, process):
    """The policy after one iteration from the uniform one, and what was known of that."""
    start = tabular.evaluate(jnp.zeros_like(process.rewards), process)
    return jax.jit(improve)(jnp.zeros_like(process.rewards), start), start


@pytest.mark.parametrize("name", ["smdpo", "mdpo"])
def test_many_small_steps_reach_the_closed_form(name, treasure):
    steps = tabular.fixed_steps(name, eta=1.0, clip=0.2, step_size=1.0, num_steps=1000)
    logits, start = _one_iteration(steps, treasure)
    maximiser = losses.smdpo_maximiser if name == "smdpo" else losses.mdpo_maximiser
    expected = jnp.exp(maximiser(start.log_policy, start.advantage, 1.0))
    visited = np.asarray(start.visits > 0.02)
    assert visited.sum() >= 6
    np.testing.assert_allclose(jax.nn.softmax(logits, axis=1)[visited], expected[visited], atol=2e-3)


def test_a_constrained_step_goes_as_far_as_it_may(cliff):
    logits, start = _one_iteration(tabular.constrained_steps("trpo", delta=0.01, num_steps=1), cliff)
    assert 0.007 < float(tabular.divergence("trpo", logits, start)) <= 0.01
    assert tabular.objective("trpo", logits, start) > tabular.objective("trpo", jnp.zeros_like(logits), start)
    # Towards better actions at every state that is visited, whatever its visits: the natural gradient.
    moved = logits - logits.mean(axis=1, keepdims=True)
    advantage = start.advantage - start.advantage.mean(axis=1, keepdims=True)
    scale = float(jnp.sum(moved * advantage) / jnp.sum(jnp.square(advantage)))
    np.testing.assert_allclose(moved, scale * advantage, atol=0.02 * float(jnp.abs(moved).max()))


def test_a_searched_step_gains_the_share_that_it_must(treasure):
    eta = 0.5
    steps = tabular.armijo_steps("mdpo", eta=eta, armijo=0.5, num_steps=1, max_step_size=1000.0)
    logits, start = _one_iteration(steps, treasure)
    zeros = jnp.zeros_like(logits)

    def surrogate(logits):
        return tabular.surrogate("mdpo", logits, start, eta=eta, clip=0.2)

    slope = jax.grad(surrogate)(zeros)
    size = float(jnp.max(jnp.abs(logits)) / jnp.max(jnp.abs(slope)))
    assert 0.0 < size < 1000.0  # It was too long at first, and not by much at the end.
    promised = float(jnp.sum(jnp.square(slope)))
    gained = float(surrogate(logits) - surrogate(zeros))
    assert gained >= 0.5 * size * promised * (1.0 - 1e-4)
    longer = size / 0.9
    assert float(surrogate(longer * slope) - surrogate(zeros)) < 0.5 * longer * promised * (1.0 + 1e-4)
