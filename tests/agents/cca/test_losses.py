"""CCA's losses: by hand, and their gradient's mean and variance by enumeration of a bandit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents.cca import losses

LOGITS = jnp.log(jnp.array([[[0.25, 0.75], [0.5, 0.5]]]))  # [1, 2, 2]; the second row has no action
ACTION = jnp.array([[0, 1]])
VALID = jnp.array([[True, False]])


def test_the_policys_losses_by_hand():
    single = jax.value_and_grad(losses.single_action_loss)
    loss, gradient = single(LOGITS, ACTION, jnp.array([[2.0, 5.0]]), VALID)
    np.testing.assert_allclose(loss, 2.0 * np.log(4.0), rtol=1e-6)
    np.testing.assert_allclose(gradient, [[[-2.0 * 0.75, 2.0 * 0.75], [0.0, 0.0]]], rtol=1e-6)
    q_values = jnp.array([[[4.0, 8.0], [9.0, 1.0]]])
    loss, gradient = jax.value_and_grad(losses.all_actions_loss)(LOGITS, q_values, VALID)
    np.testing.assert_allclose(loss, -7.0, rtol=1e-6)
    np.testing.assert_allclose(gradient, [[[0.25 * 3.0, -0.75 * 1.0], [0.0, 0.0]]], rtol=1e-6)


def test_the_losses_of_hindsight_by_hand():
    estimate, returns = jnp.array([[1.0, 7.0]]), jnp.array([[4.0, 0.0]])
    loss, gradient = jax.value_and_grad(losses.regression_loss)(estimate, returns, VALID)
    np.testing.assert_allclose([loss, *gradient[0]], [4.5, -3.0, 0.0])
    h = jnp.log(jnp.array([[[0.5, 0.5], [0.9, 0.1]]]))
    np.testing.assert_allclose(losses.classifier_loss(h, ACTION, VALID), np.log(2.0), rtol=1e-6)
    loss, gradient = jax.value_and_grad(losses.independence_loss)(h, LOGITS, VALID)
    np.testing.assert_allclose(loss, 0.25 * np.log(0.5) + 0.75 * np.log(1.5), rtol=1e-6)
    np.testing.assert_allclose(gradient, [[[0.25, -0.25], [0.0, 0.0]]], rtol=1e-6)  # h - pi
    np.testing.assert_allclose(losses.independence_loss(LOGITS + 3.0, LOGITS, VALID), 0.0, atol=1e-6)


@pytest.mark.parametrize(
    ("loss", "argument"),
    [
        (losses.single_action_loss, jnp.ones((1, 2))),
        (losses.all_actions_loss, LOGITS),
        (losses.regression_loss, jnp.ones((1, 2))),
        (losses.independence_loss, LOGITS),
    ],
)
def test_a_loss_has_no_gradient_but_its_first_arguments(loss, argument):
    if loss is losses.single_action_loss:
        gradient = jax.grad(lambda x: loss(LOGITS, ACTION, x, VALID))(argument)
    elif loss is losses.regression_loss:
        gradient = jax.grad(lambda x: loss(jnp.zeros((1, 2)), x, VALID))(argument)
    else:
        gradient = jax.grad(lambda x: loss(LOGITS, x, VALID))(argument)
    assert not np.any(gradient)


# A bandit of three actions, and a coin that pays 10 or nothing whatever the action: all of its six outcomes.
PI, PAID, COIN = np.array([0.2, 0.3, 0.5]), np.array([1.0, 2.0, 4.0]), np.array([0.0, 10.0])
A, C = (grid.ravel() for grid in np.meshgrid(np.arange(3), np.arange(2), indexing="ij"))
WEIGHT, RETURN = PI[A] / 2, PAID[A] + COIN[C]
EXACT = PI * (PAID - PI @ PAID)


def _each(loss, *arguments):
    """What each outcome adds to the policy's gradient, [6, 3]."""
    logits = jnp.broadcast_to(jnp.log(jnp.asarray(PI)), (6, 1, 3))
    rows = (jnp.asarray(x)[:, None] for x in (*arguments, np.ones(6, bool)))
    return -6 * np.asarray(jax.grad(loss)(logits, *rows))[:, 0]


def _mean_and_variance(each):
    mean = WEIGHT @ each
    return mean, WEIGHT @ np.square(each - mean).sum(1)


def test_what_tells_nothing_of_the_action_takes_variance_and_no_more():
    value = PI @ PAID + COIN.mean()
    mean, plain = _mean_and_variance(_each(losses.single_action_loss, A, RETURN - value))
    np.testing.assert_allclose(mean, EXACT, atol=1e-6)
    for wrong in (0.0, 3.0):  # A baseline that is wrong is not biased either.
        baseline = PI @ PAID + COIN[C] + wrong * (2 * C - 1)
        mean, variance = _mean_and_variance(_each(losses.single_action_loss, A, RETURN - baseline))
        np.testing.assert_allclose(mean, EXACT, atol=1e-6)
        assert variance < (0.05 if wrong == 0.0 else 0.5) * plain
    q_values = PAID[None] + COIN[C][:, None]
    mean, variance = _mean_and_variance(_each(losses.all_actions_loss, q_values))
    np.testing.assert_allclose(mean, EXACT, atol=1e-6)
    np.testing.assert_allclose(variance, 0.0, atol=1e-6)


def test_what_tells_the_action_takes_all_that_there_is_to_learn():
    mean, variance = _mean_and_variance(_each(losses.single_action_loss, A, RETURN - RETURN))
    np.testing.assert_allclose([*mean, variance], 0.0, atol=1e-6)
    of_leak = PAID[A] / 2 + PI @ PAID / 2 + COIN[C]  # Half of what the action changed.
    mean, _ = _mean_and_variance(_each(losses.single_action_loss, A, RETURN - of_leak))
    np.testing.assert_allclose(mean, EXACT / 2, atol=1e-6)
