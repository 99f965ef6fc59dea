"""D4PG's critic is a distribution, and it learns from the target networks' one action."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import d4pg
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Transition

SPEC = EnvironmentSpec(ArraySpec((3,)), ArraySpec((2,)))


def test_critic_bootstraps_from_the_projected_target():
    """Atoms -1, 0, 1: an online critic of equal chances, a target critic that is sure of 1, r = 0 and discount 0.5."""
    config = d4pg.Config(policy_layers=(4,), critic_layers=(4,), vmin=-1.0, vmax=1.0, num_atoms=3)
    core = d4pg.make(config).learner(SPEC)
    state = core.init(jax.random.PRNGKey(0))
    online, target = (jax.tree.map(jnp.zeros_like, state.critic.online) for _ in range(2))
    (last,) = [name for name, module in target.items() if module.get("b", np.zeros(0)).shape == (3,)]
    target[last]["b"] = jnp.array([-90.0, -90.0, 90.0])
    state = state._replace(critic=state.critic._replace(online=online, target=target))
    batch = Transition(
        *(jnp.ones((2, 3)), jnp.zeros((2, 2)), jnp.zeros(2), jnp.array([0.5, 0.0])),
        *(jnp.ones((2, 3)), jnp.zeros((2, 2)), jnp.zeros(2, bool)),
    )
    after, output = jax.jit(core.update)(state, batch)
    # Half on 0 and half on 1 for the first, all on 0 for the second: log 3 of cross-entropy each, and this gradient.
    np.testing.assert_allclose(output.metrics["loss_critic"], np.log(3), rtol=1e-6)
    np.testing.assert_allclose(output.metrics["q_value"], 0.0, atol=1e-6)
    moved = np.sign(np.round(after.critic.online[last]["b"], 6))
    np.testing.assert_array_equal(moved, [-1.0, 1.0, -1.0])  # chances 1/3 each, targets 0, 3/4 and 1/4 on average


@pytest.mark.parametrize("critic", ["scalar", "other"])
def test_a_critic_without_a_distribution_is_refused(critic):
    with pytest.raises(ValueError, match="critic must be mixture or categorical"):
        d4pg.Config(critic=critic)
