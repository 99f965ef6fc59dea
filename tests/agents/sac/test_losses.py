"""SAC's target and losses by hand, and what its options change."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import sac
from acme_agents.agents.sac import losses
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Transition

SPEC = EnvironmentSpec(ArraySpec((3,)), ArraySpec((2,)))
KEY = jax.random.PRNGKey(0)


def test_target_adds_the_entropy_to_the_lesser_value_and_nothing_after_a_termination():
    q_t = jnp.array([[4.0, 1.0, 7.0], [2.0, 3.0, 9.0]])
    log_prob = jnp.array([-2.0, 1.0, -8.0])
    target = losses.target(jnp.array([1.0, 1.0, 5.0]), jnp.array([0.5, 0.9, 0.0]), q_t, log_prob, jnp.float32(0.5))
    np.testing.assert_allclose(target, [1 + 0.5 * (2 + 1), 1 + 0.9 * (1 - 0.5), 5.0], rtol=1e-6)


def test_critic_loss_is_half_the_sum_over_critics_of_the_mean_squared_error():
    q_tm1, target = jnp.array([[1.0, 2.0], [3.0, 0.0]]), jnp.array([2.0, 2.0])
    assert losses.critic_loss(q_tm1, target) == (0.5 + 2.5) / 2


def test_policy_climbs_the_least_or_the_mean_value():
    q_values, log_prob = jnp.array([[1.0, 2.0], [3.0, 0.0]]), jnp.array([-1.0, 2.0])
    temperature = jnp.float32(0.1)
    assert losses.policy_loss(q_values, log_prob, temperature, "min") == pytest.approx((-0.1 - 1 + 0.2 - 0) / 2)
    assert losses.policy_loss(q_values, log_prob, temperature, "mean") == pytest.approx((-0.1 - 2 + 0.2 - 1) / 2)
    gradient = jax.grad(losses.policy_loss)(q_values, log_prob, temperature, "min")
    np.testing.assert_allclose(gradient, [[-0.5, 0.0], [0.0, -0.5]])
    assert jax.grad(losses.policy_loss, argnums=2)(q_values, log_prob, temperature, "min") == 0.0


def test_temperature_falls_where_the_entropy_is_above_its_target():
    log_prob = jnp.array([1.0, -2.0])  # an entropy of 0.5
    gradient = jax.grad(losses.temperature_loss, argnums=(0, 1))(jnp.float32(0.3), log_prob, -2.0)
    assert gradient[0] == 2.5  # downhill: the temperature falls
    np.testing.assert_array_equal(gradient[1], [0.0, 0.0])
    assert jax.grad(losses.temperature_loss)(jnp.float32(0.3), log_prob, 1.0) == -0.5
    assert losses.temperature_loss(jnp.float32(0.3), log_prob, -2.0) == pytest.approx(0.75)


@pytest.mark.parametrize(
    "call",
    [
        lambda: losses.critic_loss(jnp.zeros((2, 4)), jnp.zeros((4, 1))),
        lambda: losses.policy_loss(jnp.zeros((2, 4)), jnp.zeros((4, 1)), jnp.float32(1.0), "min"),
        lambda: losses.target(jnp.zeros(4), jnp.zeros(4), jnp.zeros(4), jnp.zeros(4), jnp.float32(1.0)),
        lambda: losses.temperature_loss(jnp.zeros(1), jnp.zeros(4), 1.0),
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
def test_of_ten_critics_two_make_the_target_and_the_policy_waits():
    config = sac.Config(
        policy_layers=(4,), critic_layers=(4,), num_critics=10, policy_value="mean", policy_update_period=2
    )
    core = sac.make(config).learner(SPEC)
    update, state = jax.jit(core.update), core.init(KEY)
    # Target critics that say 0 to 9 everywhere: the least of two is never 9, and seldom twice the same.
    target = jax.tree.map(jnp.zeros_like, state.critics.target)
    target["linear_1"]["b"] = jnp.arange(10.0)[:, None]
    batch = _batch()._replace(reward=jnp.zeros(8), discount=jnp.ones(8))
    online = jax.tree.map(jnp.zeros_like, state.critics.online)
    quiet = state.policy._replace(log_temperature=jnp.float32(-30.0))
    state = state._replace(critics=state.critics._replace(target=target, online=online), policy=quiet)
    found = set()
    for seed in range(30):
        after, output = update(state._replace(key=jax.random.PRNGKey(seed)), batch)
        found.add(round(math.sqrt(float(output.metrics["loss_critic"]) / 5), 3))  # 10 critics at 0: 10 y^2 / 2
    assert found <= set(range(9))
    assert len(found) > 3
    jax.tree.map(np.testing.assert_array_equal, after.policy, state.policy)
    learnt = core.init(KEY)
    first, _ = update(learnt, batch)
    second, _ = update(first, batch)
    np.testing.assert_array_equal(first.policy.params["linear"]["w"], learnt.policy.params["linear"]["w"])
    assert np.any(second.policy.params["linear"]["w"] != first.policy.params["linear"]["w"])


def test_more_target_critics_than_critics_are_refused():
    with pytest.raises(ValueError, match="num_target_critics must be at most num_critics, and they are 3 and 2"):
        sac.Config(num_target_critics=3)
    with pytest.raises(ValueError, match="critic_dropout must be below"):
        sac.Config(critic_dropout=1.0)
