"""TD3's target and losses by hand, and which update changes what."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import td3
from acme_agents.agents.td3 import losses
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Transition

SPEC = EnvironmentSpec(ArraySpec((3,)), ArraySpec((2,)))
KEY = jax.random.PRNGKey(0)


def test_smoothing_clips_the_noise_and_then_the_action():
    action, noise = jnp.array([[0.0, 0.8], [-0.9, 0.2]]), jnp.array([[0.7, 0.3], [-0.4, 0.1]])
    np.testing.assert_allclose(losses.smoothed(action, noise, 0.5), [[0.5, 1.0], [-1.0, 0.3]], rtol=1e-6)


def test_target_is_the_lesser_value_and_nothing_after_a_termination():
    q_t = jnp.array([[4.0, 1.0, 7.0], [2.0, 3.0, 9.0]])
    target = losses.target(jnp.array([1.0, 1.0, 5.0]), jnp.array([0.5, 0.9, 0.0]), q_t)
    np.testing.assert_allclose(target, [2.0, 1.9, 5.0], rtol=1e-6)
    gradient = jax.grad(lambda q: losses.target(jnp.ones(3), jnp.ones(3), q).sum())(q_t)
    np.testing.assert_array_equal(gradient, np.zeros((2, 3)))


def test_critic_loss_is_the_sum_over_critics_of_the_mean_squared_error():
    q_tm1, target = jnp.array([[1.0, 2.0], [3.0, 0.0]]), jnp.array([2.0, 2.0])
    assert losses.critic_loss(q_tm1, target) == 0.5 + 2.5
    np.testing.assert_allclose(jax.grad(losses.critic_loss)(q_tm1, target), [[-1.0, 0.0], [1.0, -2.0]])


def test_policy_loss_is_minus_the_value():
    action = jnp.zeros((2, 1))
    assert losses.policy_loss(jnp.array([1.0, -4.0]), action, action, None) == 1.5


def test_imitation_does_not_depend_on_the_rewards_scale():
    action, data_action = jnp.array([[0.5, 0.0], [0.0, 0.0]]), jnp.array([[0.0, 0.0], [1.0, 0.0]])
    q_value = jnp.array([1.0, -4.0])
    # The mean square is (0.25 + 1) / 4; the mean value is -1.5, and its mean size 2.5.
    loss = 0.3125 + 2.0 * 1.5 / 2.5
    assert losses.policy_loss(q_value, action, data_action, 2.0) == pytest.approx(loss)
    assert losses.policy_loss(1000.0 * q_value, action, data_action, 2.0) == pytest.approx(loss)
    gradient = jax.grad(losses.policy_loss)(q_value, action, data_action, 2.0)
    np.testing.assert_allclose(gradient, [-0.4, -0.4], rtol=1e-6)  # -2 / 2.5 / 2: the size has no gradient
    assert losses.policy_loss(jnp.zeros(2), action, data_action, 2.0) == pytest.approx(0.3125)


@pytest.mark.parametrize(
    "call",
    [
        lambda: losses.smoothed(jnp.zeros((4, 2)), jnp.zeros((4, 1)), 0.5),
        lambda: losses.target(jnp.zeros(4), jnp.zeros((4, 1)), jnp.zeros((2, 4))),
        lambda: losses.target(jnp.zeros(4), jnp.zeros(4), jnp.zeros(4)),
        lambda: losses.critic_loss(jnp.zeros((2, 4)), jnp.zeros((4, 1))),
        lambda: losses.policy_loss(jnp.zeros(4), jnp.zeros((4, 2)), jnp.zeros((4, 1)), None),
    ],
)
def test_other_shapes_are_refused(call):
    with pytest.raises(AssertionError):
        call()


def _batch():
    rng = np.random.default_rng(0)

    def uniform(*shape):
        return jnp.array(rng.uniform(-1, 1, (8, *shape)), jnp.float32)

    zeros = jnp.zeros(8, bool)
    return Transition(uniform(3), uniform(2), uniform(), jnp.full(8, 0.9), uniform(3), uniform(2), zeros)


@pytest.mark.long
def test_policy_and_targets_follow_every_second_update_and_the_critics_every_one():
    config = td3.Config(policy_layers=(4,), critic_layers=(4,), target_rate=0.1)
    core = td3.make(config).learner(SPEC)
    update, states = jax.jit(core.update), [core.init(KEY)]
    for _ in range(2):
        states.append(update(states[-1], _batch())[0])
    start, first, second = states
    same = jax.tree.map(np.testing.assert_array_equal, first.policy, start.policy)
    assert same is not None
    jax.tree.map(np.testing.assert_array_equal, first.critics.target, start.critics.target)
    weights = [state.critics.online["linear"]["w"] for state in states]
    assert weights[0].shape == (2, 5, 4)
    assert np.any(weights[0][0] != weights[0][1])  # two critics, not one twice
    assert np.any(weights[1] != weights[0])
    assert np.any(second.policy.online["linear"]["w"] != first.policy.online["linear"]["w"])
    expected = 0.9 * start.critics.target["linear"]["w"] + 0.1 * weights[2]
    np.testing.assert_allclose(second.critics.target["linear"]["w"], expected, rtol=1e-5, atol=1e-7)
    assert [int(state.critics.steps) for state in states] == [0, 1, 2]
    assert int(second.policy.steps) == 1
    assert int(core.params(second).steps) == 2
