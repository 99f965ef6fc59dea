"""DQN's learner: one update of the network, and the batch's new priorities."""

import jax.numpy as jnp

from acme_agents.agents.dqn import losses
from acme_agents.agents.dqn.config import Config
from acme_agents.agents.dqn.networks import ActorParams
from acme_agents.core import discrete, importance, returns, training
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.networks import Network
from acme_agents.core.types import Array, Params, Transition


def make_learner(config: Config, network: Network) -> LearnerCore:
    """Makes the learner's functions; their state is a `training.Trained`."""

    def loss(online: Params, target: Params, batch: Transition) -> tuple[Array, UpdateOutput]:
        q_tm1 = network.apply(online, batch.observation)
        q_t = network.apply(target, batch.next_observation)
        selector_t = network.apply(online, batch.next_observation) if config.double else q_t
        r_t = returns.clip(batch.reward, config.max_abs_reward)
        errors = losses.temporal_differences(q_tm1, batch.action, r_t, batch.discount, q_t, selector_t)
        weights = importance.weights(batch.sample_info, config.importance_exponent)
        total = losses.weighted_loss(errors, weights, config.huber)
        metrics = {
            "loss": total,
            "q_value": jnp.mean(discrete.select(q_tm1, batch.action)),
            "td_error": jnp.mean(jnp.abs(errors)),
            "importance_weight": jnp.mean(weights),
        }
        # Where transitions are drawn uniformly nobody asks for priorities.
        return total, UpdateOutput(metrics, jnp.abs(errors) if config.priority_exponent else None)

    optimizer = training.clipped_adam(config.learning_rate, config.max_gradient_norm, epsilon=config.adam_epsilon)
    core = training.learner(network.init, loss, optimizer, config.target_update_period)
    return core._replace(params=lambda state: ActorParams(state.online, state.steps))
