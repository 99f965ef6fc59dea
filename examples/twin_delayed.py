"""TD3 in one file: twin critics, a delayed policy and smoothed targets (Fujimoto et al. 2018, arXiv 1802.09477)."""

import dataclasses
from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import optax

from acme_agents.core import actors, configs, heads, networks, specs, torsos, training
from acme_agents.core.experience import Transitions
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.types import Key


@dataclasses.dataclass(frozen=True)
class Config(configs.TwinCritics):
    """TD3 with its authors' numbers, beside those of `core.configs.TwinCritics`."""

    exploration_stddev: configs.NotNegative = 0.1
    """Standard deviation of the actor's noise, in units of the action."""
    target_stddev: configs.NotNegative = 0.2
    """Standard deviation of the noise that smooths the target policy, in units of the action."""
    target_noise_bound: configs.NotNegative = 0.5
    """Largest size of that noise, in units of the action."""
    policy_update_period: configs.PositiveInt = 2
    """Critic updates to one of the policy and of all target networks."""


class State(NamedTuple):
    """Everything that an update changes."""

    policy: training.Trained
    critics: training.Trained
    key: Key


@dataclasses.dataclass(frozen=True)
class TD3:
    config: Config

    def networks(self, spec):
        """The policy, [B, *O] to [B, A], and a critic, [B, *O] and [B, A] to [B]."""
        specs.needs_one_reward(spec, agent="TD3")
        num_dimensions, config = specs.num_dimensions(spec, agent="TD3"), self.config

        def policy(observation):
            features = torsos.relu_mlp(torsos.encode(observation, spec), config.policy_layers)
            return heads.deterministic(features, num_dimensions)

        def critic(observation, action):
            inputs = jnp.concatenate([torsos.encode(observation, spec), action], axis=-1)
            features = torsos.relu_mlp(inputs, config.critic_layers, layer_norm=config.critic_layer_norm)
            return jnp.squeeze(hk.Linear(1)(features), -1)

        observation, action = torsos.zeros_like(spec.observation), torsos.zeros_like(spec.action)
        return networks.make(policy, observation), networks.make(critic, observation, action)

    def learner(self, spec):
        config, (policy, critic) = self.config, self.networks(spec)
        critics = networks.ensemble(critic, 2)
        policy_optimizer, critic_optimizer = (
            optax.adam(rate) for rate in (config.policy_learning_rate, config.critic_learning_rate)
        )

        def init(key):
            policy_key, critic_key, key = jax.random.split(key, 3)
            return State(
                training.init(policy.init(policy_key), policy_optimizer),
                training.init(critics.init(critic_key), critic_optimizer),
                key,
            )

        def critic_loss(params, batch, target):
            q = critics.apply(params, batch.observation, batch.action)  # [2, B]
            return jnp.sum(jnp.mean(jnp.square(target[None] - q), axis=1)), q

        def policy_loss(params, critic_params, batch):
            first = jax.tree.map(lambda x: x[0], critic_params)
            return -jnp.mean(critic.apply(first, batch.observation, policy.apply(params, batch.observation)))

        def update_policy(actor, values, batch):
            loss, gradient = jax.value_and_grad(policy_loss)(actor.online, values.online, batch)
            online, optimizer = training.descend(actor.online, gradient, actor.optimizer, policy_optimizer)
            target = training.follow(actor.target, online, config.target_rate)
            values = values._replace(target=training.follow(values.target, values.online, config.target_rate))
            return training.Trained(online, target, optimizer, actor.steps + 1), values, loss

        def update(state, batch):
            noise_key, key = jax.random.split(state.key)
            actor, values = state.policy, state.critics
            action = policy.apply(actor.target, batch.next_observation)
            noise = config.target_stddev * jax.random.normal(noise_key, action.shape)
            noise = jnp.clip(noise, -config.target_noise_bound, config.target_noise_bound)
            q = critics.apply(values.target, batch.next_observation, jnp.clip(action + noise, -1.0, 1.0))
            target = batch.reward + batch.discount * jnp.min(q, axis=0)  # [B]

            (loss, q), gradient = jax.value_and_grad(critic_loss, has_aux=True)(values.online, batch, target)
            online, optimizer = training.descend(values.online, gradient, values.optimizer, critic_optimizer)
            values = training.Trained(online, values.target, optimizer, values.steps + 1)
            actor, values, loss_policy = jax.lax.cond(
                values.steps % config.policy_update_period == 0,
                update_policy,
                lambda actor, values, batch: (actor, values, jnp.float32(0.0)),
                *(actor, values, batch),
            )
            metrics = {"loss_critic": loss, "loss_policy": loss_policy, "q_value": jnp.mean(q)}
            return State(actor, values, key), UpdateOutput(metrics)

        return LearnerCore(init, update, lambda state: actors.ActorParams(state.policy.online, state.critics.steps))

    def actor(self, spec, context):
        policy, _ = self.networks(spec)
        return actors.deterministic(policy.apply, self.config.exploration_stddev, evaluation=context.evaluation)

    def replay(self, spec):
        return configs.replay_spec(self.config, Transitions(self.config.n_step, self.config.discount))


make = TD3
