"""BC's update learns the law of the data's actions, whatever they earned; and its bookkeeping."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import bc
from acme_agents.core.interfaces import ActorContext
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Transition

pytestmark = pytest.mark.slow

SPEC = EnvironmentSpec(ArraySpec((1,)), ArraySpec((1,)))
TINY = bc.Config(policy="gaussian", policy_layers=(4,))
KEY = jax.random.PRNGKey(0)


def _batch(observation, action, reward):
    zeros = jnp.zeros(action.shape[0])
    return Transition(
        observation, action, reward, zeros, observation, jnp.zeros_like(action), jnp.ones(action.shape[0], bool)
    )


def _bandit(size=256):
    """Two observations, -1 and 1, where the data acts around -0.4 and 0.4, and earns most elsewhere."""
    observation = jnp.where(jnp.arange(size) % 2 == 0, -1.0, 1.0)
    noise = jax.random.normal(jax.random.PRNGKey(7), (size // 2,)).repeat(2)  # the same for both
    noise = (noise - noise.mean()) / noise.std()
    action = 0.4 * observation + 0.1 * noise
    return _batch(observation[:, None], action[:, None], -jnp.square(action + observation))


@pytest.mark.parametrize("kind", ["mixture", "gaussian", "tanh-gaussian"])
def test_learns_the_law_of_the_actions_and_not_their_rewards(kind):
    agent = bc.make(bc.Config(policy=kind, policy_layers=(32, 32), num_policy_components=2, learning_rate=3e-3))
    learner, actor = agent.learner(SPEC), agent.actor(SPEC, ActorContext(evaluation=True))
    sampler, batch = agent.actor(SPEC, ActorContext(evaluation=False)), _bandit()
    state, metrics = jax.jit(lambda s: jax.lax.scan(lambda s, _: learner.update(s, batch), s, None, length=1000))(
        learner.init(KEY)
    )
    # A Gaussian's own entropy: log(0.1 sqrt(2 pi e)) = -0.88 nats.
    assert metrics.metrics["loss_policy"][-1] == pytest.approx(-0.88, abs=0.06)
    for observation in (-1.0, 1.0):
        keys = jax.random.split(KEY, 2000)
        actions = jax.vmap(lambda k, o=observation: sampler.select_action(state.policy, jnp.array([o]), k)[0])(keys)
        np.testing.assert_allclose(np.mean(actions), 0.4 * observation, atol=0.03)
        np.testing.assert_allclose(np.std(actions), 0.1, atol=0.02)
        if kind != "mixture":  # whose likelier component may lie to either side
            mode = actor.select_action(state.policy, jnp.array([observation]), KEY)[0][0]
            assert float(mode) == pytest.approx(0.4 * observation, abs=0.04)


def test_metrics():
    learner = bc.make(dataclasses.replace(TINY, policy_init_stddev=0.3)).learner(SPEC)
    _, output = learner.update(learner.init(KEY), _bandit())
    assert set(output.metrics) == {"loss_policy", "policy_stddev", "gradient_norm"}
    np.testing.assert_allclose(output.metrics["policy_stddev"], 0.301, rtol=0.05)


def test_gradient_is_clipped():
    """Adam does not see the gradient's size, but its moments do."""
    learner = bc.make(dataclasses.replace(TINY, max_gradient_norm=1e-3)).learner(SPEC)
    state, _ = jax.jit(learner.update)(learner.init(KEY), _bandit())
    (moments,) = [
        x.mu for x in jax.tree.leaves(state.optimizer, is_leaf=lambda x: hasattr(x, "mu")) if hasattr(x, "mu")
    ]
    norm = np.sqrt(sum(np.sum(np.square(x)) for x in jax.tree.leaves(moments)))
    np.testing.assert_allclose(norm, 0.1 * 1e-3, rtol=1e-4)  # b1 = 0.9


def test_discrete_actions_are_refused_in_a_sentence():
    spec = EnvironmentSpec(ArraySpec((1,)), ArraySpec((), "int32", num_values=4))
    sentence = "BC needs continuous actions, and this environment has 4 discrete ones"
    with pytest.raises(ValueError, match=sentence):
        bc.make(bc.Config()).actor(spec, ActorContext(evaluation=False))
    with pytest.raises(ValueError, match=sentence):
        bc.make(bc.Config()).learner(spec)


def test_replay_is_as_configured():
    config = bc.Config(batch_size=7, min_replay_size=11, max_replay_size=13, samples_per_insert=17.0)
    replay = bc.make(config).replay(SPEC)
    assert (replay.experience.n, replay.experience.discount) == (1, 1.0)
    assert (replay.batch_size, replay.min_size, replay.max_size, replay.samples_per_insert) == (7, 11, 13, 17.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"policy_layers": ()}, "policy_layers must be at least 1"),
        ({"num_policy_components": 0}, "num_policy_components must be at least 1"),
        ({"policy_min_stddev": -1.0}, "policy_min_stddev must be at least 0"),
        ({"min_replay_size": 10, "max_replay_size": 5}, "training would never begin"),
    ],
)
def test_values_out_of_range_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        bc.Config(**change)
