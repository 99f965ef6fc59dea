"""The policies of MPO and DiME improve at every state of an episode where an action is taken, and at no other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents import environments
from acme_agents.agents import dime, mpo
from acme_agents.agents.dime import learning as dime_learning
from acme_agents.agents.dime import networks as dime_networks
from acme_agents.agents.mpo import learning as mpo_learning
from acme_agents.agents.mpo import networks as mpo_networks
from acme_agents.core.interfaces import ActorContext
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Trajectory, Transition
from acme_agents.replay import chunks, device_replay, ring

AGENTS = {"mpo": mpo, "dime": dime}
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
    "init_log_temperature": -1.0,
    "init_log_alpha_mean": 0.0,
}


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
    agent = AGENTS[name].make(AGENTS[name].Config(**FAST))
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


SPEC = EnvironmentSpec(ArraySpec((2,)), ArraySpec((1,)))
TINY = {"critic": "scalar", "policy_layers": (4,), "critic_layers": (4,), "num_actions": 3, "num_bootstrap_actions": 5}


def _last_steps():
    """Transitions that end their episodes for good."""
    observation, action, reward = (jax.random.normal(jax.random.PRNGKey(i), (8, 2)) for i in range(3))
    return Transition(
        observation=observation,
        action=action[:, :1],
        reward=reward[:, 0],
        discount=jnp.zeros(8),
        next_observation=observation,
        next_action=jnp.zeros((8, 1)),
        next_last=jnp.ones(8, bool),
    )


@pytest.mark.parametrize("name", AGENTS)
def test_a_terminal_observation_changes_nothing(name):
    """It is not bootstrapped from, and nobody acts there: whatever it is, the update is the same, bit for bit."""
    learner, batch = AGENTS[name].make(AGENTS[name].Config(**TINY)).learner(SPEC), _last_steps()
    update, state = jax.jit(learner.update), learner.init(jax.random.PRNGKey(0))
    one, other = (update(state, batch._replace(next_observation=x))[0] for x in (jnp.ones((8, 2)), jnp.zeros((8, 2))))
    jax.tree.map(np.testing.assert_array_equal, one, other)
    moved, _ = update(state, batch._replace(observation=jnp.ones((8, 2))))
    assert any(jax.tree.leaves(jax.tree.map(lambda x, y: bool(np.any(x != y)), one.policy.online, moved.policy.online)))


@pytest.mark.parametrize(
    ("name", "learning", "networks"),
    [("mpo", mpo_learning, mpo_networks), ("dime", dime_learning, dime_networks)],
    ids=list(AGENTS),
)
def test_the_critics_target_has_actions_of_its_own(name, learning, networks):
    config, shapes = AGENTS[name].Config(**TINY), []
    nets = networks.make_networks(config, SPEC)

    def loss(value_tm1, r_t, discount_t, value_t):
        shapes.append(value_t.shape)
        return nets.value_head.loss(value_tm1, r_t, discount_t, value_t)

    learner = learning.make_learner(config, nets._replace(value_head=nets.value_head._replace(loss=loss)), 1)
    jax.eval_shape(learner.update, jax.eval_shape(learner.init, jax.random.PRNGKey(0)), _last_steps())
    assert set(shapes) == {(5, 8)}
