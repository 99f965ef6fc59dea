"""R2D2's errors and loss, with numbers worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents.r2d2 import losses

# Two actions, four rows: three transitions.
Q_VALUES = jnp.array([[[1.0, 2.0], [4.0, 3.0], [0.0, 5.0], [7.0, 6.0]]])
TARGET_Q_VALUES = jnp.array([[[90.0, 80.0], [10.0, 70.0], [60.0, 20.0], [30.0, 50.0]]])
ACTIONS = jnp.array([[1, 0, 1, 0]])
REWARDS = jnp.array([[1.0, 2.0, 4.0, 99.0]])
DISCOUNTS = jnp.array([[1.0, 1.0, 1.0, 99.0]])


def _errors(num_steps=4, discounts=DISCOUNTS, rescaling=False, q_values=Q_VALUES, target=TARGET_Q_VALUES):
    return losses.temporal_differences(
        q_values, target, ACTIONS, REWARDS, discounts, jnp.array([num_steps]), gamma=0.5, n=2, rescaling=rescaling
    )


def test_double_q_errors_over_two_steps():
    # The online network picks the actions 1, 0, 1, 0; the target network says 80, 10, 20, 30 of them.
    # 1 + 2/2 + 20/4 - 2 = 5; 2 + 4/2 + 30/4 - 4 = 7.5; 4 + 30/2 - 5 = 14.
    np.testing.assert_array_equal(_errors(), [[5, 7.5, 14]])


def test_errors_at_an_episodes_end():
    # The second transition ends the episode, the third row is padding: 1 + 2/2 - 2 and 2 - 4.
    np.testing.assert_array_equal(_errors(3, jnp.array([[1.0, 0.0, 0.0, 0.0]]))[:, :2], [[0, -2]])
    # The same cut short: the final observation is bootstrapped from, 2 + 20/2 - 4.
    np.testing.assert_array_equal(_errors(3, jnp.array([[1.0, 1.0, 0.0, 0.0]]))[:, :2], [[5, 8]])


def test_errors_of_rescaled_values():
    # h^-1(1.003) = 3, h^-1(-1.003) = -3: the last error is h(4 + 3/2) - 5 = sqrt(6.5) - 1 + 0.0055 - 5, the one before
    # it h(2 + 4/2 + 3/4) - 4, and the first h(1 + 2/2 - 3/4) - 2.
    target = jnp.array([[[0.0, 0.0], [0.0, 0.0], [0.0, -1.003], [1.003, 0.0]]])
    expected = [np.sqrt(2.25) - 1 + 0.00125 - 2, np.sqrt(5.75) - 1 + 0.00475 - 4, np.sqrt(6.5) - 1 + 0.0055 - 5]
    np.testing.assert_allclose(_errors(rescaling=True, target=target)[0], expected, rtol=1e-5)


def test_gradient_reaches_the_values_of_the_actions_taken_alone():
    gradient = jax.grad(lambda q, target: jnp.sum(_errors(q_values=q, target=target)), argnums=(0, 1))
    online, target = gradient(Q_VALUES, TARGET_Q_VALUES)
    np.testing.assert_array_equal(online, [[[0, -1], [-1, 0], [0, -1], [0, 0]]])
    np.testing.assert_array_equal(target, np.zeros((1, 4, 2)))


def test_what_is_learnt_from():
    counts = losses.learnt_from(jnp.array([6, 6, 4, 3, 2]), jnp.array([3, 0, 3, 0, 9]), num_rows=6, burn_in=2)
    expected = [
        [0, 0, 1, 1, 1],  # behind the burn-in
        [1, 1, 1, 1, 1],  # a sequence that begins its episode has no burn-in
        [0, 0, 1, 0, 0],  # cut short: rows 4 and 5 are padding, and row 3 is the final observation
        [1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0],  # shorter than the burn-in
    ]
    np.testing.assert_array_equal(counts, expected)


def test_loss_is_the_weighted_sum_over_time():
    errors = jnp.array([[1.0, -2.0, 3.0], [4.0, 100.0, 100.0]])
    counts = jnp.array([[True, True, True], [True, False, False]])
    # (1 + 4 + 9)/2 and 16/2 at weight a half.
    np.testing.assert_allclose(losses.squared_loss(errors, counts, jnp.array([1.0, 0.5])), (7 + 4) / 2)
    gradient = jax.grad(losses.squared_loss)(errors, counts, jnp.array([1.0, 0.5]))
    np.testing.assert_allclose(gradient, np.array([[1, -2, 3], [2, 0, 0]]) / 2)


def test_shapes_are_checked():
    with pytest.raises(AssertionError):
        losses.squared_loss(jnp.ones((2, 3)), jnp.ones((2, 3), bool), jnp.ones((2, 1)))
    with pytest.raises(AssertionError):
        losses.temporal_differences(
            Q_VALUES, TARGET_Q_VALUES, ACTIONS[0], REWARDS, DISCOUNTS, jnp.array([4]), gamma=1.0, n=1, rescaling=False
        )
