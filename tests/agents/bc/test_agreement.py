"""DiME(BC) at alpha 0 is BC with a Gaussian policy: their evaluations act alike, and a mixture's mode does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import bc, dime
from acme_agents.core.interfaces import ActorContext
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Transition

SPEC = EnvironmentSpec(ArraySpec((1,)), ArraySpec((1,)))
LAYERS, UPDATES, KEY = (16,), 1500, jax.random.PRNGKey(0)
OBSERVATIONS = jnp.array([-1.0, 0.0, 1.0])


def _batch():
    """At -1 and at 0 one mind, around -0.5 and 0; at 1 two, around -0.3 and 0.7, whose mean is 0.2."""
    rng = np.random.default_rng(0)
    observation = np.repeat(OBSERVATIONS, 64)
    centre = np.where(observation == 1, np.where(np.arange(192) % 2, 0.7, -0.3), 0.5 * np.minimum(observation, 0))
    noise = rng.normal(size=(3, 32))
    noise = np.concatenate([noise, -noise], axis=1).ravel()  # of mean 0 at each observation
    action = jnp.float32(centre + 0.05 * noise)[:, None]
    zeros = jnp.zeros(192)
    observation = jnp.asarray(observation)[:, None]
    return Transition(observation, action, zeros, zeros, observation, jnp.zeros_like(action), jnp.ones(192, bool))


def _evaluated(agent):
    """The deterministic actions of an agent that has learned, [3]."""
    learner, actor, batch = agent.learner(SPEC), agent.actor(SPEC, ActorContext(evaluation=True)), _batch()

    @jax.jit
    def run(state):
        state, _ = jax.lax.scan(lambda s, _: (learner.update(s, batch)[0], None), state, None, length=UPDATES)
        params = learner.params(state)
        return [actor.select_action(params, o[None], actor.init(KEY))[0][0] for o in OBSERVATIONS]

    return np.array(run(learner.init(KEY)))


@pytest.mark.slow
def test_bc_with_a_gaussian_and_dime_at_alpha_0_agree_and_bc_with_a_mixture_picks_a_mind():
    gaussian, mixture = (
        _evaluated(bc.make(bc.Config(policy=kind, policy_layers=LAYERS, num_policy_components=2, learning_rate=3e-3)))
        for kind in ("gaussian", "mixture")
    )
    config = dime.Config(
        behaviour="bc",
        preference=(0.0, 1.0),
        critic="scalar",
        policy_layers=LAYERS,
        critic_layers=(4,),
        num_actions=4,
        n_step=1,
        learning_rate=3e-3,
    )
    np.testing.assert_allclose(gaussian, [-0.5, 0.0, 0.2], atol=0.03)
    np.testing.assert_allclose(_evaluated(dime.make(config)), gaussian, atol=0.05)
    np.testing.assert_allclose(mixture[:2], gaussian[:2], atol=0.05)
    assert min(abs(mixture[2] - 0.7), abs(mixture[2] + 0.3)) < 0.05
