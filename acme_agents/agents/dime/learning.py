"""DiME's learner: one update of the critics, the policy and the dual variables."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.agents.dime import losses, preferences
from acme_agents.agents.dime.config import Config
from acme_agents.agents.dime.networks import Networks
from acme_agents.agents.mpo import losses as mpo
from acme_agents.core import distributions, errors, teaching, training
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.training import Trained
from acme_agents.core.types import Array, Key, Observation, Params, Transition


class TrainingState(NamedTuple):
    """Everything that an update changes. The leaves of the critics' parameters have a leading K."""

    policy: Trained
    critics: Trained
    duals: mpo.Duals
    dual_optimizer: optax.OptState
    key: Key


def make_learner(
    config: Config, networks: Networks, num_dimensions: int, teacher: teaching.Teacher | None = None
) -> LearnerCore:
    """Makes the learner's functions for actions of `num_dimensions`.

    Raises:
      UserError: the behaviour is a teacher's, and there is none.
    """
    if config.behaviour == "teacher" and teacher is None:
        raise errors.UserError('behaviour "teacher" needs a teacher to imitate: give --teacher RUN_DIR.')
    value_head, num_objectives = networks.value_head, networks.num_objectives
    optimizer = training.clipped_adam(config.learning_rate, config.max_gradient_norm)
    # An optimiser each: the gradient of an objective with large rewards must not clip those of the others.
    critic_optimizers = optax.GradientTransformation(jax.vmap(optimizer.init), jax.vmap(optimizer.update))
    dual_optimizer = optax.adam(config.dual_learning_rate)

    def init(key: Key) -> TrainingState:
        policy_key, critic_key, key = jax.random.split(key, 3)
        num_experts = losses.num_experts(config.method, num_objectives)
        duals = mpo.Duals(
            log_temperature=jnp.full(num_experts, config.init_log_temperature, jnp.float32),
            log_penalty_temperature=jnp.float32(config.init_log_temperature),
            log_alpha_mean=jnp.full(num_dimensions, config.init_log_alpha_mean, jnp.float32),
            log_alpha_stddev=jnp.full(num_dimensions, config.init_log_alpha_stddev, jnp.float32),
        )
        return TrainingState(
            policy=training.init(networks.policy.init(policy_key), optimizer),
            critics=training.init(networks.critics.init(critic_key), critic_optimizers),
            duals=duals,
            dual_optimizer=dual_optimizer.init(duals),
            key=key,
        )

    def proposals(
        key: Key, state: TrainingState, observation: Observation, preference: Array, num_actions: int
    ) -> tuple[Array, Any]:
        """Actions of the target policy, [N, B, A], and the target critics' values of them, [K, N, B]."""
        target = networks.policy.apply(state.policy.target, observation, preference)
        actions = distributions.sample(key, target, num_actions)
        evaluate = jax.vmap(networks.critics.apply, (None, None, 0, None), out_axes=1)
        return actions, evaluate(state.critics.target, observation, actions, preference)

    def critic_loss(
        critics: Params, batch: Transition, preference: Array, next_value: Any
    ) -> tuple[Array, dict[str, Array]]:
        value = networks.critics.apply(critics, batch.observation, batch.action, preference)
        rewards = batch.reward.reshape(-1, num_objectives)  # [B, K]
        each = jax.vmap(value_head.loss, (0, 1, None, 0))(value, rewards, batch.discount, next_value)
        loss, q_value = jnp.mean(each, axis=1), jnp.mean(value_head.mean(value), axis=1)  # [K]
        metrics = {f"loss_critic_{k}": loss[k] for k in range(num_objectives)}
        metrics |= {f"q_value_{k}": q_value[k] for k in range(num_objectives)}
        return jnp.sum(loss), metrics

    def make_behaviour(
        key: Key, state: TrainingState, batch: Transition, preference: Array, q_values: Array
    ) -> losses.Behaviour | None:
        if config.behaviour == "none":
            return None
        if config.behaviour == "teacher":
            assert teacher is not None
            action = jax.lax.stop_gradient(teacher.act(key, batch.observation))
            return losses.Behaviour(action, jnp.ones(action.shape[0]))
        if config.behaviour == "bc":
            return losses.Behaviour(batch.action, jnp.ones(batch.action.shape[0]))
        value = networks.critics.apply(state.critics.target, batch.observation, batch.action, preference)
        advantage = losses.advantage(value_head.mean(value), q_values, preference)
        factor = losses.advantage_weights(advantage, config.advantage_temperature)
        return losses.Behaviour(batch.action, factor)

    def policy_loss(
        policy: Params,
        duals: mpo.Duals,
        state: TrainingState,
        batch: Transition,
        actions: Array,
        q_values: Array,
        preference: Array,
        behaviour: losses.Behaviour | None,
    ) -> tuple[Array, dict[str, Array]]:
        return losses.dime_loss(
            duals,
            networks.policy.apply(policy, batch.observation, preference),
            networks.policy.apply(state.policy.target, batch.observation, preference),
            actions,
            q_values,
            preference,
            behaviour,
            method=config.method,
            epsilon=config.epsilon,
            epsilon_penalty=config.epsilon_penalty,
            epsilon_mean=config.epsilon_mean,
            epsilon_stddev=config.epsilon_stddev,
        )

    def update(state: TrainingState, batch: Transition) -> tuple[TrainingState, UpdateOutput]:
        preference_key, next_key, action_key, behaviour_key, key = jax.random.split(state.key, 5)
        batch_size = batch.discount.shape[0]
        if config.conditioned:
            preference = preferences.sample(preference_key, batch_size, networks.preference.shape[0])
        else:
            preference = jnp.broadcast_to(networks.preference, (batch_size, *networks.preference.shape))  # [B, M]

        # As in MPO, the policy improves where actions are taken: at all states of an episode alike but its final one.
        actions, value = proposals(action_key, state, batch.observation, preference, config.num_actions)
        q_values = value_head.mean(value)  # [K, N, B]
        _, next_value = proposals(next_key, state, batch.next_observation, preference, config.num_bootstrap_actions)
        behaviour = make_behaviour(behaviour_key, state, batch, preference, q_values)

        if config.fit_temperature:
            improved = losses.experts(config.method, q_values, preference, config.epsilon)
            is_new = state.critics.steps % config.target_update_period == 0
            fitted = jax.vmap(mpo.fit_temperature, (0, 0, 0, None))(
                state.duals.log_temperature, improved.q_values, improved.epsilon, is_new
            )
            state = state._replace(duals=state.duals._replace(log_temperature=fitted))

        critic_grad, critic_metrics = jax.grad(critic_loss, has_aux=True)(
            state.critics.online, batch, preference, next_value
        )
        (policy_grad, dual_grad), policy_metrics = jax.grad(policy_loss, argnums=(0, 1), has_aux=True)(
            state.policy.online, state.duals, state, batch, actions, q_values, preference, behaviour
        )

        duals, dual_state = training.descend(state.duals, dual_grad, state.dual_optimizer, dual_optimizer)
        state = TrainingState(
            policy=training.step(state.policy, policy_grad, optimizer, config.target_update_period),
            critics=training.step(state.critics, critic_grad, critic_optimizers, config.target_update_period),
            duals=mpo.clip_duals(duals),
            dual_optimizer=dual_state,
            key=key,
        )
        norms = {
            "gradient_norm_policy": optax.global_norm(policy_grad),
            "gradient_norm_critic": optax.global_norm(critic_grad),
        }
        return state, UpdateOutput(metrics=critic_metrics | policy_metrics | norms)

    return LearnerCore(init=init, update=update, params=lambda state: state.policy.online)
