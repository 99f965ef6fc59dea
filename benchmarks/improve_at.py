"""MPO whose policy improves at other states of a transition than `acme_agents.agents.mpo`'s: references to measure by.

`improve_at` says which, of a transition from o_t to its bootstrap state o_{t+m}:

  bootstrap  o_{t+m}, whose actions and values the critic's target needs too, as Acme's TF learner has it
  half       o_{t+m} in one half of the batch and o_t in the other
  both       o_t and o_{t+m}, as Acme's JAX learner has it
  taken      o_t alone, what `acme_agents.agents.mpo` does; here the target has `num_actions` actions of its own

As a module it offers what an agent does, so that `Experiment(agent="improve_at")` trains it.
"""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from acme_agents.agents import mpo
from acme_agents.agents.mpo import config as mpo_config
from acme_agents.agents.mpo import learning, losses, networks
from acme_agents.agents.mpo.networks import Networks
from acme_agents.core import distributions, training
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.types import Array, EnvironmentSpec, Observation, Params, Transition

__all__ = ["Config", "make"]


@dataclasses.dataclass(frozen=True)
class Config(mpo_config.Config):
    """MPO's, and where the policy improves."""

    improve_at: Literal["bootstrap", "half", "both", "taken"] = "bootstrap"
    """Which states of a transition."""


@dataclasses.dataclass(frozen=True)
class ImproveAt(mpo.MPO):
    """MPO with that choice."""

    config: Config

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""
        return _make_learner(self.config, networks.make_networks(self.config, spec), spec.action.shape[0])


make = ImproveAt


def _make_learner(config: Config, nets: Networks, num_dimensions: int) -> LearnerCore:
    """`mpo.learning.make_learner`, but for where the policy improves."""
    core, head = learning.make_learner(config, nets, num_dimensions), nets.value_head
    optimizer = training.clipped_adam(config.learning_rate, config.max_gradient_norm)
    dual_optimizer = optax.adam(config.dual_learning_rate)
    evaluate = jax.vmap(nets.critic.apply, (None, None, 0))

    def critic_loss(critic: Params, batch: Transition, next_value: Any) -> tuple[Array, dict[str, Array]]:
        value = nets.critic.apply(critic, batch.observation, batch.action)
        loss = jnp.mean(head.loss(value, batch.reward, batch.discount, next_value))
        return loss, {"loss_critic": loss, "q_value": jnp.mean(head.mean(value))}

    def policy_loss(
        policy: Params, duals: losses.Duals, target: Params, observation: Observation, actions: Array, q_values: Array
    ) -> tuple[Array, dict[str, Array]]:
        bounds = {name: getattr(config, name) for name in ("epsilon", "epsilon_penalty", "epsilon_mean")}
        online, target = nets.policy.apply(policy, observation), nets.policy.apply(target, observation)
        return losses.mpo_loss(duals, online, target, actions, q_values, epsilon_stddev=config.epsilon_stddev, **bounds)

    def update(state: learning.TrainingState, batch: Transition) -> tuple[learning.TrainingState, UpdateOutput]:
        taken_key, next_key, key = jax.random.split(state.key, 3)
        following = batch.next_observation
        actions = distributions.sample(next_key, nets.policy.apply(state.policy.target, following), config.num_actions)
        next_value = evaluate(state.critic.target, following, actions)
        observation, q_values = following, head.mean(next_value)
        if config.improve_at != "bootstrap":
            size = batch.discount.shape[0]
            first = size // 2 if config.improve_at == "half" else size  # so many transitions improve at o_t
            rest = {"half": size - first, "both": size, "taken": 0}[config.improve_at]  # and at o_{t+m}
            taken = jax.tree.map(lambda x: x[:first], batch.observation)
            taken_actions = distributions.sample(
                taken_key, nets.policy.apply(state.policy.target, taken), config.num_actions
            )
            taken_q_values = head.mean(evaluate(state.critic.target, taken, taken_actions))
            observation = jax.tree.map(lambda x, y: jnp.concatenate([x, y[size - rest :]]), taken, following)
            actions = jnp.concatenate([taken_actions, actions[:, size - rest :]], axis=1)
            q_values = jnp.concatenate([taken_q_values, q_values[:, size - rest :]], axis=1)

        critic_grad, critic_metrics = jax.grad(critic_loss, has_aux=True)(state.critic.online, batch, next_value)
        (policy_grad, dual_grad), policy_metrics = jax.grad(policy_loss, argnums=(0, 1), has_aux=True)(
            state.policy.online, state.duals, state.policy.target, observation, actions, q_values
        )
        duals, dual_state = training.descend(state.duals, dual_grad, state.dual_optimizer, dual_optimizer)
        state = learning.TrainingState(
            policy=training.step(state.policy, policy_grad, optimizer, config.target_update_period),
            critic=training.step(state.critic, critic_grad, optimizer, config.target_update_period),
            duals=losses.clip_duals(duals),
            dual_optimizer=dual_state,
            key=key,
        )
        return state, UpdateOutput(metrics=critic_metrics | policy_metrics)

    return core._replace(update=update)
