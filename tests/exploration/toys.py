"""Bonuses with known numbers, and batches of rows for any agent."""

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.experience import of_trajectories
from acme_agents.core.interfaces import ActorContext
from acme_agents.core.types import ArraySpec, EnvironmentSpec, SampleInfo, Step, Stretch, Trajectory
from acme_agents.exploration import wrapping

DISCRETE = EnvironmentSpec(ArraySpec((3,)), ArraySpec((), "int32", 3))
SEEN = EnvironmentSpec(ArraySpec((2,)), ArraySpec((), "int32", 3))  # of the rows of `stretch`
CONTINUOUS = EnvironmentSpec(ArraySpec((3,)), ArraySpec((2,)))


def counting(config, base):
    """Pays 1, 2, 3 ... for a batch's transitions in the order of rows, plus 100 for each update before."""

    def update(state, stretch, key):
        reward = jnp.arange(1.0, stretch.valid.size + 1).reshape(stretch.valid.shape) + 100.0 * state
        return state + 1.0, reward, {"updates": state}

    bonus = wrapping.Bonus(lambda key: jnp.zeros(()), update)
    return wrapping.Wrapped("counting", base, lambda spec: bonus, config)


def episodes(spec, lengths, seed=0):
    """Random episodes of these lengths; every other one ends for good."""
    rng = np.random.default_rng(seed)
    made = []
    for i, length in enumerate(lengths):
        observation = rng.normal(size=(length + 1, *spec.observation.shape)).astype(np.float32)
        if spec.action.num_values is None:
            action = rng.uniform(-1, 1, (length, *spec.action.shape)).astype(np.float32)
        else:
            action = rng.integers(0, spec.action.num_values, length).astype(np.int32)
        discount = np.ones(length, np.float32)
        discount[-1] = i % 2
        made.append(Trajectory(observation, action, rng.normal(size=length).astype(np.float32), discount))
    return made


def batch(agent, spec, trajectories):
    """The first items of the episodes, as many as the agent's batch has, with the extras of an episode's first step."""
    replay = agent.replay(spec)
    steps = Step(spec.observation, spec.action, spec.reward, ArraySpec(()), ArraySpec((), "bool"))
    rows = jax.tree.map(jnp.asarray, of_trajectories(steps, trajectories, replay.experience))
    learner, actor = agent.learner(spec), agent.actor(spec, ActorContext(evaluation=False))
    params, key = learner.params(learner.init(jax.random.PRNGKey(0))), jax.random.PRNGKey(1)
    extras = jax.vmap(lambda o: actor.select_action(params, o, actor.init(key))[2])(rows.steps.observation)
    rows = rows._replace(steps=rows.steps._replace(extras=extras))
    places = jnp.arange(replay.batch_size)
    assert len(rows.item_rows) >= replay.batch_size
    made = replay.experience.gather(rows, places)
    if hasattr(made, "sample_info"):
        made = made._replace(sample_info=SampleInfo(jnp.full(len(places), 0.1), jnp.zeros(len(places), jnp.int32)))
    return made


VALID = [[True, True, False, True, True], [True, True, True, True, True], [True, False, True, False, True]]


def stretch(valid, seed=0):
    """Random rows [B, T + 1] with these transitions."""
    valid, rng = np.asarray(valid), np.random.default_rng(seed)
    shape = valid.shape[0], valid.shape[1] + 1
    observation = jnp.array(rng.normal(size=(*shape, 2)), jnp.float32)
    action = jnp.array(rng.integers(0, 3, shape), jnp.int32)
    steps = Step(observation, action, jnp.zeros(shape), jnp.ones(shape), jnp.zeros(shape, bool))
    return Stretch(steps, jnp.asarray(valid))


def shapes(agent, spec):
    """The shapes of a batch, of which nothing is computed."""
    from acme_agents.core.experience import Rows
    from acme_agents.replay import chunks

    replay, steps = agent.replay(spec), chunks.step_spec(agent, spec)
    number = replay.batch_size

    def zeros(rows, specs):
        return jax.tree.map(lambda s: jnp.zeros((rows, *s.shape), s.dtype), specs)

    def make():
        rows = Rows(zeros(1000, steps), jnp.zeros(number, jnp.int32), zeros(number, replay.experience.item_spec(steps)))
        made = replay.experience.gather(rows, jnp.arange(number))
        info = SampleInfo(jnp.ones(number), jnp.zeros(number, jnp.int32))
        return made._replace(sample_info=info) if hasattr(made, "sample_info") else made

    return jax.eval_shape(make)
