"""HCA's learner: hindsight learns which action led where, and from nothing else."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import hca
from acme_agents.core import errors
from acme_agents.core.interfaces import ActorContext
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Step, Unroll

SPEC = EnvironmentSpec(ArraySpec((3,)), ArraySpec((), "int32", 2))


def _batch(told: bool) -> Unroll:
    """Episodes of one action and two steps: the second state is 1 or 2 for action 0 or 1 if `told`, and 1 otherwise.

    An unroll has two episodes, whose final observation, which looks like state 0, is a row of its own; the first
    action of each is another one.
    """
    actions = np.array([[0, 0, 0, 1, 0, 0], [1, 0, 0, 0, 0, 0]])
    states = np.where(np.arange(6) % 3 == 1, 1 + told * np.roll(actions, 1, axis=1), 0)
    last = np.broadcast_to(np.arange(6) % 3 == 2, (2, 6))
    agent = hca.make(CONFIG)
    params = agent.learner(SPEC).params(agent.learner(SPEC).init(jax.random.PRNGKey(0)))
    actor = agent.actor(SPEC, ActorContext(False))
    extras = actor.select_action(params, jnp.ones(3), actor.init(jax.random.PRNGKey(0)))[2]
    extras = jax.tree.map(lambda x: jnp.broadcast_to(x, (2, 6)), extras)
    discount = jnp.asarray(np.broadcast_to(np.where(np.arange(6) % 3 == 1, 0.0, 1.0), (2, 6)), jnp.float32)
    steps = Step(
        jnp.eye(3)[states],
        jnp.asarray(actions, jnp.int32),
        jnp.zeros((2, 6)),
        discount,
        jnp.asarray(last),
        extras,
    )
    return Unroll(steps, jnp.zeros(2, jnp.int32))


CONFIG = hca.Config(
    torso_layers=(8,),
    hindsight_layers=(16, 16),
    unroll_length=5,
    batch_size=2,
    learning_rate=0.0,
    hindsight_learning_rate=0.03,
    normalise_observations=False,
    normalise_rewards=False,
)


@pytest.mark.long
def test_hindsight_learns_which_action_led_to_a_state() -> None:
    """Of a uniform policy's action the later state says log 2 nats where it depends on it, and nothing elsewhere.

    Each episode has one pair of a step and a later state that counts, because it is over for good after that.
    """
    learner = hca.make(CONFIG).learner(SPEC)
    update = jax.jit(learner.update)
    for told, gain in ((True, np.log(2.0)), (False, 0.0)):
        state, batch = learner.init(jax.random.PRNGKey(0)), _batch(told)
        for _ in range(60):
            state, output = update(state, batch)
        np.testing.assert_allclose(output.metrics["hindsight_gain"], gain, atol=0.03)


def test_what_is_not_for_hca_is_one_sentence() -> None:
    continuous = dataclasses.replace(SPEC, action=ArraySpec((2,)))
    with pytest.raises(errors.UserError, match="HCA needs discrete actions, and this environment has continuous ones"):
        hca.make(CONFIG).learner(continuous)
    with pytest.raises(errors.UserError, match="outcome must be state or return, not 'action'"):
        hca.Config(outcome="action")  # type: ignore[arg-type]
