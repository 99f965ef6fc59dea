"""PMPO's learner: MPO's critic, and a policy that learns from preferences among its target's actions."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.agents.mpo import learning as mpo
from acme_agents.agents.mpo.networks import Networks
from acme_agents.agents.pmpo import losses
from acme_agents.agents.pmpo.config import Config
from acme_agents.core import training
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.training import Trained
from acme_agents.core.types import Array, Key, Params, Transition


class TrainingState(NamedTuple):
    """Everything that an update changes. The policy's target is the reference, and the actions are its."""

    policy: Trained
    critic: Trained
    key: Key


def make_learner(config: Config, networks: Networks) -> LearnerCore:
    """Makes the learner's functions."""
    optimizer = training.clipped_adam(config.learning_rate, config.max_gradient_norm)

    def init(key: Key) -> TrainingState:
        policy_key, critic_key, key = jax.random.split(key, 3)  # as BC and CRR: the same seed gives the same policy
        policy = training.init(networks.policy.init(policy_key), optimizer)
        critic = training.init(networks.critic.init(critic_key), optimizer)
        return TrainingState(policy, critic, key)

    def judged(
        state: TrainingState, batch: Transition, actions: Array, q_values: Array
    ) -> tuple[Array, losses.Preferences]:
        """The reference's actions, [N, B, A], and the preferences among them; the arguments are the target policy's."""
        baseline = jnp.mean(q_values, axis=0, keepdims=True)  # [1, B]
        if config.reference == "data":
            value = networks.critic.apply(state.critic.target, batch.observation, batch.action)
            actions, q_values = batch.action[None], networks.value_head.mean(value)[None]  # N = 1
        if config.preferences == "rank":
            return actions, losses.by_rank(q_values)
        if config.preferences == "advantage":
            return actions, losses.by_advantage(q_values - baseline)
        return actions, losses.Preferences(jnp.ones_like(q_values, bool), jnp.zeros_like(q_values, bool))

    def policy_loss(
        policy: Params, state: TrainingState, batch: Transition, actions: Array, preferences: losses.Preferences
    ) -> tuple[Array, dict[str, Array]]:
        is_known = config.reference == "target"
        return losses.pmpo_loss(
            networks.policy.apply(policy, batch.observation),
            networks.policy.apply(state.policy.target, batch.observation) if is_known else None,
            actions,
            preferences,
            alpha=config.alpha,
            beta=config.beta,
            beta_stddev=config.beta_stddev,
            kl=config.kl,
        )

    def update(state: TrainingState, batch: Transition) -> tuple[TrainingState, UpdateOutput]:
        action_key, next_key, key = jax.random.split(state.key, 3)
        targets = state.policy.target, state.critic.target

        # As in MPO, the policy improves where actions are taken: at all states of an episode alike but its final one.
        actions, value = mpo.proposals(networks, action_key, *targets, batch.observation, config.num_actions)
        actions, preferences = judged(state, batch, actions, networks.value_head.mean(value))
        _, next_value = mpo.proposals(
            networks, next_key, *targets, batch.next_observation, config.num_bootstrap_actions
        )

        critic_grad, critic_metrics = jax.grad(mpo.critic_loss, argnums=1, has_aux=True)(
            networks, state.critic.online, batch, next_value
        )
        policy_grad, policy_metrics = jax.grad(policy_loss, has_aux=True)(
            state.policy.online, state, batch, actions, preferences
        )

        state = TrainingState(
            policy=training.step(state.policy, policy_grad, optimizer, config.target_update_period),
            critic=training.step(state.critic, critic_grad, optimizer, config.target_update_period),
            key=key,
        )
        norms = {
            "gradient_norm_policy": optax.global_norm(policy_grad),
            "gradient_norm_critic": optax.global_norm(critic_grad),
        }
        return state, UpdateOutput(metrics=critic_metrics | policy_metrics | norms)

    return LearnerCore(init=init, update=update, params=lambda state: state.policy.online)
