"""TD3's learner: an update of both critics, and now and then one of the policy and the target networks."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.agents.td3 import losses
from acme_agents.agents.td3.config import Config
from acme_agents.agents.td3.networks import Networks
from acme_agents.core import training
from acme_agents.core.actors import ActorParams
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.training import Trained
from acme_agents.core.types import Array, Key, Params, Transition

_OF_POLICY = ("loss_policy", "gradient_norm_policy")  # metrics of the updates that the policy has


class TrainingState(NamedTuple):
    """Everything that an update changes."""

    policy: Trained
    critics: Trained
    key: Key


def make_learner(config: Config, networks: Networks) -> LearnerCore:
    """Makes the learner's functions."""
    policy_optimizer = optax.adam(config.policy_learning_rate)
    critic_optimizer = optax.adam(config.critic_learning_rate)

    def init(key: Key) -> TrainingState:
        policy_key, critic_key, key = jax.random.split(key, 3)
        policy = training.init(networks.policy.init(policy_key), policy_optimizer)
        return TrainingState(policy, training.init(networks.critics.init(critic_key), critic_optimizer), key)

    def critic_loss(critics: Params, batch: Transition, target: Array) -> tuple[Array, Array]:
        q_tm1 = networks.critics.apply(critics, batch.observation, batch.action)
        return losses.critic_loss(q_tm1, target), q_tm1

    def policy_loss(policy: Params, critics: Params, batch: Transition) -> Array:
        first = jax.tree.map(lambda x: x[0], critics)
        action = networks.policy.apply(policy, batch.observation)
        return -jnp.mean(networks.critic.apply(first, batch.observation, action))

    def update_policy(
        policy: Trained, critics: Trained, batch: Transition
    ) -> tuple[Trained, Trained, dict[str, Array]]:
        loss, gradient = jax.value_and_grad(policy_loss)(policy.online, critics.online, batch)
        online, optimizer = training.descend(policy.online, gradient, policy.optimizer, policy_optimizer)
        policy = Trained(
            online, training.follow(policy.target, online, config.target_rate), optimizer, policy.steps + 1
        )
        target = training.follow(critics.target, critics.online, config.target_rate)
        # Times the period, so that the mean over all updates is that of those that have them.
        metrics = {"loss_policy": loss, "gradient_norm_policy": optax.global_norm(gradient)}
        metrics = {name: value * config.policy_update_period for name, value in metrics.items()}
        return policy, critics._replace(target=target), metrics

    def update(state: TrainingState, batch: Transition) -> tuple[TrainingState, UpdateOutput]:
        noise_key, key = jax.random.split(state.key)
        policy, critics = state.policy, state.critics

        next_action = networks.policy.apply(policy.target, batch.next_observation)
        noise = config.target_stddev * jax.random.normal(noise_key, next_action.shape)
        next_action = losses.smoothed(next_action, noise, config.target_noise_bound)
        q_t = networks.critics.apply(critics.target, batch.next_observation, next_action)
        target = losses.target(batch.reward, batch.discount, q_t)
        gradient, q_tm1 = jax.grad(critic_loss, has_aux=True)(critics.online, batch, target)
        online, optimizer = training.descend(critics.online, gradient, critics.optimizer, critic_optimizer)
        critics = Trained(online, critics.target, optimizer, critics.steps + 1)

        policy, critics, policy_metrics = jax.lax.cond(
            critics.steps % config.policy_update_period == 0,
            update_policy,
            lambda policy, critics, batch: (policy, critics, dict.fromkeys(_OF_POLICY, jnp.float32(0.0))),
            *(policy, critics, batch),
        )
        metrics = {
            "loss_critic": losses.critic_loss(q_tm1, target),
            "q_value": jnp.mean(q_tm1),
            "q_difference": jnp.mean(jnp.abs(q_tm1[0] - q_tm1[1])),
            "gradient_norm_critic": optax.global_norm(gradient),
        }
        metrics |= policy_metrics
        return TrainingState(policy, critics, key), UpdateOutput(metrics)

    return LearnerCore(
        init=init, update=update, params=lambda state: ActorParams(state.policy.online, state.critics.steps)
    )
