"""The actor: samples to explore, the mean to evaluate, and which preference an episode has."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import dime
from acme_agents.agents.dime import acting, networks
from acme_agents.core import values
from acme_agents.core.distributions import Gaussian
from acme_agents.core.interfaces import ActorContext
from acme_agents.core.networks import Network
from acme_agents.core.types import ArraySpec, EnvironmentSpec

SPEC = EnvironmentSpec(ArraySpec((2,)), ArraySpec((2,)), ArraySpec((2,)))
CONFIG = dime.Config(policy_layers=(8,), critic_layers=(8,), preference=(1.0, 3.0))
OBSERVATION = jnp.array([1.0, 2.0])


def _policy(params, observation, preference):
    """A network whose mean is twice the preference, which leaves [-1, 1]."""
    assert (observation.shape, preference.shape) == ((1, 2), (1, 2))
    return Gaussian(2 * preference, jnp.full((1, 2), 0.1))


def _unused(*args):
    raise AssertionError("an actor needs the policy alone")


NETWORKS = networks.Networks(
    Network(_unused, _policy), Network(_unused, _unused), values.scalar(), 2, jnp.array([0.25, 0.75])
)


def test_evaluation_takes_the_clipped_mean_of_the_configured_preference():
    actor = acting.make_actor(NETWORKS, draw_preference=False, evaluation=True)
    for seed in range(3):
        state = actor.init(jax.random.PRNGKey(seed))
        action, after, extras = actor.select_action(None, OBSERVATION, state)
        np.testing.assert_array_equal(action, [0.5, 1.0])
        assert extras == ()
        assert not np.array_equal(after.key, state.key)  # the key is not used twice


def test_exploration_samples_the_policy_and_clips():
    actor = acting.make_actor(NETWORKS, draw_preference=False, evaluation=False)

    def act(key):
        return actor.select_action(None, OBSERVATION, actor.init(key))[0]

    actions = np.asarray(jax.vmap(act)(jax.random.split(jax.random.PRNGKey(0), 1000)))
    np.testing.assert_allclose([actions[:, 0].mean(), actions[:, 0].std()], [0.5, 0.1], atol=0.013)
    np.testing.assert_array_equal(actions[:, 1], 1.0)


def test_an_episode_keeps_the_preference_that_it_drew():
    actor = acting.make_actor(NETWORKS, draw_preference=True, evaluation=False)
    first, second = (actor.init(jax.random.PRNGKey(seed)) for seed in range(2))
    assert np.all(first.preference != second.preference)
    _, after, _ = actor.select_action(None, OBSERVATION, first)
    np.testing.assert_array_equal(after.preference, first.preference)


@pytest.mark.parametrize("conditioned", [False, True])
def test_only_explorers_of_a_conditioned_agent_draw_preferences(conditioned):
    agent = dime.make(dataclasses.replace(CONFIG, conditioned=conditioned))
    for evaluation in (False, True):
        state = agent.actor(SPEC, ActorContext(evaluation=evaluation)).init(jax.random.PRNGKey(0))
        assert state.preference.shape == (2,)
        is_configured = np.allclose(state.preference, [0.25, 0.75])
        assert is_configured == (evaluation or not conditioned)


@pytest.mark.parametrize("conditioned", [False, True])
def test_a_preference_chosen_at_evaluation_fits_the_parameters(conditioned):
    """It changes no shape; and it changes the action of a conditioned policy alone."""
    config = dataclasses.replace(CONFIG, conditioned=conditioned)
    learner = dime.make(config).learner(SPEC)
    state = learner.init(jax.random.PRNGKey(0))
    actions = []
    for preference in ((), (0.9, 0.1)):
        actor = dime.make(dataclasses.replace(config, preference=preference)).actor(SPEC, ActorContext(evaluation=True))
        actor_state = actor.init(jax.random.PRNGKey(1))
        action, _, _ = jax.jit(actor.select_action)(learner.params(state), OBSERVATION, actor_state)
        actions.append(np.asarray(action))
    assert np.array_equal(*actions) == (not conditioned)
