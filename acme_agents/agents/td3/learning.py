"""TD3's learner: an update of both critics, and now and then one of the policy and the target networks."""

import functools
from collections.abc import Callable
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
from acme_agents.core.types import Action, Array, Key, Observation, Params, Transition

_OF_POLICY = ("loss_policy", "gradient_norm_policy")  # metrics of the updates that the policy has


class TrainingState(NamedTuple):
    """Everything that an update changes."""

    policy: Trained
    critics: Trained
    key: Key


class Objectives(NamedTuple):
    """What critics and policy learn; an agent that is built on TD3 has others.

    Attributes:
      critics: `(critics, batch, next_action [B, A], target [B]) -> (loss [], q_tm1 [2, B], metrics)`; the target was
        bootstrapped from the next action.
      value: `(critics, observation, action [B, A]) -> [B]`, which the policy climbs.
    """

    critics: Callable[[Params, Transition, Action, Array], tuple[Array, Array, dict[str, Array]]]
    value: Callable[[Params, Observation, Action], Array]


def make_learner(config: Config, networks: Networks) -> LearnerCore:
    """Makes the learner's functions."""
    return LearnerCore(
        init=functools.partial(init, config, networks),
        update=functools.partial(update, config, networks, objectives(networks)),
        params=params,
    )


def objectives(networks: Networks) -> Objectives:
    """TD3's own: the targets, and the first critic's value."""

    def critics(
        critics: Params, batch: Transition, next_action: Action, target: Array
    ) -> tuple[Array, Array, dict[str, Array]]:
        q_tm1 = networks.critics.apply(critics, batch.observation, batch.action)
        return losses.critic_loss(q_tm1, target), q_tm1, {}

    def value(critics: Params, observation: Observation, action: Action) -> Array:
        return networks.critic.apply(jax.tree.map(lambda x: x[0], critics), observation, action)

    return Objectives(critics, value)


def init(config: Config, networks: Networks, key: Key) -> TrainingState:
    """The state before the first update."""
    policy_key, critic_key, key = jax.random.split(key, 3)
    policy_optimizer, critic_optimizer = _optimizers(config)
    policy = training.init(networks.policy.init(policy_key), policy_optimizer)
    return TrainingState(policy, training.init(networks.critics.init(critic_key), critic_optimizer), key)


def params(state: TrainingState) -> ActorParams:
    """What an actor needs."""
    return ActorParams(state.policy.online, state.critics.steps)


def update(
    config: Config, networks: Networks, objectives: Objectives, state: TrainingState, batch: Transition
) -> tuple[TrainingState, UpdateOutput]:
    """One update of the critics, and every `policy_update_period` one of the policy and of all target networks."""
    policy_optimizer, critic_optimizer = _optimizers(config)
    noise_key, key = jax.random.split(state.key)
    policy, critics = state.policy, state.critics

    next_action = networks.policy.apply(policy.target, batch.next_observation)
    noise = config.target_stddev * jax.random.normal(noise_key, next_action.shape)
    next_action = losses.smoothed(next_action, noise, config.target_noise_bound)
    q_t = networks.critics.apply(critics.target, batch.next_observation, next_action)
    target = losses.target(batch.reward, batch.discount, q_t)

    def critic_loss(critics: Params) -> tuple[Array, dict[str, Array]]:
        loss, q_tm1, metrics = objectives.critics(critics, batch, next_action, target)
        return loss, metrics | {
            "loss_critic": loss,
            "q_value": jnp.mean(q_tm1),
            "q_difference": jnp.mean(jnp.abs(q_tm1[0] - q_tm1[1])),
        }

    gradient, metrics = jax.grad(critic_loss, has_aux=True)(critics.online)
    online, optimizer = training.descend(critics.online, gradient, critics.optimizer, critic_optimizer)
    critics = Trained(online, critics.target, optimizer, critics.steps + 1)

    def policy_loss(policy: Params, critics: Params) -> Array:
        action = networks.policy.apply(policy, batch.observation)
        q_value = objectives.value(critics, batch.observation, action)
        return losses.policy_loss(q_value, action, batch.action, config.behaviour_alpha)

    def update_policy(policy: Trained, critics: Trained) -> tuple[Trained, Trained, dict[str, Array]]:
        loss, gradient = jax.value_and_grad(policy_loss)(policy.online, critics.online)
        online, optimizer = training.descend(policy.online, gradient, policy.optimizer, policy_optimizer)
        policy = Trained(
            online, training.follow(policy.target, online, config.target_rate), optimizer, policy.steps + 1
        )
        target = training.follow(critics.target, critics.online, config.target_rate)
        # Times the period, so that the mean over all updates is that of those that have them.
        metrics = {"loss_policy": loss, "gradient_norm_policy": optax.global_norm(gradient)}
        metrics = {name: value * config.policy_update_period for name, value in metrics.items()}
        return policy, critics._replace(target=target), metrics

    policy, critics, policy_metrics = jax.lax.cond(
        critics.steps % config.policy_update_period == 0,
        update_policy,
        lambda policy, critics: (policy, critics, dict.fromkeys(_OF_POLICY, jnp.float32(0.0))),
        *(policy, critics),
    )
    metrics |= policy_metrics | {"gradient_norm_critic": optax.global_norm(gradient)}
    return TrainingState(policy, critics, key), UpdateOutput(metrics)


def _optimizers(config: Config) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
    """The policy's and the critics'."""
    return optax.adam(config.policy_learning_rate), optax.adam(config.critic_learning_rate)
