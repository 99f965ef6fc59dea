"""The actor: samples to explore, the mode to evaluate, both clipped, one observation at a time."""

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.agents import bc
from acme_agents.agents.bc import acting
from acme_agents.agents.bc.networks import Policy
from acme_agents.core import policies
from acme_agents.core.distributions import Gaussian

OBSERVATION = {"x": jnp.array([1.0, 2.0]), "y": jnp.array(3.0)}
PARAMS = Gaussian(jnp.array([0.25, -3.0, 5.0]), jnp.array([0.1, 0.1, 9.0]))


def _apply(params, observation):
    """A network whose parameters are the policy; it checks that it is given a batch of one."""
    assert {k: v.shape for k, v in observation.items()} == {"x": (1, 2), "y": (1,)}
    return jax.tree.map(lambda p: p[None], params)


POLICY = Policy(init=lambda key: PARAMS, apply=_apply, head=policies.gaussian(0.5, 1e-3))


CONFIG = bc.Config()


def _action(key, *, evaluation, config=CONFIG):
    return acting.make_actor(config, POLICY, evaluation=evaluation).select_action(PARAMS, OBSERVATION, key)[0]


def test_evaluation_takes_the_clipped_mode_whatever_the_key():
    for seed in range(3):
        np.testing.assert_array_equal(_action(jax.random.PRNGKey(seed), evaluation=True), [0.25, -1.0, 1.0])


def test_exploration_samples_the_policy_and_clips():
    keys = jax.random.split(jax.random.PRNGKey(0), 1000)
    actions = np.asarray(jax.vmap(lambda key: _action(key, evaluation=False))(keys))
    as_well = jax.vmap(lambda key: _action(key, evaluation=True, config=bc.Config(evaluation="sample")))(keys)
    np.testing.assert_array_equal(as_well, actions)
    assert np.abs(actions).max() <= 1
    # Standard error 0.1 / sqrt(1000) = 0.003.
    np.testing.assert_allclose([actions[:, 0].mean(), actions[:, 0].std()], [0.25, 0.1], atol=0.013)
    np.testing.assert_array_equal(actions[:, 1], -1.0)
    assert {-1.0, 1.0} < set(actions[:, 2].tolist())  # far to both sides, and between
