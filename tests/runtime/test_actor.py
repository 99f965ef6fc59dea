"""The actor around a core: what it does with states, parameters and extras."""

import dm_env
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.core.interfaces import ActorCore
from acme_agents.core.types import ArraySpec
from acme_agents.runtime.actor import Actor
from tests.replay import toys


def _init(key):
    return {"t": jnp.int32(0), "noise": jax.random.uniform(key)}


def _select_action(params, observation, state):
    action = params["scale"] * observation[:1]
    return action, {**state, "t": state["t"] + 1}, {"t": state["t"], "noise": state["noise"]}


CORE = ActorCore(_init, _select_action)
STEPS = toys.STEPS._replace(extras={"t": ArraySpec((), "int32"), "noise": ArraySpec(())})


def _params(scale):
    return {"scale": np.float32(scale)}


def _play(actor, e):
    """Lets the actor see an episode; returns its actions."""
    first, *rest = toys.timesteps(e)
    actor.observe_first(first)
    actions, timestep = [], first
    for next_timestep in rest:
        actions.append(actor.select_action(timestep.observation))
        actor.observe(actions[-1], next_timestep)
        timestep = next_timestep
    return np.stack(actions)


@pytest.fixture
def replay():
    with toys.serve(steps=STEPS) as replay:
        yield replay


def test_actions_and_extras_are_stored_and_every_episode_has_a_fresh_state(replay):
    writer, receiver = replay.writer(), replay.receiver()
    actor = Actor(CORE, jax.random.PRNGKey(0), writer)
    actor.params = _params(0.5)
    for number in (2, 4):
        actions = _play(actor, toys.episode(number, 3))
        assert actions.dtype == np.float32
        np.testing.assert_array_equal(actions, np.full((3, 1), number / 2))
    writer.flush()
    first, second = receiver.poll(100)
    writer.close()
    assert first.steps.action[:4, 0].tolist() == [1, 1, 1, 0]
    assert second.steps.action[:4, 0].tolist() == [2, 2, 2, 0]
    for chunk in (first, second):
        assert chunk.steps.extras["t"][:4].tolist() == [0, 1, 2, 0]
    noises = [set(chunk.steps.extras["noise"][:3].tolist()) for chunk in (first, second)]
    assert [len(noise) for noise in noises] == [1, 1]
    assert noises[0] != noises[1]


def test_the_key_decides_every_episode():
    def noises(seed):
        actor = Actor(CORE, jax.random.PRNGKey(seed))
        result = []
        for _ in range(3):
            actor.observe_first(dm_env.restart(np.zeros(2, np.float32)))
            result.append(float(actor._state["noise"]))
        return result

    assert noises(0) == noises(0)
    assert len({*noises(0), *noises(1)}) == 6


def test_parameters_set_between_two_steps_are_used_for_the_next():
    actor = Actor(CORE, jax.random.PRNGKey(0))
    actor.observe_first(dm_env.restart(np.ones(2, np.float32)))
    actions = []
    for scale in (0.25, -0.5, 0.75):
        actor.params = _params(scale)
        actions.append(float(actor.select_action(np.ones(2, np.float32))[0]))
    assert actions == [0.25, -0.5, 0.75]


def test_without_a_writer_it_only_acts():
    actor = Actor(CORE, jax.random.PRNGKey(0))
    actor.params = _params(1)
    np.testing.assert_array_equal(_play(actor, toys.episode(3, 4)), np.full((4, 1), 3))
