"""n-step returns, with numbers worked by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.core import returns

GAMMA = 0.5


def _n_step(rewards, discounts, valid, gamma=GAMMA):
    """One row; returns its reward, discount and m as numbers."""
    arrays = (jnp.array([rewards], jnp.float32), jnp.array([discounts], jnp.float32), jnp.array([valid], bool))
    reward, discount, num_steps = returns.n_step(*arrays, gamma)
    assert reward.shape == discount.shape == num_steps.shape == (1,)
    assert num_steps.dtype == jnp.int32
    return float(reward[0]), float(discount[0]), int(num_steps[0])


def test_full_window():
    # 1 + 2/2 + 4/4 = 3, and gamma^3 = 1/8.
    assert _n_step([1, 2, 4], [1, 1, 1], [1, 1, 1]) == (3.0, 0.125, 3)


def test_termination_inside():
    # The second step ends the episode: 1 + 2/2, nothing to bootstrap; what lies behind belongs to another episode.
    assert _n_step([1, 2, 100], [1, 0, 1], [1, 1, 0]) == (2.0, 0.0, 2)


def test_time_out_inside():
    # The episode is cut off after two steps, and the value there still counts: gamma^2.
    assert _n_step([1, 2, 100], [1, 1, 0], [1, 1, 0]) == (2.0, 0.25, 2)


def test_zero_discount_cuts_off_later_rewards_but_not_its_own():
    # A discount of 0 in the middle of an episode: r_1 = 2 counts, r_2 = 4 does not.
    assert _n_step([1, 2, 4], [1, 0, 1], [1, 1, 1]) == (2.0, 0.0, 3)
    assert _n_step([1, 2, 4], [0, 1, 1], [1, 1, 1]) == (1.0, 0.0, 3)


def test_fractional_discounts_multiply():
    # 1 + 2 (0.5 * 0.5) + 4 (0.5^2 * 0.5 * 0.25) = 1.625, and 0.5^3 * 0.5 * 0.25 * 1 = 1/64.
    assert _n_step([1, 2, 4], [0.5, 0.25, 1], [1, 1, 1]) == (1.625, 0.015625, 3)


def test_one_step():
    assert _n_step([7], [1], [1]) == (7.0, 0.5, 1)
    assert _n_step([7, 9, 9], [1, 1, 1], [1, 0, 0]) == (7.0, 0.5, 1)


@pytest.mark.parametrize(("gamma", "expected"), [(0.0, (1.0, 0.0)), (1.0, (7.0, 1.0))])
def test_gamma_at_its_ends(gamma, expected):
    assert _n_step([1, 2, 4], [1, 1, 1], [1, 1, 1], gamma) == (*expected, 3)


def test_rows_of_a_batch_are_independent():
    rewards = jnp.array([[1, 2, 4], [1, 2, 4], [1, 2, 4]], jnp.float32)
    discounts = jnp.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], jnp.float32)
    valid = jnp.array([[1, 1, 1], [1, 1, 0], [1, 0, 0]], bool)
    reward, discount, num_steps = returns.n_step(rewards, discounts, valid, GAMMA)
    np.testing.assert_array_equal(reward, [3, 2, 1])
    np.testing.assert_array_equal(discount, [0.125, 0, 0.5])
    np.testing.assert_array_equal(num_steps, [3, 2, 1])


def test_agrees_with_the_recursion():
    """G_i = r_i + gamma d_i G_{i+1}, backwards from the bootstrap, on random numbers."""
    rng = np.random.default_rng(0)
    rewards, discounts = rng.normal(size=(16, 5)), rng.uniform(size=(16, 5)) * (rng.uniform(size=(16, 5)) > 0.1)
    lengths, bootstrap = rng.integers(1, 6, size=16), rng.normal(size=16)
    valid = np.arange(5)[None] < lengths[:, None]
    expected = bootstrap.copy()
    for b in range(16):
        for i in reversed(range(lengths[b])):
            expected[b] = rewards[b, i] + 0.9 * discounts[b, i] * expected[b]
    reward, discount, num_steps = returns.n_step(
        jnp.array(rewards, jnp.float32), jnp.array(discounts, jnp.float32), jnp.array(valid), 0.9
    )
    np.testing.assert_allclose(reward + discount * bootstrap.astype(np.float32), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(num_steps, lengths)


def test_shapes_are_checked():
    with pytest.raises(AssertionError, match="rank"):
        returns.n_step(jnp.ones(3), jnp.ones(3), jnp.ones(3, bool), GAMMA)
    with pytest.raises(AssertionError, match="shape"):
        returns.n_step(jnp.ones((2, 3)), jnp.ones((2, 1)), jnp.ones((2, 3), bool), GAMMA)
