"""HCA's learner: one gradient step on a batch of unrolls, for the agent's network and for hindsight."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.agents.hca import losses
from acme_agents.agents.hca.config import Config
from acme_agents.agents.hca.losses import Futures
from acme_agents.agents.hca.networks import Networks, Outputs
from acme_agents.agents.ppo.networks import ActorParams
from acme_agents.core import discrete, laws, masks, normalising, running, training
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.running import Moments
from acme_agents.core.types import Array, EnvironmentSpec, Key, Observation, Params, Unroll


class Weights(NamedTuple):
    """The parameters of both networks, or the states of their optimisers."""

    agent: Params
    hindsight: Params


class TrainingState(NamedTuple):
    """Everything that an update changes."""

    weights: Weights
    optimizer: Weights
    observations: Any  # `Moments` of each leaf of an observation
    returns: Moments  # of discounted returns so far


class _Batch(NamedTuple):
    """What the losses need of B unrolls."""

    observation: Observation  # [B, T + 1, *O], normalised
    action: Array  # [B, T] int32
    reward: Array  # [B, T] float32, normalised; 0 in rows without a transition
    valid: Array  # [B, T] bool, whether the row has a transition


def make_learner(config: Config, nets: Networks, spec: EnvironmentSpec) -> LearnerCore:
    """Makes the learner's functions; their state is a `TrainingState`."""
    optimizers = Weights(
        training.clipped_adam(config.learning_rate, config.max_gradient_norm),
        training.clipped_adam(config.hindsight_learning_rate, config.max_gradient_norm),
    )
    condition = _on_states if config.outcome == "state" else _on_returns

    def init(key: Key) -> TrainingState:
        agent_key, hindsight_key = jax.random.split(key)
        weights = Weights(nets.agent.init(agent_key), nets.hindsight.init(hindsight_key))
        moments = normalising.init_moments(spec, enabled=config.normalise_observations)
        states = Weights(optimizers.agent.init(weights.agent), optimizers.hindsight.init(weights.hindsight))
        return TrainingState(weights, states, moments, running.init(()))

    def update(state: TrainingState, batch: Unroll) -> tuple[TrainingState, UpdateOutput]:
        steps, valid = batch.steps, ~batch.steps.last[:, :-1]  # [B, T + 1], [B, T]
        reward, scale, moments = normalising.rewards(
            state.returns, steps, gamma=config.discount, enabled=config.normalise_rewards
        )
        seen = normalising.normalise(steps.observation, normalising.scale_of(state.observations, spec))
        rows = _Batch(seen, jnp.where(valid, steps.action[:, :-1], 0), reward, valid)

        def loss(weights: Weights) -> tuple[Array, dict[str, Array]]:
            outputs = nets.agent.apply(weights.agent, seen)
            log_policy = jax.nn.log_softmax(outputs.logits[:, :-1])
            value = outputs.value[:, :-1]
            found = losses.futures(
                reward,
                steps.discount[:, :-1],
                jax.lax.stop_gradient(outputs.value),
                valid,
                gamma=config.discount,
            )
            credited, metrics = condition(config, nets, weights.hindsight, outputs, log_policy, found, rows)
            value_loss = 0.5 * masks.mean_where(jnp.square(found.returns - value), valid)
            entropy = masks.mean_where(-jnp.sum(jnp.exp(log_policy) * log_policy, axis=-1), valid)
            total = credited + config.value_weight * value_loss - config.entropy_weight * entropy
            log_ratio = discrete.select(log_policy, rows.action) - steps.extras.log_prob[:, :-1]
            return total, metrics | {
                "loss": total,
                "value_loss": value_loss,
                "entropy": entropy,
                "value": masks.mean_where(value, valid) * scale,
                "kl_acted": laws.kl_from_acted(log_ratio, valid),
            }

        gradient, metrics = jax.grad(loss, has_aux=True)(state.weights)
        metrics |= {"gradient_norm": optax.global_norm(gradient.agent), "reward_scale": scale}
        changed = [
            training.descend(*each) for each in zip(state.weights, gradient, state.optimizer, optimizers, strict=True)
        ]
        weights, states = (Weights(*each) for each in zip(*changed, strict=True))
        observations = normalising.add_to_moments(state.observations, steps.observation)
        return TrainingState(weights, states, observations, moments), UpdateOutput(metrics)

    def params(state: TrainingState) -> ActorParams:
        return ActorParams(state.weights.agent, normalising.scale_of(state.observations, spec))

    return LearnerCore(init, update, params)


def _on_states(
    config: Config,
    nets: Networks,
    hindsight: Params,
    outputs: Outputs,
    log_policy: Array,
    found: Futures,
    rows: _Batch,
) -> tuple[Array, dict[str, Array]]:
    """The losses of policy, hindsight and reward model, given all later states, and metrics."""
    fixed = jax.lax.stop_gradient(log_policy)  # Hindsight learns what an outcome adds to the policy.
    logits = nets.hindsight.apply(hindsight, rows.observation, fixed, ())
    log_hindsight = jax.nn.log_softmax(logits)  # [B, T, T + 1, A]
    model = outputs.reward[:, :-1]
    credit = losses.state_credit(fixed, log_hindsight, model, found, max_ratio=config.max_ratio)
    policy_loss = losses.all_action_loss(log_policy, credit, rows.valid)
    hindsight_loss = losses.state_hindsight_loss(log_hindsight, rows.action, found.weight)
    unaware = losses.state_hindsight_loss(
        jnp.broadcast_to(fixed[:, :, None], log_hindsight.shape), rows.action, found.weight
    )
    reward_error = rows.reward - discrete.select(model, rows.action)
    reward_loss = 0.5 * masks.mean_where(jnp.square(reward_error), rows.valid)
    return policy_loss + hindsight_loss + config.reward_weight * reward_loss, {
        "policy_loss": policy_loss,
        "hindsight_loss": hindsight_loss,
        "hindsight_gain": unaware - hindsight_loss,
        "reward_loss": reward_loss,
    }


def _on_returns(
    config: Config,
    nets: Networks,
    hindsight: Params,
    outputs: Outputs,
    log_policy: Array,
    found: Futures,
    rows: _Batch,
) -> tuple[Array, dict[str, Array]]:
    """The losses of policy and hindsight, given the return, and metrics."""
    value = jax.lax.stop_gradient(outputs.value[:, :-1])
    outcome = losses.bin_of(found.returns - value, config.num_bins, config.max_error)
    fixed = jax.lax.stop_gradient(log_policy)
    first = jax.tree.map(lambda x: x[:, :-1], rows.observation)
    logits = nets.hindsight.apply(hindsight, first, fixed, outcome)
    log_hindsight = discrete.select(jax.nn.log_softmax(logits), rows.action)  # [B, T]
    log_prob = discrete.select(log_policy, rows.action)
    advantage = losses.return_advantage(log_prob, log_hindsight, found.returns, value, max_ratio=config.max_ratio)
    policy_loss = -masks.mean_where(jax.lax.stop_gradient(advantage) * log_prob, rows.valid)
    hindsight_loss = -masks.mean_where(log_hindsight, rows.valid)
    return policy_loss + hindsight_loss, {
        "policy_loss": policy_loss,
        "hindsight_loss": hindsight_loss,
        "hindsight_gain": -masks.mean_where(discrete.select(fixed, rows.action), rows.valid) - hindsight_loss,
    }
