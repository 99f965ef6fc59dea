"""Qsarsa's learner: first a SARSA estimate of the behaviour's values, then TD3 that is kept near it."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.agents.crr import losses as crr
from acme_agents.agents.qsarsa import losses
from acme_agents.agents.qsarsa.config import Config
from acme_agents.agents.td3 import learning as td3
from acme_agents.agents.td3.networks import Networks
from acme_agents.core import training
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.training import Trained
from acme_agents.core.types import Action, Array, Key, Observation, Params, Transition

Metrics = dict[str, Array]


class TrainingState(NamedTuple):
    """Everything that an update changes; `sarsa` is the estimate, one critic."""

    td3: td3.TrainingState
    sarsa: Trained


Part = Callable[[TrainingState, Transition], tuple[TrainingState, Metrics]]


def make_learner(config: Config, networks: Networks) -> LearnerCore:
    """Makes the learner's functions."""
    optimizer = optax.adam(config.critic_learning_rate)

    def init(key: Key) -> TrainingState:
        td3_key, sarsa_key = jax.random.split(key)
        sarsa = training.init(networks.critic.init(sarsa_key), optimizer)
        return TrainingState(td3.init(config, networks, td3_key), sarsa)

    def sarsa_loss(sarsa: Params, target: Params, batch: Transition) -> tuple[Array, Metrics]:
        q_tm1 = networks.critic.apply(sarsa, batch.observation, batch.action)
        q_t = networks.critic.apply(target, batch.next_observation, batch.next_action)
        counts = crr.has_target(batch.discount, batch.next_last)
        loss = losses.sarsa_loss(q_tm1, batch.reward, batch.discount, q_t, counts)
        return loss, {"loss_sarsa": loss, "sarsa_value": jnp.mean(q_tm1)}

    def update_sarsa(sarsa: Trained, batch: Transition) -> tuple[Trained, Metrics]:
        gradient, metrics = jax.grad(sarsa_loss, has_aux=True)(sarsa.online, sarsa.target, batch)
        online, state = training.descend(sarsa.online, gradient, sarsa.optimizer, optimizer)
        target = training.follow(sarsa.target, online, config.target_rate)
        metrics["gradient_norm_sarsa"] = optax.global_norm(gradient)
        return Trained(online, target, state, sarsa.steps + 1), metrics

    def objectives(sarsa: Params) -> td3.Objectives:
        own = td3.objectives(networks)

        def critics(
            critics: Params, batch: Transition, next_action: Action, target: Array
        ) -> tuple[Array, Array, Metrics]:
            q_tm1 = networks.critics.apply(critics, batch.observation, batch.action)
            q_sarsa = networks.critic.apply(sarsa, batch.observation, batch.action)
            next_q = networks.critics.apply(critics, batch.next_observation, next_action)
            next_q_sarsa = networks.critic.apply(sarsa, batch.next_observation, next_action)

            is_used = batch.discount > 0.0  # A state after a termination has no value to be near to.
            weights = jnp.ones_like(target)
            if config.trusted_gap is not None:
                weights = jnp.where(is_used, losses.trust(next_q, next_q_sarsa, config.trusted_gap), 1.0)
            loss = (
                losses.td_loss(q_tm1, target, weights)
                + config.in_weight * losses.near_estimate(q_tm1, q_sarsa, jnp.ones_like(is_used))
                + config.out_weight * losses.near_estimate(next_q, next_q_sarsa, is_used)
            )
            metrics = {
                "gap_in": jnp.mean(losses.distance(q_tm1, q_sarsa)),
                "gap_out": jnp.mean(losses.distance(next_q, next_q_sarsa)),
                "bootstrap_weight": jnp.mean(weights),
            }
            return loss, q_tm1, metrics

        def value(critics: Params, observation: Observation, action: Action) -> Array:
            q_value = own.value(critics, observation, action)
            return q_value + config.actor_weight * networks.critic.apply(sarsa, observation, action)

        return td3.Objectives(critics, value)

    def improve(state: TrainingState, batch: Transition) -> tuple[TrainingState, Metrics]:
        updated, output = td3.update(config, networks, objectives(state.sarsa.online), state.td3, batch)
        return state._replace(td3=updated), output.metrics

    def estimate(state: TrainingState, batch: Transition) -> tuple[TrainingState, Metrics]:
        sarsa, metrics = update_sarsa(state.sarsa, batch)
        return state._replace(sarsa=sarsa), metrics

    def update(state: TrainingState, batch: Transition) -> tuple[TrainingState, UpdateOutput]:
        if config.sarsa_updates is None:
            state, metrics = estimate(state, batch)
            state, others = improve(state, batch)
            return state, UpdateOutput(metrics | others)
        is_first = state.sarsa.steps < config.sarsa_updates
        state, metrics = jax.lax.cond(is_first, *alone(estimate, improve, state, batch), state, batch)
        return state, UpdateOutput(metrics)

    return LearnerCore(init=init, update=update, params=lambda state: td3.params(state.td3))


def alone(first: Part, second: Part, state: TrainingState, batch: Transition) -> tuple[Part, Part]:
    """Two parts of an update of which one is done: each reports the metrics of the other too, as zeros."""

    def completed(part: Part, other: Part) -> Part:
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(other, state, batch)[1])

        def with_zeros(state: TrainingState, batch: Transition) -> tuple[TrainingState, Metrics]:
            state, metrics = part(state, batch)
            return state, zeros | metrics

        return with_zeros

    return completed(first, second), completed(second, first)
