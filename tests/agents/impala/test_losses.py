"""IMPALA's loss, with numbers worked by hand, and where no gradient may flow."""

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.agents.impala import losses
from acme_agents.core import returns

VALID = jnp.array([[True, False, True]])
LOG_PROB, VALUE, ENTROPY = jnp.array([[-1.0, -9.0, -2.0]]), jnp.array([[1.0, 9.0, 3.0]]), jnp.array([[0.5, 9.0, 0.7]])


def _loss(log_prob, value, entropy, targets, advantages):
    trace = returns.VTrace(targets, advantages)
    return losses.impala_loss(log_prob, value, entropy, trace, VALID, value_weight=0.5, entropy_weight=0.1)


def test_loss_and_its_gradients_by_hand():
    targets, advantages = jnp.array([[3.0, 0.0, 2.0]]), jnp.array([[2.0, 0.0, -1.0]])
    inputs = (LOG_PROB, VALUE, ENTROPY, targets, advantages)
    (loss, metrics), gradients = jax.value_and_grad(_loss, argnums=range(5), has_aux=True)(*inputs)
    # -(2 x -1 + -1 x -2) / 2 = 0, (4 + 1) / 2 / 2 = 1.25, (0.5 + 0.7) / 2 = 0.6.
    np.testing.assert_allclose([metrics["policy_loss"], metrics["value_loss"]], [0.0, 1.25])
    np.testing.assert_allclose(loss, 0.5 * 1.25 - 0.1 * 0.6, rtol=1e-6)
    expected = ([[-1.0, 0, 0.5]], [[-0.5, 0, 0.25]], [[-0.05, 0, -0.05]], [[0, 0, 0]], [[0, 0, 0]])
    for found, value in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-6)
