"""DDPG's learner, and D4PG's: one update of critic and policy, whatever the critic's kind."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.agents.ddpg import losses
from acme_agents.agents.ddpg.config import Config
from acme_agents.agents.ddpg.networks import Networks
from acme_agents.core import training
from acme_agents.core.actors import ActorParams
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.training import Trained
from acme_agents.core.types import Action, Array, Key, Params, Transition


class TrainingState(NamedTuple):
    """Everything that an update changes."""

    policy: Trained
    critic: Trained


def make_learner(config: Config, networks: Networks) -> LearnerCore:
    """Makes the learner's functions."""
    value_head = networks.value_head
    optimizer = training.clipped_adam(config.learning_rate, config.max_gradient_norm)

    def init(key: Key) -> TrainingState:
        policy_key, critic_key = jax.random.split(key)
        policy = training.init(networks.policy.init(policy_key), optimizer)
        return TrainingState(policy, training.init(networks.critic.init(critic_key), optimizer))

    def critic_loss(critic: Params, batch: Transition, next_value: Any) -> tuple[Array, dict[str, Array]]:
        value = networks.critic.apply(critic, batch.observation, batch.action)
        loss = jnp.mean(value_head.loss(value, batch.reward, batch.discount, next_value))
        return loss, {"loss_critic": loss, "q_value": jnp.mean(value_head.mean(value))}

    def policy_loss(policy: Params, critic: Params, batch: Transition) -> Array:
        def q(action: Action) -> Array:
            return value_head.mean(networks.critic.apply(critic, batch.observation, action))

        return losses.policy_loss(q, networks.policy.apply(policy, batch.observation), config.max_action_gradient)

    def update(state: TrainingState, batch: Transition) -> tuple[TrainingState, UpdateOutput]:
        next_action = networks.policy.apply(state.policy.target, batch.next_observation)
        next_value = networks.critic.apply(state.critic.target, batch.next_observation, next_action)
        next_value = jax.tree.map(lambda x: x[None], next_value)  # one action
        critic_grad, metrics = jax.grad(critic_loss, has_aux=True)(state.critic.online, batch, next_value)
        policy_grad = jax.grad(policy_loss)(state.policy.online, state.critic.online, batch)
        state = TrainingState(
            policy=training.step(state.policy, policy_grad, optimizer, config.target_update_period),
            critic=training.step(state.critic, critic_grad, optimizer, config.target_update_period),
        )
        norms = {
            "gradient_norm_policy": optax.global_norm(policy_grad),
            "gradient_norm_critic": optax.global_norm(critic_grad),
        }
        return state, UpdateOutput(metrics | norms)

    return LearnerCore(
        init=init, update=update, params=lambda state: ActorParams(state.policy.online, state.policy.steps)
    )
