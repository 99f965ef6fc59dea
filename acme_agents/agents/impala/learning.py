"""IMPALA's learner: one gradient step on a batch of unrolls that an older policy acted in."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.agents.impala import losses
from acme_agents.agents.impala.config import Config
from acme_agents.agents.vmpo import networks
from acme_agents.agents.vmpo.networks import ActorParams, Networks
from acme_agents.core import laws, masks, normalising, returns, running, training
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.running import Moments
from acme_agents.core.types import Array, EnvironmentSpec, Key, Params, Unroll


class TrainingState(NamedTuple):
    """Everything that an update changes."""

    network: Params
    optimizer: optax.OptState
    observations: Any  # `Moments` of each leaf of an observation
    returns: Moments  # of discounted returns so far


def make_learner(config: Config, nets: Networks, spec: EnvironmentSpec) -> LearnerCore:
    """Makes the learner's functions; their state is a `TrainingState`."""
    optimizer = training.clipped_adam(config.learning_rate, config.max_gradient_norm)
    is_discrete = spec.action.num_values is not None

    def init(key: Key) -> TrainingState:
        network = nets.init(key)
        moments = normalising.init_moments(spec, enabled=config.normalise_observations)
        return TrainingState(network, optimizer.init(network), moments, running.init(()))

    def update(state: TrainingState, batch: Unroll) -> tuple[TrainingState, UpdateOutput]:
        steps, valid = batch.steps, ~batch.steps.last[:, :-1]  # [B, T + 1], [B, T]
        reward, scale, moments = normalising.rewards(
            state.returns, steps, gamma=config.discount, enabled=config.normalise_rewards
        )
        seen = normalising.normalise(steps.observation, normalising.scale_of(state.observations, spec))
        action = (steps.action if is_discrete else steps.extras.action)[:, :-1]

        def loss(network: Params) -> tuple[Array, dict[str, Array]]:
            outputs = networks.unroll(nets, network, seen, batch)
            law = jax.tree.map(lambda x: x[:, :-1], outputs.law)
            log_prob = nets.law.log_prob(law, action)
            log_ratio = jnp.where(valid, log_prob - steps.extras.log_prob[:, :-1], 0.0)
            trace = returns.v_trace(
                reward,
                steps.discount[:, :-1],
                outputs.value,
                valid,
                log_ratio,
                gamma=config.discount,
                trace_decay=config.trace_decay,
                max_ratio=config.max_ratio,
                max_trace_ratio=config.max_trace_ratio,
            )
            value = outputs.value[:, :-1]
            total, metrics = losses.impala_loss(
                log_prob,
                value,
                nets.law.entropy(law),
                trace,
                valid,
                value_weight=config.value_weight,
                entropy_weight=config.entropy_weight,
            )
            metrics["value"] = masks.mean_where(value, valid) * scale
            metrics["kl_acted"] = laws.kl_from_acted(log_ratio, valid)
            return total, metrics

        gradient, metrics = jax.grad(loss, has_aux=True)(state.network)
        metrics |= {"gradient_norm": optax.global_norm(gradient), "reward_scale": scale}
        network, optimizer_state = training.descend(state.network, gradient, state.optimizer, optimizer)
        observations = normalising.add_to_moments(state.observations, steps.observation)
        return TrainingState(network, optimizer_state, observations, moments), UpdateOutput(metrics)

    def params(state: TrainingState) -> ActorParams:
        return ActorParams(state.network, normalising.scale_of(state.observations, spec))

    return LearnerCore(init, update, params)
