"""The policies of MPO, DiME and PMPO improve at every state of an episode where an action is taken, and at no other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import dime, mpo, pmpo
from acme_agents.agents.dime import learning as dime_learning
from acme_agents.agents.dime import networks as dime_networks
from acme_agents.agents.mpo import learning as mpo_learning
from acme_agents.agents.mpo import networks as mpo_networks
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Transition

AGENTS = {"mpo": mpo, "dime": dime, "pmpo": pmpo}
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


@pytest.mark.long
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
    ids=["mpo", "dime"],
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
