"""DQN's errors and loss, with numbers worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents.dqn import losses

Q_TM1 = jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
A_TM1 = jnp.array([0, 1, 0])
R_T = jnp.array([1.0, 1.0, 1.0])
DISCOUNT_T = jnp.array([0.5, 0.25, 0.0])  # the last transition ends its episode
Q_T = jnp.array([[10.0, 20.0], [40.0, 30.0], [99.0, 99.0]])
SELECTOR_T = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])


def _errors(q_tm1=Q_TM1, q_t=Q_T, selector_t=SELECTOR_T):
    return losses.temporal_differences(q_tm1, A_TM1, R_T, DISCOUNT_T, q_t, selector_t)


def test_double_and_plain_errors():
    # 1 + 10/2 - 1; 1 + 30/4 - 4; 1 - 5.
    np.testing.assert_array_equal(_errors(), [5, 4.5, -4])
    # The target network's own best actions: 1 + 20/2 - 1; 1 + 40/4 - 4.
    np.testing.assert_array_equal(_errors(selector_t=Q_T), [10, 7, -4])


def test_gradient_reaches_the_values_of_the_actions_taken_alone():
    gradients = jax.grad(lambda *q: jnp.sum(_errors(*q)), argnums=(0, 1, 2))(Q_TM1, Q_T, SELECTOR_T)
    np.testing.assert_array_equal(gradients[0], [[-1, 0], [0, -1], [-1, 0]])
    np.testing.assert_array_equal(gradients[1:], np.zeros((2, 3, 2)))


@pytest.mark.parametrize(
    ("huber", "expected"),
    [
        (None, 3**2 / 2 + 4**2 / 2 / 4),
        (2.0, 2 * (3 - 1) + 2 * (4 - 1) / 4),
        (3.5, 3**2 / 2 + 3.5 * (4 - 1.75) / 4),  # one on either side
    ],
)
def test_loss_is_weighted_and_linear_far_out(huber, expected):
    errors, weights = jnp.array([3.0, -4.0]), jnp.array([1.0, 0.25])
    np.testing.assert_allclose(losses.weighted_loss(errors, weights, huber), expected / 2)


def test_shapes_are_checked():
    with pytest.raises(AssertionError):
        losses.weighted_loss(jnp.ones(3), jnp.ones((3, 1)), None)
    with pytest.raises(AssertionError):
        losses.temporal_differences(Q_TM1, A_TM1[:, None], R_T, DISCOUNT_T, Q_T, SELECTOR_T)
