"""The agent fma-pg is ppo but for what its policy climbs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import fma_pg, ppo
from acme_agents.core import errors
from acme_agents.core.interfaces import ActorContext
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Step, Unroll

SPEC = EnvironmentSpec(ArraySpec((3,)), ArraySpec((), "int32", 3))
SMALL = {
    "policy_layers": (8,),
    "value_layers": (8,),
    "unroll_length": 4,
    "batch_size": 2,
    "num_epochs": 2,
    "num_minibatches": 2,
    "learning_rate": 1e-2,
}


def _updated(agent):
    """The parameters after an update, and its metrics, with what the agent's own actor stores beside the steps."""
    learner, actor = agent.learner(SPEC), agent.actor(SPEC, ActorContext(False))
    state = learner.init(jax.random.PRNGKey(0))
    rng = np.random.default_rng(0)
    observation = jnp.array(rng.normal(size=(2, 5, 3)), jnp.float32)
    keys = jax.random.split(jax.random.PRNGKey(1), (2, 5))
    act = jax.vmap(jax.vmap(lambda o, key: actor.select_action(learner.params(state), o, actor.init(key))))
    action, _, extras = act(observation, keys)
    reward = jnp.array(rng.normal(size=(2, 5)), jnp.float32)
    steps = Step(observation, action, reward, jnp.ones((2, 5)), jnp.zeros((2, 5), bool), extras)
    after, output = jax.jit(learner.update)(state, Unroll(steps, jnp.zeros(2, jnp.int32)))
    return after, output.metrics


@pytest.mark.long
def test_with_ppos_surrogate_it_is_ppo():
    theirs, ours = (_updated(agent) for agent in (ppo.make(ppo.Config(**SMALL)), _agent(surrogate="ppo")))
    jax.tree.map(np.testing.assert_array_equal, theirs[0], ours[0])
    assert theirs[1].keys() - ours[1].keys() == {"clipped"}


def _agent(**changes):
    return fma_pg.make(fma_pg.Config(**SMALL | changes))


@pytest.mark.long
def test_a_small_eta_holds_the_policy_back():
    near, far = (_updated(_agent(surrogate="mdpo", eta=eta))[1]["kl"] for eta in (1e-3, 10.0))
    assert 0.0 < 5.0 * near < far


def test_there_are_these_surrogates():
    with pytest.raises(errors.UserError, match="surrogate must be smdpo, mdpo, trpo, sppo, sppo-min or ppo, not 'npg'"):
        fma_pg.Config(surrogate="npg")
