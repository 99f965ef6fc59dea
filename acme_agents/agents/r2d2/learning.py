"""R2D2's learner: one update of the network, and the batch's new priorities."""

import jax
import jax.numpy as jnp

from acme_agents.agents.r2d2 import losses
from acme_agents.agents.r2d2.config import Config
from acme_agents.agents.r2d2.networks import Inputs, Networks, inputs_of
from acme_agents.core import discrete, importance, masks, recurrent, returns, training
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.types import Array, Params, Sequence


def make_learner(config: Config, networks: Networks) -> LearnerCore:
    """Makes the learner's functions; their state is a `training.Trained`."""

    def first_state(batch: Sequence) -> recurrent.State:
        """The LSTM's state before the first row."""
        if config.initial_state == "stored":
            return jax.tree.map(lambda x: x[:, 0], batch.steps.extras)
        return recurrent.zero_state(batch.num_steps.shape[0], config.lstm_size)

    def online_q_values(online: Params, inputs: Inputs, state: recurrent.State, begins: Array) -> Array:
        """The values at all rows, [B, T, A]; no gradient goes back from the trace into the burn-in.

        Where a sequence begins its episode, `begins` [B] bool, there is no burn-in: it goes all the way.
        """
        if not config.burn_in_length:
            return networks.unroll(online, inputs, state)[0]
        burn_in = jax.tree.map(lambda x: x[:, : config.burn_in_length], inputs)
        trace = jax.tree.map(lambda x: x[:, config.burn_in_length :], inputs)
        burn_in_values, state = networks.unroll(online, burn_in, state)
        state = jax.tree.map(lambda x: jnp.where(begins[:, None], x, jax.lax.stop_gradient(x)), state)
        trace_values, _ = networks.unroll(online, trace, state)
        return jnp.concatenate([burn_in_values, trace_values], axis=1)

    def loss(online: Params, target: Params, batch: Sequence) -> tuple[Array, UpdateOutput]:
        inputs, state = inputs_of(batch, networks.num_actions), first_state(batch)
        q_values = online_q_values(online, inputs, state, batch.episode_step == 0)
        target_q_values, _ = networks.unroll(target, inputs, state)
        rewards = returns.clip(batch.steps.reward, config.max_abs_reward)
        errors = losses.temporal_differences(
            q_values,
            target_q_values,
            batch.steps.action,
            rewards,
            batch.steps.discount,
            batch.num_steps,
            gamma=config.discount,
            n=config.n_step,
            rescaling=config.value_rescaling,
        )  # [B, T - 1]
        counts = losses.learnt_from(
            batch.num_steps, batch.episode_step, num_rows=rewards.shape[1], burn_in=config.burn_in_length
        )
        weights = importance.weights(batch.sample_info, config.importance_exponent)
        total = losses.squared_loss(errors, counts, weights)
        taken = discrete.select(q_values, batch.steps.action)[:, :-1]
        metrics = {
            "loss": total,
            "q_value": masks.mean_where(taken, counts),
            "td_error": masks.mean_where(jnp.abs(errors), counts),
            "transitions": jnp.sum(counts, dtype=jnp.float32),
            "importance_weight": jnp.mean(weights),
        }
        return total, UpdateOutput(metrics, importance.sequence_priorities(errors, counts, config.max_priority_share))

    optimizer = training.clipped_adam(config.learning_rate, config.max_gradient_norm, epsilon=config.adam_epsilon)
    return training.learner(networks.init, loss, optimizer, config.target_update_period)
