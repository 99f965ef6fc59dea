"""V-MPO's learner: advantages of a batch of unrolls, and several gradient steps on all of it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.agents.mpo import losses as mpo
from acme_agents.agents.vmpo import losses, networks
from acme_agents.agents.vmpo.config import Config
from acme_agents.agents.vmpo.losses import Duals
from acme_agents.agents.vmpo.networks import ActorParams, Networks
from acme_agents.core import laws, masks, normalising, returns, running, training
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.running import Moments
from acme_agents.core.types import Array, EnvironmentSpec, Key, Params, Unroll


class TrainingState(NamedTuple):
    """Everything that an update changes."""

    network: Params
    target: Params  # of the policy that acts
    duals: Duals
    optimizers: Any  # the states of the network's and the duals' optimisers
    steps: Array  # [] int32, updates done
    observations: Any  # `Moments` of each leaf of an observation
    returns: Moments  # of discounted returns so far


def make_learner(config: Config, nets: Networks, spec: EnvironmentSpec) -> LearnerCore:
    """Makes the learner's functions; their state is a `TrainingState`."""
    optimizer = training.clipped_adam(config.learning_rate, config.max_gradient_norm)
    dual_optimizer = optax.adam(config.dual_learning_rate)
    is_discrete = spec.action.num_values is not None
    epsilons = (config.epsilon_policy,) if is_discrete else (config.epsilon_mean, config.epsilon_stddev)

    def init(key: Key) -> TrainingState:
        network = nets.init(key)
        size = 1 if is_discrete else spec.action.shape[0]
        alphas = tuple(jnp.full(size, config.init_log_alpha, jnp.float32) for _ in epsilons)
        duals = Duals(jnp.float32(config.init_log_temperature), alphas)
        return TrainingState(
            network=network,
            target=jax.tree.map(jnp.copy, network),
            duals=duals,
            optimizers=(optimizer.init(network), dual_optimizer.init(duals)),
            steps=jnp.int32(0),
            observations=normalising.init_moments(spec, enabled=config.normalise_observations),
            returns=running.init(()),
        )

    def update(state: TrainingState, batch: Unroll) -> tuple[TrainingState, UpdateOutput]:
        steps, valid = batch.steps, ~batch.steps.last[:, :-1]  # [B, T + 1], [B, T]
        reward, scale, moments = normalising.rewards(
            state.returns, steps, gamma=config.discount, enabled=config.normalise_rewards
        )
        seen = normalising.normalise(steps.observation, normalising.scale_of(state.observations, spec))
        target_law = _acted(networks.unroll(nets, state.target, seen, batch).law)
        value = networks.unroll(nets, state.network, seen, batch).value  # [B, T + 1]
        advantage = returns.generalised_advantages(
            reward, steps.discount[:, :-1], value, valid, gamma=config.discount, trace_decay=config.trace_decay
        )
        value_target = advantage + value[:, :-1]
        action = (steps.action if is_discrete else steps.extras.action)[:, :-1]

        def loss(network: Params, duals: Duals) -> tuple[Array, dict[str, Array]]:
            outputs = networks.unroll(nets, network, seen, batch)
            law = _acted(outputs.law)
            policy_loss, metrics = losses.vmpo_loss(
                duals,
                nets.law.log_prob(law, action).reshape(-1),
                tuple(kl.reshape(-1, kl.shape[-1]) for kl in losses.policy_kls(target_law, law)),
                advantage.reshape(-1),
                valid.reshape(-1),
                epsilon=config.epsilon,
                epsilons=epsilons,
            )
            value_loss = 0.5 * masks.mean_where(jnp.square(outputs.value[:, :-1] - value_target), valid)
            total = policy_loss + config.value_weight * value_loss
            entropy = masks.mean_where(nets.law.entropy(law), valid)
            return total, metrics | {"loss": total, "value_loss": value_loss, "entropy": entropy}

        def step(carry: Any, _: None) -> Any:
            network, duals, (network_state, dual_state) = carry
            (gradient, dual_gradient), metrics = jax.grad(loss, argnums=(0, 1), has_aux=True)(network, duals)
            metrics["gradient_norm"] = optax.global_norm(gradient)
            network, network_state = training.descend(network, gradient, network_state, optimizer)
            duals, dual_state = training.descend(duals, dual_gradient, dual_state, dual_optimizer)
            return (network, mpo.clip_duals(duals), (network_state, dual_state)), metrics

        carry = (state.network, state.duals, state.optimizers)
        (network, duals, optimizers), metrics = jax.lax.scan(step, carry, None, length=config.num_epochs)
        metrics = {name: jnp.mean(x) for name, x in metrics.items()}
        metrics["value"] = masks.mean_where(value[:, :-1], valid) * scale
        metrics["reward_scale"] = scale
        log_ratio = nets.law.log_prob(target_law, action) - steps.extras.log_prob[:, :-1]  # of the target's policy
        metrics["kl_acted"] = laws.kl_from_acted(log_ratio, valid)

        # After the steps: what they see of an observation is what the actor saw.
        number = state.steps + 1
        state = TrainingState(
            network=network,
            target=optax.periodic_update(network, state.target, number, config.target_update_period),
            duals=duals,
            optimizers=optimizers,
            steps=number,
            observations=normalising.add_to_moments(state.observations, steps.observation),
            returns=moments,
        )
        return state, UpdateOutput(metrics)

    def params(state: TrainingState) -> ActorParams:
        return ActorParams(state.target, normalising.scale_of(state.observations, spec))

    return LearnerCore(init, update, params)


def _acted(law: Any) -> Any:
    """The law of the rows in which there may be an action: all but the last, [B, T]."""
    return jax.tree.map(lambda x: x[:, :-1], law)
