"""BC's learner: one step up the likelihood of the data's actions."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.agents.bc import losses
from acme_agents.agents.bc.config import Config
from acme_agents.agents.bc.networks import Policy
from acme_agents.core import training
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.types import Array, Key, Params, Transition


class TrainingState(NamedTuple):
    """Everything that an update changes."""

    policy: Params
    optimizer: optax.OptState


def make_learner(config: Config, policy: Policy) -> LearnerCore:
    """Makes the learner's functions."""
    optimizer = training.clipped_adam(config.learning_rate, config.max_gradient_norm)

    def init(key: Key) -> TrainingState:
        policy_key, _, _ = jax.random.split(key, 3)  # as CRR's: the same seed gives the same policy
        params = policy.init(policy_key)
        return TrainingState(params, optimizer.init(params))

    def loss(params: Params, batch: Transition) -> tuple[Array, dict[str, Array]]:
        distribution = policy.apply(params, batch.observation)
        loss = losses.negative_log_likelihood(policy.head.log_prob(distribution, batch.action))
        return loss, {"loss_policy": loss, "policy_stddev": jnp.mean(distribution.stddev)}

    def update(state: TrainingState, batch: Transition) -> tuple[TrainingState, UpdateOutput]:
        gradient, metrics = jax.grad(loss, has_aux=True)(state.policy, batch)
        state = TrainingState(*training.descend(state.policy, gradient, state.optimizer, optimizer))
        return state, UpdateOutput(metrics | {"gradient_norm": optax.global_norm(gradient)})

    return LearnerCore(init=init, update=update, params=lambda state: state.policy)
