"""DDPG's learner, and D4PG's: one update of critic and policy, whatever the critic's kind."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.agents.ddpg import losses
from acme_agents.agents.ddpg.config import Config
from acme_agents.agents.ddpg.networks import Networks
from acme_agents.core import teaching, training
from acme_agents.core.actors import ActorParams
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.training import Trained
from acme_agents.core.types import Action, Array, Key, Params, Transition


class TrainingState(NamedTuple):
    """Everything that an update changes."""

    policy: Trained
    critic: Trained


def make_learner(config: Config, networks: Networks, teacher: teaching.Teacher | None = None) -> LearnerCore:
    """Makes the learner's functions.

    Raises:
      UserError: there is a teacher and nothing to learn from it, or the other way round.
    """
    teaching.check(config, teacher)
    value_head = networks.value_head
    optimizer = training.clipped_adam(config.learning_rate, config.max_gradient_norm)

    def init(key: Key) -> TrainingState:
        policy_key, critic_key = jax.random.split(key)
        policy = training.init(networks.policy.init(policy_key), optimizer)
        return TrainingState(policy, training.init(networks.critic.init(critic_key), optimizer))

    def q(critic: Params, batch: Transition, action: Action) -> Array:
        return value_head.mean(networks.critic.apply(critic, batch.observation, action))

    def ask(state: TrainingState, batch: Transition) -> teaching.Lesson | None:
        if teacher is None:
            return None
        own_action = networks.policy.apply(state.policy.online, batch.observation)
        value = functools.partial(q, state.critic.online, batch)
        return teaching.lesson(config, teacher, batch.observation, batch.action, own_action, value, state.critic.steps)

    def critic_loss(
        critic: Params, batch: Transition, next_value: Any, lesson: teaching.Lesson | None
    ) -> tuple[Array, dict[str, Array]]:
        value = networks.critic.apply(critic, batch.observation, batch.action)
        loss = jnp.mean(value_head.loss(value, batch.reward, batch.discount, next_value))
        metrics = {"loss_critic": loss, "q_value": jnp.mean(value_head.mean(value))}
        taught, said = teaching.critic_loss(config, functools.partial(q, critic, batch), batch.action, lesson)
        return loss + taught, metrics | said

    def policy_loss(
        policy: Params, critic: Params, batch: Transition, lesson: teaching.Lesson | None
    ) -> tuple[Array, dict[str, Array]]:
        action = networks.policy.apply(policy, batch.observation)
        loss = losses.policy_loss(functools.partial(q, critic, batch), action, config.max_action_gradient)
        taught, said = teaching.policy_loss(config, action, lesson)
        return loss + taught, said

    def update(state: TrainingState, batch: Transition) -> tuple[TrainingState, UpdateOutput]:
        next_action = networks.policy.apply(state.policy.target, batch.next_observation)
        next_value = networks.critic.apply(state.critic.target, batch.next_observation, next_action)
        next_value = jax.tree.map(lambda x: x[None], next_value)  # one action
        lesson = ask(state, batch)
        critic_grad, metrics = jax.grad(critic_loss, has_aux=True)(state.critic.online, batch, next_value, lesson)
        policy_grad, said = jax.grad(policy_loss, has_aux=True)(state.policy.online, state.critic.online, batch, lesson)
        state = TrainingState(
            policy=training.step(state.policy, policy_grad, optimizer, config.target_update_period),
            critic=training.step(state.critic, critic_grad, optimizer, config.target_update_period),
        )
        norms = {
            "gradient_norm_policy": optax.global_norm(policy_grad),
            "gradient_norm_critic": optax.global_norm(critic_grad),
        }
        return state, UpdateOutput(metrics | said | norms)

    return LearnerCore(
        init=init, update=update, params=lambda state: ActorParams(state.policy.online, state.policy.steps)
    )
