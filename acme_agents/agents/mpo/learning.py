"""MPO's learner: one update of critic, policy and dual variables."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.agents.mpo import losses
from acme_agents.agents.mpo.config import Config
from acme_agents.agents.mpo.networks import Networks
from acme_agents.core import distributions, teaching, training
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.training import Trained
from acme_agents.core.types import Action, Array, Key, Observation, Params, Transition


class TrainingState(NamedTuple):
    """Everything that an update changes."""

    policy: Trained
    critic: Trained
    duals: losses.Duals
    dual_optimizer: optax.OptState
    key: Key


def proposals(
    networks: Networks, key: Key, policy: Params, critic: Params, observation: Observation, num_actions: int
) -> tuple[Array, Any]:
    """Actions of a policy, [N, B, A], and a critic's values of them, of batch shape [N, B]."""
    actions = distributions.sample(key, networks.policy.apply(policy, observation), num_actions)
    return actions, jax.vmap(networks.critic.apply, (None, None, 0))(critic, observation, actions)


def critic_loss(
    networks: Networks, critic: Params, batch: Transition, next_value: Any
) -> tuple[Array, dict[str, Array]]:
    """A critic's loss, [], and its metrics; `next_value` is the target critic's, of batch shape [N, B]."""
    value = networks.critic.apply(critic, batch.observation, batch.action)
    loss = jnp.mean(networks.value_head.loss(value, batch.reward, batch.discount, next_value))
    return loss, {"loss_critic": loss, "q_value": jnp.mean(networks.value_head.mean(value))}


def make_learner(
    config: Config, networks: Networks, num_dimensions: int, teacher: teaching.Teacher | None = None
) -> LearnerCore:
    """Makes the learner's functions for actions of `num_dimensions`.

    Raises:
      UserError: there is a teacher and nothing to learn from it, or the other way round.
    """
    teaching.check(config, teacher)
    optimizer = training.clipped_adam(config.learning_rate, config.max_gradient_norm)
    dual_optimizer = optax.adam(config.dual_learning_rate)

    def init(key: Key) -> TrainingState:
        policy_key, critic_key, key = jax.random.split(key, 3)
        duals = losses.Duals(
            log_temperature=jnp.float32(config.init_log_temperature),
            log_penalty_temperature=jnp.float32(config.init_log_temperature),
            log_alpha_mean=jnp.full(num_dimensions, config.init_log_alpha_mean, jnp.float32),
            log_alpha_stddev=jnp.full(num_dimensions, config.init_log_alpha_stddev, jnp.float32),
        )
        return TrainingState(
            policy=training.init(networks.policy.init(policy_key), optimizer),
            critic=training.init(networks.critic.init(critic_key), optimizer),
            duals=duals,
            dual_optimizer=dual_optimizer.init(duals),
            key=key,
        )

    def q(critic: Params, batch: Transition, action: Action) -> Array:
        return networks.value_head.mean(networks.critic.apply(critic, batch.observation, action))

    def ask(state: TrainingState, batch: Transition) -> teaching.Lesson | None:
        if teacher is None:
            return None
        own_action = networks.policy.apply(state.policy.online, batch.observation).mean
        value = functools.partial(q, state.critic.online, batch)
        return teaching.lesson(config, teacher, batch.observation, batch.action, own_action, value, state.critic.steps)

    def taught_critic_loss(
        critic: Params, batch: Transition, next_value: Any, lesson: teaching.Lesson | None
    ) -> tuple[Array, dict[str, Array]]:
        loss, metrics = critic_loss(networks, critic, batch, next_value)
        taught, said = teaching.critic_loss(config, functools.partial(q, critic, batch), batch.action, lesson)
        return loss + taught, metrics | said

    def policy_loss(
        policy: Params,
        duals: losses.Duals,
        state: TrainingState,
        batch: Transition,
        actions: Array,
        q_values: Array,
        lesson: teaching.Lesson | None,
    ) -> tuple[Array, dict[str, Array]]:
        online = networks.policy.apply(policy, batch.observation)
        loss, metrics = losses.mpo_loss(
            duals,
            online,
            networks.policy.apply(state.policy.target, batch.observation),
            actions,
            q_values,
            epsilon=config.epsilon,
            epsilon_penalty=config.epsilon_penalty,
            epsilon_mean=config.epsilon_mean,
            epsilon_stddev=config.epsilon_stddev,
        )
        taught, said = teaching.policy_loss(config, online.mean, lesson)
        return loss + taught, metrics | said

    def update(state: TrainingState, batch: Transition) -> tuple[TrainingState, UpdateOutput]:
        action_key, next_key, key = jax.random.split(state.key, 3)

        # The policy improves where actions are taken: each step of an episode begins one transition, so all states
        # count alike and the final one, where nobody acts, does not. The bootstrap states leave out an episode's
        # first n, and are its final one n times.
        targets = state.policy.target, state.critic.target
        actions, value = proposals(networks, action_key, *targets, batch.observation, config.num_actions)
        q_values = networks.value_head.mean(value)  # [N, B]
        _, next_value = proposals(networks, next_key, *targets, batch.next_observation, config.num_bootstrap_actions)
        if config.fit_temperature:
            is_new = state.critic.steps % config.target_update_period == 0
            fitted = losses.fit_temperature(state.duals.log_temperature, q_values, config.epsilon, is_new)
            state = state._replace(duals=state.duals._replace(log_temperature=fitted))

        lesson = ask(state, batch)
        critic_grad, critic_metrics = jax.grad(taught_critic_loss, has_aux=True)(
            state.critic.online, batch, next_value, lesson
        )
        (policy_grad, dual_grad), policy_metrics = jax.grad(policy_loss, argnums=(0, 1), has_aux=True)(
            state.policy.online, state.duals, state, batch, actions, q_values, lesson
        )

        duals, dual_state = training.descend(state.duals, dual_grad, state.dual_optimizer, dual_optimizer)
        state = TrainingState(
            policy=training.step(state.policy, policy_grad, optimizer, config.target_update_period),
            critic=training.step(state.critic, critic_grad, optimizer, config.target_update_period),
            duals=losses.clip_duals(duals),
            dual_optimizer=dual_state,
            key=key,
        )
        norms = {
            "gradient_norm_policy": optax.global_norm(policy_grad),
            "gradient_norm_critic": optax.global_norm(critic_grad),
        }
        return state, UpdateOutput(metrics=critic_metrics | policy_metrics | norms)

    return LearnerCore(init=init, update=update, params=lambda state: state.policy.online)
