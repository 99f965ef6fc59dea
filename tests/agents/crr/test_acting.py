"""The actor: samples to explore; the mode, a sample or the critic's choice of samples to evaluate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import crr
from acme_agents.agents.bc.networks import Policy
from acme_agents.agents.crr import acting
from acme_agents.agents.crr.networks import ActorParams, Networks
from acme_agents.core import policies, values
from acme_agents.core.distributions import Gaussian
from acme_agents.core.networks import Network

OBSERVATION = jnp.array([1.0, 2.0])
KEYS = jax.random.split(jax.random.PRNGKey(0), 4000)


def _unused(*args):
    raise AssertionError("an actor initialises nothing")


def _networks(critic):
    """The policy's parameters are the policy itself; the critic is given."""

    def apply(params, observation):
        return jax.tree.map(lambda p: p[None], params)

    return Networks(Policy(_unused, apply, policies.gaussian(0.5, 1e-3)), Network(_unused, critic), values.scalar())


def _actions(how, *, evaluation=True, critic=_unused, mean=0.25, stddev=0.1, **changes):
    """4,000 actions of one dimension, each by a key of its own."""
    actor = acting.make_actor(crr.Config(evaluation=how, **changes), _networks(critic), evaluation=evaluation)
    params = ActorParams(Gaussian(jnp.array([mean]), jnp.array([stddev])), jnp.float32(0.0))
    return np.asarray(jax.vmap(lambda key: actor.select_action(params, OBSERVATION, key)[0])(KEYS))[:, 0]


def test_mode_is_the_clipped_mean():
    np.testing.assert_array_equal(_actions("mode"), np.full(4000, 0.25, np.float32))
    np.testing.assert_array_equal(_actions("mode", mean=-3.0), np.full(4000, -1.0))


@pytest.mark.parametrize(("how", "evaluation"), [("sample", True), ("mode", False), ("cwp", False)])
def test_samples_have_the_policys_law_and_exploration_always_samples(how, evaluation):
    actions = _actions(how, evaluation=evaluation)
    np.testing.assert_allclose([actions.mean(), actions.std()], [0.25, 0.1], atol=0.008)
    assert np.abs(_actions(how, evaluation=evaluation, stddev=5.0)).max() == 1.0


@pytest.mark.parametrize("beta", [0.5, 1.0, 10.0])
def test_choice_has_the_softmax_of_the_values_over_beta(beta):
    q_values = jnp.array([0.0, 1.0, 2.0])
    chosen = np.asarray(jax.vmap(lambda key: acting.choose(key, q_values, beta))(KEYS))
    frequencies = np.bincount(chosen, minlength=3) / 4000
    odds = np.exp(np.array([0.0, 1.0, 2.0]) / beta)
    np.testing.assert_allclose(frequencies, odds / odds.sum(), atol=4 * 0.5 / np.sqrt(4000))


def test_critic_weighted_policy_moves_as_far_as_its_critic_says():
    """For a policy N(mu, s) and a critic c a, exp(Q / beta) pi(a) is N(mu + c s^2 / beta, s)."""

    def critic(params, observation, action):
        assert observation.shape == (1, 2)
        return 5.0 * action[..., 0]

    options = {"critic": critic, "mean": -0.2, "stddev": 0.2, "num_evaluation_actions": 64}
    # Of 64 samples the weights' normaliser is a little too large on average: the shift is short by a few percent.
    np.testing.assert_allclose(_actions("cwp", **options).mean(), -0.2 + 5 * 0.04, atol=0.02)
    np.testing.assert_allclose(_actions("cwp", beta=2.0, **options).mean(), -0.2 + 5 * 0.04 / 2, atol=0.02)
    np.testing.assert_allclose(_actions("cwp", **options | {"num_evaluation_actions": 1}).mean(), -0.2, atol=0.02)
