"""CRR's learner: one update of critic and policy."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.agents.crr import losses
from acme_agents.agents.crr.config import Config
from acme_agents.agents.crr.networks import ActorParams, Networks
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.types import Action, Array, Key, Observation, Params, Transition


class TrainingState(NamedTuple):
    """Everything that an update changes."""

    policy: Params
    critic: Params
    target_policy: Params
    target_critic: Params
    policy_optimizer: optax.OptState
    critic_optimizer: optax.OptState
    steps: Array  # [] int32, updates done
    key: Key


def make_learner(config: Config, networks: Networks) -> LearnerCore:
    """Makes the learner's functions."""
    policy_head, value_head = networks.policy.head, networks.value_head
    policy_optimizer, critic_optimizer = (
        optax.chain(optax.clip_by_global_norm(config.max_gradient_norm), optax.adam(learning_rate))
        for learning_rate in (config.policy_learning_rate, config.critic_learning_rate)
    )

    def init(key: Key) -> TrainingState:
        policy_key, critic_key, key = jax.random.split(key, 3)
        policy, critic = networks.policy.init(policy_key), networks.init_critic(critic_key)
        return TrainingState(
            policy=policy,
            critic=critic,
            # Copies: the runtime donates the state to the update, and a buffer can be donated once.
            target_policy=jax.tree.map(jnp.copy, policy),
            target_critic=jax.tree.map(jnp.copy, critic),
            policy_optimizer=policy_optimizer.init(policy),
            critic_optimizer=critic_optimizer.init(critic),
            steps=jnp.int32(0),
            key=key,
        )

    def values(critic: Params, observation: Observation, actions: Action) -> Any:
        """The critic at N actions of each state, [N, B, A]: batch shape [N, B]."""
        return jax.vmap(networks.critic, (None, None, 0))(critic, observation, actions)

    def bootstrap(state: TrainingState, key: Key, batch: Transition) -> tuple[Any, Array]:
        """The target critic at the next actions, batch shape [N, B], and which transitions have one, [B]."""
        if config.bootstrap == "sarsa":
            next_actions, counts = batch.next_action[None], losses.has_target(batch.discount, batch.next_last)
        else:
            target = networks.policy.apply(state.target_policy, batch.next_observation)
            next_actions = policy_head.sample(key, target, config.num_bootstrap_actions)
            counts = jnp.ones_like(batch.next_last)
        return values(state.target_critic, batch.next_observation, next_actions), counts

    def critic_loss(
        critic: Params, batch: Transition, next_value: Any, counts: Array
    ) -> tuple[Array, tuple[Array, dict[str, Array]]]:
        value = networks.critic(critic, batch.observation, batch.action)
        loss = losses.mean_where(value_head.loss(value, batch.reward, batch.discount, next_value), counts)
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
            state.critic, batch, next_value, counts
        )
        policy_grad, policy_metrics = jax.grad(policy_loss, has_aux=True)(
            state.policy, action_key, state.critic, batch, q_value
        )

        critic_updates, new_critic_optimizer = critic_optimizer.update(critic_grad, state.critic_optimizer)
        policy_updates, new_policy_optimizer = policy_optimizer.update(policy_grad, state.policy_optimizer)
        critic = optax.apply_updates(state.critic, critic_updates)
        policy = optax.apply_updates(state.policy, policy_updates)
        steps = state.steps + 1

        state = TrainingState(
            policy=policy,
            critic=critic,
            target_policy=optax.periodic_update(policy, state.target_policy, steps, config.target_update_period),
            target_critic=optax.periodic_update(critic, state.target_critic, steps, config.target_update_period),
            policy_optimizer=new_policy_optimizer,
            critic_optimizer=new_critic_optimizer,
            steps=steps,
            key=key,
        )
        return state, UpdateOutput(metrics=critic_metrics | policy_metrics)

    def params(state: TrainingState) -> ActorParams:
        return ActorParams(state.policy, state.critic if config.evaluation == "cwp" else ())

    return LearnerCore(init=init, update=update, params=params)
