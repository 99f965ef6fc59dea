"""What R2D2's actor was in, what it wrote, and what the learner gets of it from a real replay server, agree."""

import jax
import numpy as np
import pytest

from acme_agents import environments
from acme_agents.agents import r2d2
from acme_agents.agents.r2d2 import networks
from acme_agents.core.interfaces import ActorContext
from acme_agents.replay import chunks
from acme_agents.replay.sampler import ChunkSampler
from acme_agents.runtime.actor import Actor
from acme_agents.runtime.loop import EnvironmentLoop
from tests.replay import toys

pytestmark = pytest.mark.slow

CONFIG = r2d2.Config(
    torso_layers=(8,), lstm_size=8, head_layers=(8,), burn_in_length=3, trace_length=8, sequence_period=4, batch_size=32
)


@pytest.mark.parametrize("environment", ["key-door:5", "deep-sea:15", "probe:memory"])
def test_the_state_at_a_sequences_start_is_what_the_actor_had_and_leads_to_all_that_it_had_after(environment):
    env = environments.make(environment, 0)
    agent, spec = r2d2.make(CONFIG), environments.spec(env)
    steps = chunks.step_spec(agent, spec)
    params = agent.learner(spec).init(jax.random.PRNGKey(1)).online
    with toys.serve(agent.replay(spec), steps) as replay:
        writer = replay.writer(into=("replay",))
        actor = Actor(agent.actor(spec, ActorContext(evaluation=False)), jax.random.PRNGKey(2), writer)
        actor.params = params
        loop = EnvironmentLoop(env, actor)
        for _ in range(6):
            loop.run_episode()
        writer.flush()
        sampler = ChunkSampler(replay.client, steps, agent.replay(spec), 0)
        batches = [sampler.next(20).batch for _ in range(4)]
        sampler.close()
        writer.close()
    unroll = networks.make_networks(CONFIG, spec).unroll
    later = 0
    for batch in batches:
        inputs = networks.inputs_of(batch, spec.action.num_values)
        state = jax.tree.map(lambda x: x[:, 0], batch.steps.extras)
        begins = batch.episode_step == 0
        assert all(np.all(leaf[begins] == 0) for leaf in jax.tree.leaves(state))
        assert all(np.all(np.any(leaf[~begins] != 0, axis=-1)) for leaf in jax.tree.leaves(state))
        later += int(np.sum(~begins))
        for t in range(CONFIG.trace_length):
            _, state = unroll(params, jax.tree.map(lambda x, t=t: x[:, t : t + 1], inputs), state)
            acted = (t + 1 < batch.num_steps) & ~batch.steps.last[:, t + 1]  # where the actor was in a state, too
            for found, actors in zip(jax.tree.leaves(state), jax.tree.leaves(batch.steps.extras)):
                np.testing.assert_allclose(found[acted], actors[acted, t + 1], atol=1e-5)
    assert later or environment == "probe:memory"  # whose episodes are one sequence each
