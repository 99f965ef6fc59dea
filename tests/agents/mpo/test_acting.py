"""The actor: samples to explore, the mean to evaluate, both clipped, one observation at a time."""

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.agents.mpo import acting, networks
from acme_agents.core import values
from acme_agents.core.distributions import Gaussian
from acme_agents.core.networks import Network

OBSERVATION = {"x": jnp.array([1.0, 2.0]), "y": jnp.array(3.0)}
MEAN, STDDEV = jnp.array([0.25, -3.0, 5.0]), jnp.array([0.1, 0.1, 9.0])


def _policy(params, observation):
    """A network whose parameters are the policy; it checks that it is given a batch of one."""
    assert {k: v.shape for k, v in observation.items()} == {"x": (1, 2), "y": (1,)}
    return Gaussian(*(p[None] for p in params))


def _unused(*args):
    raise AssertionError("an actor needs the policy alone")


NETWORKS = networks.Networks(Network(_unused, _policy), Network(_unused, _unused), values.scalar())


def _act(key, *, evaluation):
    actor = acting.make_actor(NETWORKS, evaluation=evaluation)
    action, state, extras = actor.select_action(Gaussian(MEAN, STDDEV), OBSERVATION, actor.init(key))
    assert action.shape == (3,)
    assert extras == ()
    assert not np.array_equal(state, key)  # the key is not used twice
    return action, state


def test_evaluation_takes_the_clipped_mean_whatever_the_key():
    for seed in range(3):
        action, _ = _act(jax.random.PRNGKey(seed), evaluation=True)
        np.testing.assert_array_equal(action, [0.25, -1.0, 1.0])


def test_exploration_samples_the_policy_and_clips():
    keys = jax.random.split(jax.random.PRNGKey(0), 1000)
    actions = np.asarray(jax.vmap(_sampled)(keys))
    assert np.abs(actions).max() <= 1
    # Standard error 0.1 / sqrt(1000) = 0.003.
    np.testing.assert_allclose([actions[:, 0].mean(), actions[:, 0].std()], [0.25, 0.1], atol=0.013)
    assert len(np.unique(actions[:, 0])) > 990
    np.testing.assert_array_equal(actions[:, 1], -1.0)
    assert {-1.0, 1.0} < set(actions[:, 2].tolist())  # far to both sides, and between
    # Dimensions have noise of their own.
    assert abs(np.corrcoef(actions[:, 0], actions[:, 2])[0, 1]) < 0.13


def _sampled(key):
    actor = acting.make_actor(NETWORKS, evaluation=False)
    return actor.select_action(Gaussian(MEAN, STDDEV), OBSERVATION, key)[0]
