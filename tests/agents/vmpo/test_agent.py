"""V-MPO's actor and learner: the memory across episodes, who acts, what an update changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import vmpo
from acme_agents.agents.vmpo import networks
from acme_agents.core import normalising
from acme_agents.core.interfaces import ActorContext
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Step, Unroll

SPEC = EnvironmentSpec(ArraySpec((3,)), ArraySpec((), "int32", 3))
SMALL = {
    "torso_layers": (8,),
    "lstm_size": 4,
    "unroll_length": 4,
    "batch_size": 1,
    "num_epochs": 2,
    "target_update_period": 2,
    "normalise_rewards": False,
    "normalise_observations": False,
}
LAST = np.array([[False, False, True, False, False]])


@pytest.fixture(scope="module")
def played():
    """An agent, its learner, its first state, and an unroll of two episodes that its actor played: of three rows, and
    the next one's first two."""
    agent = vmpo.make(vmpo.Config(**SMALL))
    learner, actor = agent.learner(SPEC), agent.actor(SPEC, ActorContext(False))
    state = learner.init(jax.random.PRNGKey(0))
    params, rng, steps = learner.params(state), np.random.default_rng(0), []
    act = jax.jit(actor.select_action)
    actor_state = actor.init(jax.random.PRNGKey(1))
    for t in range(5):
        observation = jnp.array(rng.normal(size=3), jnp.float32)
        action, actor_state, extras = act(params, observation, actor_state)
        steps.append(Step(observation, action, jnp.float32(t), jnp.float32(1.0), jnp.array(LAST[0, t]), extras))
        if LAST[0, t]:
            actor_state = actor.init(jax.random.PRNGKey(2))
    batch = Unroll(jax.tree.map(lambda *x: jnp.stack(x)[None], *steps), jnp.zeros(1, jnp.int32))
    return agent, learner, state, batch


@pytest.mark.long
def test_the_learner_sees_what_the_actor_saw(played):
    agent, learner, state, batch = played
    nets = networks.make_networks(agent.config, SPEC)
    params = learner.params(state)
    for first in (0, 1):  # from an episode's start, and from within
        part = batch._replace(steps=jax.tree.map(lambda x: x[:, first:], batch.steps))  # noqa: B023
        seen = normalising.normalise(part.steps.observation, params.scale)
        outputs = networks.unroll(nets, params.network, seen, part)
        log_prob = nets.law.log_prob(outputs.law, part.steps.action)
        np.testing.assert_allclose(log_prob, part.steps.extras.log_prob, rtol=1e-5)
    assert np.all(np.asarray(batch.steps.extras.memory.cell)[0, 3] == 0.0)
    assert np.all(np.asarray(batch.steps.extras.memory.cell)[0, 2] != 0.0)


def test_the_target_acts_and_follows_after_its_period(played):
    _, learner, state, batch = played
    update = jax.jit(learner.update)
    first, output = update(state, batch)
    assert abs(float(output.metrics["kl_acted"])) < 1e-6
    np.testing.assert_array_equal(*(jax.tree.leaves(learner.params(s).network)[0] for s in (state, first)))
    assert np.any(jax.tree.leaves(first.network)[0] != jax.tree.leaves(state.network)[0])
    second, _ = update(first, batch)
    for target, online in zip(jax.tree.leaves(second.target), jax.tree.leaves(second.network)):
        np.testing.assert_array_equal(target, online)
