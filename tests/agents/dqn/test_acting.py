"""The actor: epsilon falls with the updates, an evaluation is greedy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import dqn
from acme_agents.agents.dqn import acting
from acme_agents.agents.dqn.networks import ActorParams
from acme_agents.core.networks import Network

CONFIG = dqn.Config(epsilon_start=0.8, epsilon_end=0.2, epsilon_updates=100)
KEYS = jax.random.split(jax.random.PRNGKey(0), 3000)


def _q_values(params, observation):
    """A network whose parameters are the values; it checks that it is given a batch of one."""
    assert observation["x"].shape == (1, 2)
    return params[None]


def _actions(steps, *, evaluation=False, config=CONFIG):
    actor = acting.make_actor(config, Network(lambda key: None, _q_values), evaluation=evaluation)
    params = ActorParams(jnp.array([0.1, 0.3, 0.2]), jnp.int32(steps))
    observation = {"x": jnp.zeros(2)}
    actions, keys, extras = jax.vmap(lambda key: actor.select_action(params, observation, actor.init(key)))(KEYS)
    assert actions.dtype == jnp.int32
    assert extras == ()
    assert np.all(np.any(keys != KEYS, axis=1))  # no key is used twice
    return np.asarray(actions)


@pytest.mark.parametrize(
    ("steps", "epsilon"), [(0, 0.8), (25, 0.65), (50, 0.5), (100, 0.2), (2_000_000_000, 0.2)], ids=str
)
def test_epsilon_falls_over_the_updates(steps, epsilon):
    np.testing.assert_allclose(acting.epsilon_after(jnp.int32(steps), CONFIG), epsilon, rtol=1e-6)
    np.testing.assert_allclose(np.mean(_actions(steps) != 1), epsilon * 2 / 3, atol=0.03)


def test_evaluation_is_greedy_whatever_the_updates():
    np.testing.assert_array_equal(_actions(0, evaluation=True), np.ones(3000))
    some = dqn.Config(evaluation_epsilon=0.3)
    np.testing.assert_allclose(np.mean(_actions(0, evaluation=True, config=some) != 1), 0.2, atol=0.03)
