"""CRR's learner: one update of critic and policy."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.agents.crr import losses
from acme_agents.agents.crr.config import Config
from acme_agents.agents.crr.networks import ActorParams, Networks
from acme_agents.core import masks, training
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.training import Trained
from acme_agents.core.types import Action, Array, Key, Observation, Params, Transition


class TrainingState(NamedTuple):
    """Everything that an update changes."""

    policy: Trained
    critic: Trained
    key: Key


def make_learner(config: Config, networks: Networks) -> LearnerCore:
    """Makes the learner's functions."""
    policy_head, value_head = networks.policy.head, networks.value_head
    policy_optimizer, critic_optimizer = (
        training.clipped_adam(learning_rate, config.max_gradient_norm)
        for learning_rate in (config.policy_learning_rate, config.critic_learning_rate)
    )

    def init(key: Key) -> TrainingState:
        policy_key, critic_key, key = jax.random.split(key, 3)
        policy = training.init(networks.policy.init(policy_key), policy_optimizer)
        critic = training.init(networks.critic.init(critic_key), critic_optimizer)
        return TrainingState(policy, critic, key)

    def values(critic: Params, observation: Observation, actions: Action) -> Any:
        """The critic at N actions of each state, [N, B, A]: batch shape [N, B]."""
        return jax.vmap(networks.critic.apply, (None, None, 0))(critic, observation, actions)

    def bootstrap(state: TrainingState, key: Key, batch: Transition) -> tuple[Any, Array]:
        """The target critic at the next actions, batch shape [N, B], and which transitions have one, [B]."""
        if config.bootstrap == "sarsa":
            next_actions, counts = batch.next_action[None], losses.has_target(batch.discount, batch.next_last)
        else:
            target = networks.policy.apply(state.policy.target, batch.next_observation)
            next_actions = policy_head.sample(key, target, config.num_bootstrap_actions)
            counts = jnp.ones_like(batch.next_last)
        return values(state.critic.target, batch.next_observation, next_actions), counts

    def critic_loss(
        critic: Params, batch: Transition, next_value: Any, counts: Array
    ) -> tuple[Array, tuple[Array, dict[str, Array]]]:
        value = networks.critic.apply(critic, batch.observation, batch.action)
        loss = masks.mean_where(value_head.loss(value, batch.reward, batch.discount, next_value), counts)
        q_value = value_head.mean(value)  # [B]
        return loss, (q_value, {"loss_critic": loss, "q_value": jnp.mean(q_value)})

    def policy_loss(
        policy: Params, key: Key, critic: Params, batch: Transition, q_value: Array
    ) -> tuple[Array, dict[str, Array]]:
        # The advantage is the online critic's, over actions of the online policy.
        distribution = networks.policy.apply(policy, batch.observation)
        actions = policy_head.sample(key, jax.lax.stop_gradient(distribution), config.num_action_samples)  # [m, B, A]
        q_samples = value_head.mean(values(critic, batch.observation, actions))  # [m, B]
        advantage = losses.advantage(q_value, q_samples, config.baseline)
        weights = losses.weights(advantage, config.weight, beta=config.beta, upper_bound=config.upper_bound)
        loss = losses.weighted_negative_log_likelihood(weights, policy_head.log_prob(distribution, batch.action))
        return loss, {
            "loss_policy": loss,
            "weight": jnp.mean(weights),
            "advantage": jnp.mean(advantage),
            "advantage_positive": jnp.mean(advantage > 0),
            "policy_stddev": jnp.mean(distribution.stddev),
        }

    def update(state: TrainingState, batch: Transition) -> tuple[TrainingState, UpdateOutput]:
        bootstrap_key, action_key, key = jax.random.split(state.key, 3)

        next_value, counts = bootstrap(state, bootstrap_key, batch)
        critic_grad, (q_value, critic_metrics) = jax.grad(critic_loss, has_aux=True)(
            state.critic.online, batch, next_value, counts
        )
        policy_grad, policy_metrics = jax.grad(policy_loss, has_aux=True)(
            state.policy.online, action_key, state.critic.online, batch, q_value
        )

        state = TrainingState(
            policy=training.step(state.policy, policy_grad, policy_optimizer, config.target_update_period),
            critic=training.step(state.critic, critic_grad, critic_optimizer, config.target_update_period),
            key=key,
        )
        norms = {
            "gradient_norm_policy": optax.global_norm(policy_grad),
            "gradient_norm_critic": optax.global_norm(critic_grad),
        }
        return state, UpdateOutput(metrics=critic_metrics | policy_metrics | norms)

    def params(state: TrainingState) -> ActorParams:
        return ActorParams(state.policy.online, state.critic.online if config.evaluation == "cwp" else ())

    return LearnerCore(init=init, update=update, params=params)
