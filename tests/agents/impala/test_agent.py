"""IMPALA's learner: what the age of the policy that acted changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import impala
from acme_agents.core.interfaces import ActorContext
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Step, Unroll

SPEC = EnvironmentSpec(ArraySpec((3,)), ArraySpec((), "int32", 3))


@pytest.mark.long
def test_an_action_that_became_less_likely_counts_less_and_one_that_became_likelier_no_more():
    config = impala.Config(
        torso_layers=(8,), unroll_length=1, batch_size=1, normalise_rewards=False, normalise_observations=False
    )
    agent = impala.make(config)
    learner, actor = agent.learner(SPEC), agent.actor(SPEC, ActorContext(False))
    state = learner.init(jax.random.PRNGKey(0))
    observation = jnp.ones(3)
    action, _, extras = actor.select_action(learner.params(state), observation, actor.init(jax.random.PRNGKey(1)))
    step = Step(observation, action, jnp.float32(2.0), jnp.float32(1.0), jnp.array(False), extras)
    update = jax.jit(learner.update)

    def metrics(ratio):
        taken = extras._replace(log_prob=extras.log_prob - jnp.log(ratio))
        steps = jax.tree.map(lambda x: jnp.stack([x, x])[None], step._replace(extras=taken))
        return update(state, Unroll(steps, jnp.zeros(1, jnp.int32)))[1].metrics

    same, older, rarer = (metrics(ratio) for ratio in (1.0, 0.5, 2.0))
    # An advantage of 2 + 0.99 V - V, and a probability of about a third.
    np.testing.assert_allclose(same["policy_loss"], (2.0 - 0.01 * same["value"]) * np.log(3.0), rtol=1e-2)
    np.testing.assert_allclose(older["policy_loss"], 0.5 * same["policy_loss"], rtol=1e-5)
    np.testing.assert_allclose(rarer["policy_loss"], same["policy_loss"], rtol=1e-5)
    np.testing.assert_allclose(older["value_loss"], 0.25 * same["value_loss"], rtol=1e-5)
    np.testing.assert_allclose([m["kl_acted"] for m in (same, rarer)], [0.0, 1.0 - np.log(2.0)], atol=1e-5)
