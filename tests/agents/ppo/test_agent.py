"""PPO's actor and learner: what is kept beside a step, what is normalised, what an update changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import ppo
from acme_agents.agents.ppo import networks
from acme_agents.core import distributions, errors, normalising
from acme_agents.core.interfaces import ActorContext, ignore_reward
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Step, Unroll

CONTINUOUS = EnvironmentSpec(ArraySpec((3,)), ArraySpec((2,)))
DISCRETE = EnvironmentSpec(ArraySpec((3,)), ArraySpec((), "int32", 3))
SMALL = {
    "policy_layers": (8,),
    "value_layers": (8,),
    "unroll_length": 3,
    "batch_size": 2,
    "num_epochs": 1,
    "num_minibatches": 1,
    "discount": 0.5,
}


def _agent(**changes):
    return ppo.make(ppo.Config(**SMALL | changes))


def _actor(agent, spec, *, evaluation=False):
    learner, actor = agent.learner(spec), agent.actor(spec, ActorContext(evaluation))
    return learner.params(learner.init(jax.random.PRNGKey(0))), actor


def test_the_action_is_clipped_and_the_one_that_was_drawn_is_kept_with_its_probability():
    agent = _agent(init_log_stddev=1.0)
    params, actor = _actor(agent, CONTINUOUS)
    observation, keys = jnp.ones(3), jax.random.split(jax.random.PRNGKey(1), 64)
    actions, _, extras = jax.vmap(lambda key: actor.select_action(params, observation, actor.init(key)))(keys)
    assert np.abs(extras.action).max() > 2.0
    np.testing.assert_array_equal(actions, np.clip(extras.action, -1, 1))
    nets = networks.make_networks(agent.config, CONTINUOUS, agent="PPO")
    law = nets.policy.apply(params.policy, normalising.normalise(observation[None], params.scale))
    np.testing.assert_allclose(law.stddev, np.e * np.ones((1, 2)), rtol=1e-6)
    expected = [distributions.log_prob(law, action[None])[0] for action in extras.action]
    np.testing.assert_allclose(extras.log_prob, expected, rtol=1e-5)
    evaluated = _actor(agent, CONTINUOUS, evaluation=True)[1]
    action, *_ = evaluated.select_action(params, observation, evaluated.init(keys[0]))
    np.testing.assert_allclose(action, np.clip(law.mean[0], -1, 1))


def test_an_actor_carries_the_discounted_return():
    params, actor = _actor(_agent(), DISCRETE)
    state = actor.init(jax.random.PRNGKey(0))
    for reward, so_far in ((1.0, 0.0), (2.0, 1.0), (4.0, 2.5)):
        action, state, extras = actor.select_action(params, jnp.ones(3), state)
        assert action.dtype == jnp.int32 and extras.action == () and float(extras.return_so_far) == so_far
        state = actor.observe(state, jnp.float32(reward))
    assert _actor(_agent(normalise_rewards=False), DISCRETE)[1].observe is ignore_reward


def _batch(params, actor, observation, reward):
    """Unrolls of the policy's own actions; the second row of the first is an episode's final observation."""
    flat = observation.reshape(-1, 3)
    keys = jax.random.split(jax.random.PRNGKey(2), len(flat))
    act = jax.vmap(lambda o, key: actor.select_action(params, o, actor.init(key)))
    action, _, extras = jax.tree.map(lambda x: x.reshape(*reward.shape, *x.shape[1:]), act(flat, keys))
    last = np.zeros(reward.shape, bool)
    last[0, 1] = True
    steps = Step(observation, action, reward, jnp.ones_like(reward), jnp.array(last), extras)
    return Unroll(steps, jnp.zeros(2, jnp.int32))


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return jnp.array(rng.normal(2.0, 3.0, (2, 4, 3)), jnp.float32), jnp.array(rng.normal(size=(2, 4)), jnp.float32)


@pytest.mark.long
@pytest.mark.parametrize("spec", [CONTINUOUS, DISCRETE])
def test_the_first_step_starts_from_the_policy_that_acted(spec, data):
    agent = _agent()
    params, actor = _actor(agent, spec)
    learner = agent.learner(spec)
    _, output = learner.update(learner.init(jax.random.PRNGKey(0)), _batch(params, actor, *data))
    assert abs(output.metrics["kl"]) < 1e-6 and output.metrics["clipped"] == 0.0
    assert abs(output.metrics["policy_loss"]) < 1e-6  # of standardised advantages


@pytest.mark.long
def test_observations_and_rewards_are_normalised_by_what_was_seen(data):
    agent = _agent()
    params, actor = _actor(agent, DISCRETE)
    learner = agent.learner(DISCRETE)
    observation, reward = data
    state, output = learner.update(learner.init(jax.random.PRNGKey(0)), _batch(params, actor, observation, reward))
    rows = np.asarray(observation[:, :-1]).reshape(-1, 3)
    scale = learner.params(state).scale
    np.testing.assert_allclose(scale.mean, rows.mean(0), rtol=1e-5)
    np.testing.assert_allclose(scale.stddev, rows.std(0), rtol=1e-5)
    (a, _, b, _), (c, d, e, _) = np.asarray(reward)  # Behind a final observation an episode begins.
    so_far = [a, b, c, d + 0.5 * c, e + 0.5 * d + 0.25 * c]
    np.testing.assert_allclose(output.metrics["reward_scale"], np.std(so_far), rtol=1e-5)


def test_the_learning_rate_falls_to_zero(data):
    agent = _agent(annealing_updates=2, num_epochs=3, normalise_observations=False)
    params, actor = _actor(agent, DISCRETE)
    learner, batch = agent.learner(DISCRETE), _batch(params, actor, *data)
    state, seen = learner.init(jax.random.PRNGKey(0)), []
    update = jax.jit(learner.update)
    for _ in range(3):
        before = state
        state, _ = update(state, batch)
        seen.append(max(float(jnp.abs(a - b).max()) for a, b in zip(*map(jax.tree.leaves, (before[0], state[0])))))
    assert seen[0] > 3e-4 and 0.0 < seen[1] < seen[0] and seen[2] == 0.0


def test_rows_that_do_not_divide_into_minibatches_are_refused():
    with pytest.raises(errors.UserError, match="3 unrolls of 5 has 15 rows, which do not divide into 4 minibatches"):
        ppo.Config(unroll_length=5, batch_size=3, num_minibatches=4)
