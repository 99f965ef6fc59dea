"""MPO, DiME and PMPO learn the best action at every state of an episode from what replay holds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents import environments
from acme_agents.agents import dime, mpo, pmpo
from acme_agents.core.interfaces import ActorContext
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Trajectory
from acme_agents.replay import chunks, device_replay, ring

AGENTS = {"mpo": mpo, "dime": dime, "pmpo": pmpo}
PROBES = {"probe:blank": 1, "probe:blank3": 3, "probe:blank8": 8}  # and their lengths
FAST = {
    "critic": "scalar",
    "policy_layers": (64,),
    "critic_layers": (64,),
    "policy_init_stddev": 0.2,
    "num_actions": 20,
    "n_step": 4,
    "discount": 0.5,
    "batch_size": 256,
    "learning_rate": 5e-3,
    "target_update_period": 20,
}
DUALS = {"init_log_temperature": -1.0, "init_log_alpha_mean": 0.0}


def _uniform_episodes(name, number, before, after):
    """Episodes of uniformly random actions, with zeros before and after what is observed."""
    env, rng, episodes = environments.make(name, seed=0), np.random.default_rng(0), []
    for _ in range(number):
        steps, actions = [env.reset()], []
        while not steps[-1].last():
            actions.append(rng.uniform(-1, 1, 1).astype(np.float32))
            steps.append(env.step(actions[-1]))
        observations = np.pad(np.stack([step.observation for step in steps]), ((0, 0), (before, after)))
        rewards, discounts = (np.array([getattr(s, f) for s in steps[1:]], np.float32) for f in ("reward", "discount"))
        episodes.append(Trajectory(observations, np.stack(actions), rewards, discounts))
    return episodes


@pytest.mark.slow
@pytest.mark.parametrize("name", AGENTS)
def test_learns_the_best_action_at_every_state_from_uniformly_random_ones(name):
    """In episodes of 1, 3 and 8 steps at once, with 4-step returns: the first states are no bootstrap states."""
    size, before, episodes = sum(PROBES.values()), 0, []
    for probe, length in PROBES.items():
        episodes += _uniform_episodes(probe, 800, before, size - before - length)
        before += length
    spec = EnvironmentSpec(ArraySpec((size,)), ArraySpec((1,)))
    options = FAST if name == "pmpo" else FAST | DUALS
    agent = AGENTS[name].make(AGENTS[name].Config(**options))
    learner, actor = agent.learner(spec), agent.actor(spec, ActorContext(evaluation=True))
    held = ring.from_trajectories(chunks.step_spec(agent, spec), episodes, agent.replay(spec).experience)
    update = device_replay.make_update(learner, agent.replay(spec))
    state, *_ = update(
        learner.init(jax.random.PRNGKey(0)), {}, {"replay": held}, jax.random.PRNGKey(1), np.int32(0), np.int32(1000)
    )
    observations = jnp.concatenate([jnp.eye(size), -jnp.eye(size)])  # every state but the last
    act = lambda o: actor.select_action(learner.params(state), o, actor.init(jax.random.PRNGKey(0)))[0]  # noqa: E731
    actions = jax.vmap(act)(observations)[:, 0]
    np.testing.assert_allclose(actions, np.sum(observations, axis=1) / 2, atol=0.15)
