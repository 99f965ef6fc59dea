"""DQN's learner: one update of the network, and the batch's new priorities."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.agents.dqn import losses
from acme_agents.agents.dqn.config import Config
from acme_agents.agents.dqn.networks import ActorParams, Networks
from acme_agents.core import discrete, priorities
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.types import Array, Key, Params, Transition


class TrainingState(NamedTuple):
    """Everything that an update changes; an update uses no chance."""

    online: Params
    target: Params
    optimizer: optax.OptState
    steps: Array  # [] int32, updates done


def make_learner(config: Config, networks: Networks) -> LearnerCore:
    """Makes the learner's functions."""
    optimizer = optax.chain(
        optax.clip_by_global_norm(config.max_gradient_norm), optax.adam(config.learning_rate, eps=config.adam_epsilon)
    )

    def init(key: Key) -> TrainingState:
        online = networks.init(key)
        # A copy: the runtime donates the state to the update, and a buffer can be donated once.
        return TrainingState(online, jax.tree.map(jnp.copy, online), optimizer.init(online), jnp.int32(0))

    def loss(online: Params, target: Params, batch: Transition) -> tuple[Array, tuple[Array, dict[str, Array]]]:
        q_tm1 = networks.q_values(online, batch.observation)
        q_t = networks.q_values(target, batch.next_observation)
        selector_t = networks.q_values(online, batch.next_observation) if config.double else q_t
        r_t = batch.reward
        if config.max_abs_reward is not None:
            r_t = jnp.clip(r_t, -config.max_abs_reward, config.max_abs_reward)
        errors = losses.temporal_differences(q_tm1, batch.action, r_t, batch.discount, q_t, selector_t)
        weights = jnp.ones(errors.shape)
        if batch.sample_info is not None:
            weights = priorities.importance_weights(batch.sample_info, config.importance_exponent)
        total = losses.weighted_loss(errors, weights, config.huber)
        metrics = {
            "loss": total,
            "q_value": jnp.mean(discrete.select(q_tm1, batch.action)),
            "td_error": jnp.mean(jnp.abs(errors)),
            "importance_weight": jnp.mean(weights),
        }
        return total, (jnp.abs(errors), metrics)

    def update(state: TrainingState, batch: Transition) -> tuple[TrainingState, UpdateOutput]:
        gradient, (new_priorities, metrics) = jax.grad(loss, has_aux=True)(state.online, state.target, batch)
        updates, optimizer_state = optimizer.update(gradient, state.optimizer)
        online = optax.apply_updates(state.online, updates)
        steps = state.steps + 1
        target = optax.periodic_update(online, state.target, steps, config.target_update_period)
        metrics["gradient_norm"] = optax.global_norm(gradient)
        # Where transitions are drawn uniformly nobody asks for priorities.
        output = UpdateOutput(metrics, new_priorities if config.priority_exponent else None)
        return TrainingState(online, target, optimizer_state, steps), output

    return LearnerCore(init=init, update=update, params=lambda state: ActorParams(state.online, state.steps))
