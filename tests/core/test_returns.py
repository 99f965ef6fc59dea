"""n-step returns, with numbers worked by hand."""

import jax
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


def test_clips_to_both_sides_or_not_at_all():
    rewards = jnp.array([[-3.0, 0.5], [2.0, -0.5]])
    np.testing.assert_array_equal(returns.clip(rewards, 1.0), [[-1.0, 0.5], [1.0, -0.5]])
    np.testing.assert_array_equal(returns.clip(rewards, None), rewards)


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


# --- Targets over sequences.

SEQUENCES = {  # rewards, discounts, values, rows in use and the targets that mean something: gamma is 0.5, n is 2
    # 1 + 2/2 + 30/4; 2 + 4/2 + 40/4; 4 + 8/2 + 50/4; one step is left: 8 + 50/2.
    "full": ([1, 2, 4, 8, 99], [1, 1, 1, 1, 99], [10, 20, 30, 40, 50], 5, [9.5, 14, 20.5, 33]),
    # The third transition ends the episode: nothing behind it counts.
    "termination": ([1, 2, 4, 0, 99], [1, 1, 0, 0, 99], [10, 20, 30, 40, 99], 4, [9.5, 4, 4]),
    # The same cut short by a time limit: the final observation's value counts.
    "time-out": ([1, 2, 4, 0, 99], [1, 1, 1, 0, 99], [10, 20, 30, 40, 99], 4, [9.5, 14, 24]),
    "one transition": ([1, 99, 99, 99, 99], [1, 99, 99, 99, 99], [10, 20, 99, 99, 99], 2, [11]),
    # A discount of a half in the middle: 2 (1 + 1/2 ...): 1 + 2 (1/4) + 30 (1/8); 2 + 4/2 + 40/4; 4 + 40/2.
    "fraction": ([1, 2, 4, 0, 0], [0.5, 1, 1, 0, 0], [10, 20, 30, 40, 0], 4, [5.25, 14, 24]),
}


@pytest.mark.parametrize("names", [*([name] for name in SEQUENCES), list(SEQUENCES)], ids=len)
def test_targets_over_sequences(names):
    rewards, discounts, values, num_steps, expected = zip(*(SEQUENCES[name] for name in names))
    arrays = (jnp.array(x, jnp.float32) for x in (rewards, discounts, values))
    targets = returns.n_step_targets(*arrays, jnp.array(num_steps), gamma=GAMMA, n=2)
    assert targets.shape == (len(names), 4)
    for row, numbers in zip(targets, expected):
        np.testing.assert_array_equal(row[: len(numbers)], numbers)


@pytest.mark.parametrize("n", [1, 3, 5, 20])
def test_targets_over_sequences_are_those_of_the_windows(n):
    """Every window collapsed by `n_step`, with the value behind it."""
    rng = np.random.default_rng(0)
    batch_size, length = 16, 9
    rewards, values = (jnp.array(rng.normal(size=(batch_size, length)), jnp.float32) for _ in range(2))
    discounts = jnp.array(rng.uniform(size=(batch_size, length)) * (rng.uniform(size=(batch_size, length)) > 0.1))
    num_steps = jnp.array(rng.integers(2, length + 1, size=batch_size))
    targets = returns.n_step_targets(rewards, discounts, values, num_steps, gamma=0.9, n=n)
    for b in range(batch_size):
        for t in range(int(num_steps[b]) - 1):
            valid = jnp.arange(t, t + n) < num_steps[b] - 1
            window = np.minimum(np.arange(t, t + n), length - 1)
            reward, discount, m = returns.n_step(
                rewards[b, window][None], discounts[b, window][None], valid[None], gamma=0.9
            )
            np.testing.assert_allclose(targets[b, t], reward[0] + discount[0] * values[b, t + int(m[0])], atol=1e-5)


def test_rescaling_by_hand():
    # sqrt(3 + 1) - 1 + 0.003, and its mirror image; sqrt(9) - 1 + 0.008.
    np.testing.assert_allclose(returns.rescale(jnp.array([0.0, 3.0, -3.0, 8.0])), [0, 1.003, -1.003, 2.008], rtol=1e-6)
    np.testing.assert_allclose(
        returns.unrescale(jnp.array([0.0, 1.003, -1.003, 2.008])), [0, 3, -3, 8], rtol=1e-6, atol=0
    )


def test_rescaling_has_an_exact_inverse_from_very_small_to_very_large_returns():
    x = np.concatenate([[0.0], np.logspace(-6, 7, 200)])
    x = np.concatenate([-x[::-1], x])
    h = np.sign(x) * (np.sqrt(np.abs(x) + 1) - 1) + 1e-3 * x  # float64
    np.testing.assert_allclose(returns.rescale(jnp.array(x, jnp.float32)), h, rtol=1e-6)
    np.testing.assert_allclose(returns.unrescale(returns.rescale(jnp.array(x, jnp.float32))), x, rtol=2e-6, atol=0)
    np.testing.assert_allclose(returns.rescale(returns.unrescale(jnp.array(x, jnp.float32))), x, rtol=2e-6, atol=0)


def test_rescaling_has_a_gradient_at_zero():
    # h'(0) = 1/2 + eps, and the inverse's is one over it.
    gradients = [jax.grad(f)(0.0) for f in (returns.rescale, returns.unrescale)]
    np.testing.assert_allclose(gradients, [0.501, 1 / 0.501], rtol=1e-6)


def test_shapes_of_sequences_are_checked():
    with pytest.raises(AssertionError, match="rank"):
        returns.n_step_targets(*[jnp.ones(3)] * 3, jnp.ones(3, int), gamma=GAMMA, n=1)
    with pytest.raises(AssertionError, match="shape"):
        returns.n_step_targets(jnp.ones((2, 3)), jnp.ones((2, 3)), jnp.ones((2, 2)), jnp.ones(2, int), gamma=GAMMA, n=1)


# Rows 0 and 1 are an episode's steps, row 2 its final observation, row 3 the next one's first step.
_UNROLL = {
    "rewards": jnp.array([[1.0, 2.0, 9.0, 4.0]]),
    "discounts": jnp.array([[1.0, 1.0, 9.0, 1.0]]),
    "values": jnp.array([[1.0, 2.0, 4.0, 3.0, 8.0]]),
    "valid": jnp.array([[True, True, False, True]]),
}


def test_advantages_stop_at_an_episodes_end_and_bootstrap_from_a_time_limit():
    # delta: 1 + 2/2 - 1 = 1, 2 + 4/2 - 2 = 2, none, 4 + 8/2 - 3 = 5; and 1 + 2/4 = 1.5 at the first row.
    found = returns.generalised_advantages(**_UNROLL, gamma=0.5, trace_decay=0.5)
    np.testing.assert_allclose(found, [[1.5, 2.0, 0.0, 5.0]])
    # An end for good: 2 - 2 = 0 at the second row, and 1 at the first.
    ended = _UNROLL | {"discounts": jnp.array([[1.0, 0.0, 9.0, 1.0]])}
    found = returns.generalised_advantages(**ended, gamma=0.5, trace_decay=0.5)
    np.testing.assert_allclose(found, [[1.0, 0.0, 0.0, 5.0]])


def test_v_trace_by_hand():
    # Ratios of 2, 1/2, none and 1/2, clipped at 1. Errors: 1 + 1/2, 2/2, none, 5/2.
    log_ratios = jnp.log(jnp.array([[2.0, 0.5, jnp.inf, 0.5]]))
    found = returns.v_trace(**_UNROLL, log_ratios=log_ratios, gamma=0.5)
    np.testing.assert_allclose(found.targets, [[2.5, 3.0, 4.0, 5.5]])
    # 1 + 3/2 - 1, (2 + 4/2 - 2) / 2, none, (4 + 8/2 - 3) / 2.
    np.testing.assert_allclose(found.advantages, [[1.5, 1.0, 0.0, 2.5]])


def test_v_trace_of_the_policys_own_actions_sums_their_rewards():
    found = returns.v_trace(**_UNROLL, log_ratios=jnp.zeros((1, 4)), gamma=0.5, trace_decay=0.5)
    own = returns.generalised_advantages(**_UNROLL, gamma=0.5, trace_decay=0.5)
    np.testing.assert_allclose(found.targets - _UNROLL["values"][:, :-1], own)
