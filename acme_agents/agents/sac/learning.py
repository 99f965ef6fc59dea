"""SAC's learner: an update of the critics, and of policy and temperature."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.agents.sac import losses
from acme_agents.agents.sac.config import Config
from acme_agents.agents.sac.networks import Networks
from acme_agents.core import policies, training
from acme_agents.core.actors import ActorParams
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.training import Trained
from acme_agents.core.types import Array, Key, Params, Transition

_OF_POLICY = ("loss_policy", "entropy", "gradient_norm_policy")  # metrics of the updates that the policy has


class Policy(NamedTuple):
    """Policy and temperature in training; neither has a target network."""

    params: Params
    optimizer: optax.OptState
    log_temperature: Array  # []
    temperature_optimizer: optax.OptState


class TrainingState(NamedTuple):
    """Everything that an update changes."""

    policy: Policy
    critics: Trained
    key: Key


def make_learner(config: Config, networks: Networks, num_dimensions: int) -> LearnerCore:
    """Makes the learner's functions for actions of `num_dimensions`."""
    policy_optimizer = optax.adam(config.policy_learning_rate)
    critic_optimizer = optax.adam(config.critic_learning_rate)
    temperature_optimizer = optax.adam(config.temperature_learning_rate)
    target_entropy = -float(num_dimensions) if config.target_entropy is None else config.target_entropy

    def init(key: Key) -> TrainingState:
        policy_key, critic_key, key = jax.random.split(key, 3)
        params, log_temperature = networks.policy.init(policy_key), jnp.log(jnp.float32(config.init_temperature))
        policy = Policy(
            params, policy_optimizer.init(params), log_temperature, temperature_optimizer.init(log_temperature)
        )
        return TrainingState(policy, training.init(networks.critics.init(critic_key), critic_optimizer), key)

    def critic_target(key: Key, state: TrainingState, batch: Transition) -> Array:
        subset_key, action_key, dropout_key = jax.random.split(key, 3)
        target = state.critics.target
        if config.num_target_critics < config.num_critics:
            subset = jax.random.permutation(subset_key, config.num_critics)[: config.num_target_critics]
            target = jax.tree.map(lambda x: x[subset], target)
        gaussian = networks.policy.apply(state.policy.params, batch.next_observation)
        action, log_prob = policies.tanh_gaussian_draw(action_key, gaussian)
        q_t = networks.critics.apply(target, batch.next_observation, action, dropout_key)
        return losses.target(batch.reward, batch.discount, q_t, log_prob, jnp.exp(state.policy.log_temperature))

    def critic_loss(critics: Params, key: Key, batch: Transition, target: Array) -> tuple[Array, Array]:
        q_tm1 = networks.critics.apply(critics, batch.observation, batch.action, key)
        return losses.critic_loss(q_tm1, target), q_tm1

    def policy_loss(
        params: Params, key: Key, log_temperature: Array, critics: Params, batch: Transition
    ) -> tuple[Array, Array]:
        action_key, dropout_key = jax.random.split(key)
        gaussian = networks.policy.apply(params, batch.observation)
        action, log_prob = policies.tanh_gaussian_draw(action_key, gaussian)
        q_values = networks.critics.apply(critics, batch.observation, action, dropout_key)
        return losses.policy_loss(q_values, log_prob, jnp.exp(log_temperature), config.policy_value), log_prob

    def update_policy(policy: Policy, key: Key, critics: Params, batch: Transition) -> tuple[Policy, dict[str, Array]]:
        (loss, log_prob), gradient = jax.value_and_grad(policy_loss, has_aux=True)(
            policy.params, key, policy.log_temperature, critics, batch
        )
        temperature_gradient = jax.grad(losses.temperature_loss)(policy.log_temperature, log_prob, target_entropy)
        params, optimizer = training.descend(policy.params, gradient, policy.optimizer, policy_optimizer)
        log_temperature, temperature_state = training.descend(
            policy.log_temperature, temperature_gradient, policy.temperature_optimizer, temperature_optimizer
        )
        # Times the period, so that the mean over all updates is that of those that have a policy's update.
        found = (loss, -log_prob.mean(), optax.global_norm(gradient))
        metrics = {name: value * config.policy_update_period for name, value in zip(_OF_POLICY, found, strict=True)}
        return Policy(params, optimizer, log_temperature, temperature_state), metrics

    def update(state: TrainingState, batch: Transition) -> tuple[TrainingState, UpdateOutput]:
        target_key, critic_key, policy_key, key = jax.random.split(state.key, 4)
        critics = state.critics

        target = critic_target(target_key, state, batch)
        gradient, q_tm1 = jax.grad(critic_loss, has_aux=True)(critics.online, critic_key, batch, target)
        online, optimizer = training.descend(critics.online, gradient, critics.optimizer, critic_optimizer)
        followed = training.follow(critics.target, online, config.target_rate)
        critics = Trained(online, followed, optimizer, critics.steps + 1)

        if config.policy_update_period == 1:
            policy, policy_metrics = update_policy(state.policy, policy_key, critics.online, batch)
        else:
            policy, policy_metrics = jax.lax.cond(
                critics.steps % config.policy_update_period == 0,
                update_policy,
                lambda policy, *_: (policy, dict.fromkeys(_OF_POLICY, jnp.float32(0.0))),
                *(state.policy, policy_key, critics.online, batch),
            )
        metrics = {
            "loss_critic": losses.critic_loss(q_tm1, target),
            "q_value": jnp.mean(q_tm1),
            "temperature": jnp.exp(policy.log_temperature),
            "gradient_norm_critic": optax.global_norm(gradient),
        }
        metrics |= policy_metrics
        return TrainingState(policy, critics, key), UpdateOutput(metrics)

    return LearnerCore(
        init=init, update=update, params=lambda state: ActorParams(state.policy.params, state.critics.steps)
    )
