"""PPO's learner: advantages of a batch of unrolls, and several passes over its rows in minibatches."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.agents.ppo import losses
from acme_agents.agents.ppo.config import Config
from acme_agents.agents.ppo.networks import ActorParams, Networks
from acme_agents.core import computing, masks, normalising, returns, running, training
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.running import Moments
from acme_agents.core.types import Array, EnvironmentSpec, Key, Observation, Params, Unroll


class Weights(NamedTuple):
    """The parameters of both networks."""

    policy: Params
    value: Params


class TrainingState(NamedTuple):
    """Everything that an update changes."""

    weights: Weights
    optimizer: optax.OptState
    observations: Any  # `Moments` of each leaf of an observation
    returns: Moments  # of discounted returns so far
    key: Key


class _Rows(NamedTuple):
    """What a gradient step needs of N rows."""

    observation: Observation  # [N, *O], normalised
    action: Array  # [N, *A], as it was drawn
    log_prob: Array  # [N] float32, when it was drawn
    advantage: Array  # [N] float32
    value: Array  # [N] float32, before the update
    target: Array  # [N] float32, of the value
    valid: Array  # [N] bool, whether the row has a transition


# `(log_ratio, advantage) -> loss, metrics`: [B] float32 each, of each row of a minibatch.
PolicyLoss = Callable[[Array, Array], tuple[Array, dict[str, Array]]]


def clipped_loss(config: Config) -> PolicyLoss:
    """PPO's loss of the policy."""

    def loss(log_ratio: Array, advantage: Array) -> tuple[Array, dict[str, Array]]:
        clipped = jnp.abs(jnp.exp(log_ratio) - 1.0) > config.clip
        return losses.clipped_surrogate(log_ratio, advantage, config.clip), {"clipped": clipped.astype(jnp.float32)}

    return loss


def make_learner(config: Config, nets: Networks, spec: EnvironmentSpec, policy_loss: PolicyLoss) -> LearnerCore:
    """Makes the learner's functions; their state is a `TrainingState`."""
    optimizer = _optimizer(config)
    is_discrete = spec.action.num_values is not None

    def init(key: Key) -> TrainingState:
        policy_key, value_key, key = jax.random.split(key, 3)
        weights = Weights(nets.policy.init(policy_key), nets.value.init(value_key))
        moments = normalising.init_moments(spec, enabled=config.normalise_observations)
        return TrainingState(weights, optimizer.init(weights), moments, running.init(()), key)

    def loss(weights: Weights, rows: _Rows) -> tuple[Array, dict[str, Array]]:
        law = nets.policy.apply(weights.policy, rows.observation)
        log_ratio = jnp.where(rows.valid, nets.law.log_prob(law, rows.action) - rows.log_prob, 0.0)
        advantage = losses.standardised(rows.advantage, rows.valid) if config.normalise_advantages else rows.advantage
        value = nets.value.apply(weights.value, rows.observation)

        def mean(x: Array) -> Array:
            return masks.mean_where(x, rows.valid)

        row_loss, row_metrics = policy_loss(log_ratio, advantage)
        surrogate_loss = mean(row_loss)
        value_loss = mean(losses.value_loss(value, rows.value, rows.target, config.value_clip))
        entropy = mean(nets.law.entropy(law))
        total = surrogate_loss + config.value_weight * value_loss - config.entropy_weight * entropy
        return total, {name: mean(x) for name, x in row_metrics.items()} | {
            "loss": total,
            "policy_loss": surrogate_loss,
            "value_loss": value_loss,
            "entropy": entropy,
            # Schulman's estimate of the KL divergence of the new policy from the one that acted, never negative.
            "kl": mean(jnp.exp(log_ratio) - 1.0 - log_ratio),
        }

    def step(carry: tuple[Weights, optax.OptState], rows: _Rows) -> Any:
        weights, state = carry
        gradient, metrics = jax.grad(loss, has_aux=True)(weights, rows)
        metrics["gradient_norm"] = optax.global_norm(gradient)
        return training.descend(weights, gradient, state, optimizer), metrics

    def update(state: TrainingState, batch: Unroll) -> tuple[TrainingState, UpdateOutput]:
        steps, valid = batch.steps, ~batch.steps.last[:, :-1]  # [B, T + 1], [B, T]
        reward, scale, moments = normalising.rewards(
            state.returns, steps, gamma=config.discount, enabled=config.normalise_rewards
        )
        seen = normalising.normalise(steps.observation, normalising.scale_of(state.observations, spec))
        value = nets.value.apply(state.weights.value, seen)  # [B, T + 1]
        advantage = returns.generalised_advantages(
            reward, steps.discount[:, :-1], value, valid, gamma=config.discount, trace_decay=config.trace_decay
        )
        first = jax.tree.map(lambda x: x[:, :-1], seen)
        action = steps.action if is_discrete else steps.extras.action
        rows = _Rows(
            observation=first,
            action=action[:, :-1],
            log_prob=steps.extras.log_prob[:, :-1],
            advantage=advantage,
            value=value[:, :-1],
            target=advantage + value[:, :-1],
            valid=valid,
        )
        key, order_key = jax.random.split(state.key)
        minibatches = computing.divided(_minibatches(rows, order_key, config), axis=1)
        (weights, optimizer_state), metrics = jax.lax.scan(step, (state.weights, state.optimizer), minibatches)
        # After the passes: what they see of an observation is what the actor saw.
        observations = normalising.add_to_moments(state.observations, steps.observation)
        metrics = {name: jnp.mean(x) for name, x in metrics.items()}
        metrics["value"] = masks.mean_where(value[:, :-1], valid) * scale
        metrics["reward_scale"] = scale
        return TrainingState(weights, optimizer_state, observations, moments, key), UpdateOutput(metrics)

    def params(state: TrainingState) -> ActorParams:
        return ActorParams(state.weights.policy, normalising.scale_of(state.observations, spec))

    return LearnerCore(init, update, params)


def _optimizer(config: Config) -> optax.GradientTransformation:
    """Adam of clipped gradients, its learning rate annealed if configured; it counts gradient steps."""
    rate: Any = config.learning_rate
    if config.annealing_updates is not None:
        num_steps = config.annealing_updates * config.num_epochs * config.num_minibatches
        rate = optax.linear_schedule(config.learning_rate, 0.0, num_steps)
    return training.clipped_adam(rate, config.max_gradient_norm, epsilon=config.adam_epsilon)


def _minibatches(rows: _Rows, key: Key, config: Config) -> _Rows:
    """[B, T] rows in another order for each epoch, in minibatches: [epochs x minibatches, N, ...]."""
    number = rows.valid.size
    orders = jax.vmap(lambda key: jax.random.permutation(key, number))(jax.random.split(key, config.num_epochs))
    orders = orders.reshape(config.num_epochs * config.num_minibatches, -1)
    return jax.tree.map(lambda x: x.reshape(number, *x.shape[2:])[orders], rows)
