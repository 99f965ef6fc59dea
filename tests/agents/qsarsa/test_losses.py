"""Qsarsa's losses by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents.qsarsa import losses
from acme_agents.agents.td3 import losses as td3_losses


def test_sarsa_error_is_zero_after_a_termination_and_leaves_out_what_has_no_next_action():
    q_tm1, r_t = jnp.array([1.0, 2.0, 5.0]), jnp.array([1.0, 4.0, 0.0])
    discount_t, q_t = jnp.array([0.5, 0.0, 0.9]), jnp.array([4.0, 100.0, 7.0])
    counts = jnp.array([True, True, False])
    # (1 + 0.5 * 4 - 1)^2 = 4 and (4 - 2)^2 = 4; the third, 1.69, has no next action.
    assert losses.sarsa_loss(q_tm1, r_t, discount_t, q_t, counts) == 4.0
    gradient = jax.grad(losses.sarsa_loss)(q_tm1, r_t, discount_t, q_t, counts)
    np.testing.assert_allclose(gradient, [-2.0, -2.0, 0.0])  # -2 (y - q) / 2
    gradient = jax.grad(losses.sarsa_loss, argnums=3)(q_tm1, r_t, discount_t, q_t, counts)
    np.testing.assert_array_equal(gradient, np.zeros(3))
    assert losses.sarsa_loss(q_tm1, r_t, discount_t, q_t, jnp.zeros(3, bool)) == 0.0


def test_near_the_estimate_is_the_sum_over_critics_of_the_mean_squared_distance():
    q, q_sarsa = jnp.array([[1.0, 5.0], [2.0, 3.0]]), jnp.array([3.0, 3.0])
    everywhere, first = jnp.array([True, True]), jnp.array([True, False])
    np.testing.assert_array_equal(losses.distance(q, q_sarsa), [[2.0, 2.0], [1.0, 0.0]])
    assert losses.near_estimate(q, q_sarsa, everywhere) == 4.0 + 0.5
    assert losses.near_estimate(q, q_sarsa, first) == 4.0 + 1.0
    gradient = jax.grad(losses.near_estimate)(q, q_sarsa, everywhere)
    np.testing.assert_allclose(gradient, [[-2.0, 2.0], [-1.0, 0.0]])  # from below it pulls up
    gradient = jax.grad(losses.near_estimate, argnums=1)(q, q_sarsa, everywhere)
    np.testing.assert_array_equal(gradient, np.zeros(2))


def test_a_bootstrap_counts_a_half_at_the_gap_of_the_farther_critic():
    q, q_sarsa = jnp.array([[1.0, 5.0, 9.0], [1.0, 3.0, 3.0]]), jnp.array([1.0, 3.0, 3.0])
    np.testing.assert_allclose(losses.trust(q, q_sarsa, 2.0), [1.0, 0.5, 0.1])
    gradient = jax.grad(lambda q: losses.trust(q, q_sarsa, 2.0).sum())(q)
    np.testing.assert_array_equal(gradient, np.zeros((2, 3)))


def test_td_loss_is_td3s_where_all_count_alike():
    q_tm1, target = jnp.array([[1.0, 2.0], [3.0, 0.0]]), jnp.array([2.0, 2.0])
    assert losses.td_loss(q_tm1, target, jnp.ones(2)) == td3_losses.critic_loss(q_tm1, target)
    assert losses.td_loss(q_tm1, target, jnp.array([1.0, 0.5])) == (1.0 + 0.0) / 2 + (1.0 + 2.0) / 2


@pytest.mark.parametrize(
    "call",
    [
        lambda: losses.sarsa_loss(*[jnp.zeros(4)] * 3, jnp.zeros((4, 1)), jnp.ones(4, bool)),
        lambda: losses.near_estimate(jnp.zeros(4), jnp.zeros(4), jnp.ones(4, bool)),
        lambda: losses.near_estimate(jnp.zeros((2, 4)), jnp.zeros((4, 1)), jnp.ones(4, bool)),
        lambda: losses.trust(jnp.zeros((2, 4)), jnp.zeros(3), 1.0),
        lambda: losses.td_loss(jnp.zeros((2, 4)), jnp.zeros(4), jnp.zeros((4, 1))),
    ],
)
def test_other_shapes_are_refused(call):
    with pytest.raises(AssertionError):
        call()
