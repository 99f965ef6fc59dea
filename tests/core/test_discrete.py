"""What agents of discrete actions share, with numbers worked by hand."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.core import discrete


def test_dueling_values_have_the_mean_of_the_value():
    value, advantage = jnp.array([[10.0], [-1.0]]), jnp.array([[1.0, 2.0, 6.0], [0.0, 0.0, 0.0]])
    q_values = discrete.duel(value, advantage)
    np.testing.assert_array_equal(q_values, [[8, 9, 13], [-1, -1, -1]])
    # Whatever is added to all advantages is not seen.
    np.testing.assert_allclose(discrete.duel(value, advantage + 7.0), q_values, rtol=1e-6)


@pytest.mark.parametrize("dueling", [True, False])
def test_head_has_the_layers_and_any_leading_dimensions(dueling):
    net = hk.without_apply_rng(hk.transform(lambda x: discrete.q_head(x, 3, (8, 6), dueling=dueling)))
    features = jnp.array(np.random.default_rng(0).normal(size=(2, 5, 4)), jnp.float32)
    params = net.init(jax.random.PRNGKey(0), features)
    q_values = net.apply(params, features)
    assert q_values.shape == (2, 5, 3)
    widths = sorted(module["w"].shape for module in params.values())
    stream = [(4, 8), (6, 3), (8, 6)]
    assert widths == (sorted([*stream, (4, 8), (6, 1), (8, 6)]) if dueling else stream)
    if dueling:  # the value's stream alone moves the mean
        advantage = next(name for name, module in params.items() if module["w"].shape == (6, 3))
        moved = params | {advantage: {"w": params[advantage]["w"] + 1.0, "b": jnp.array([1.0, 5.0, -2.0])}}
        other = net.apply(moved, features)
        assert np.abs(other - q_values).max() > 0.1
        np.testing.assert_allclose(other.mean(-1), q_values.mean(-1), atol=1e-5)


def test_select_and_greedy_values():
    q_values = jnp.array([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]])
    np.testing.assert_array_equal(discrete.select(q_values, jnp.array([[0, 1], [1, 0]])), [[1, 4], [6, 7]])
    # The selector's best action, not the best of the values themselves.
    selector = jnp.array([[[9.0, 0.0], [0.0, 9.0]], [[0.0, 9.0], [9.0, 0.0]]])
    np.testing.assert_array_equal(discrete.greedy_values(q_values, selector), [[1, 4], [6, 7]])


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_epsilon_greedy_takes_any_action_with_the_chance_epsilon(epsilon):
    keys = jax.random.split(jax.random.PRNGKey(0), 6000)
    q_values = jnp.array([0.1, 0.3, 0.2])
    actions = jax.vmap(lambda key: discrete.epsilon_greedy(key, q_values, epsilon))(keys)
    assert actions.dtype == jnp.int32
    frequencies = np.bincount(np.asarray(actions), minlength=3) / 6000
    expected = np.array([epsilon / 3, 1 - 2 * epsilon / 3, epsilon / 3])
    np.testing.assert_allclose(frequencies, expected, atol=0.0 if epsilon == 0.0 else 0.025)
