"""BYOL-Hindsight as a bonus: gradient steps of the model and, the other way, of the critic; and the rewards."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.core import masks, normalising, training
from acme_agents.core.types import Array, EnvironmentSpec, Key, Params, Stretch
from acme_agents.exploration.byol_explore import losses as explore
from acme_agents.exploration.byol_explore import networks as world
from acme_agents.exploration.byol_hindsight import losses, networks
from acme_agents.exploration.byol_hindsight.config import Config
from acme_agents.exploration.wrapping import Bonus


class Online(NamedTuple):
    """The parameters that make the losses small."""

    encoder: Params
    memory: Params
    generator: Params
    reconstructor: Params


class State(NamedTuple):
    """Everything that an update changes."""

    online: Online
    critic: Params  # makes L_inv large
    target: Params  # of the encoder alone
    optimizer: optax.OptState
    critic_optimizer: optax.OptState
    observations: Any  # `Moments` of each leaf of an observation
    scale: explore.Scale


class Losses(NamedTuple):
    """Of each prediction, [B, T, K] float32."""

    reconstruction: Array
    invariance: Array


def make_losses(config: Config, spec: EnvironmentSpec) -> Any:
    """Makes the networks, and the function that computes the losses.

    Returns:
      The world's networks, those of hindsight, and
      `(online, critic, target, seen [B, T + 1, *O], inputs, there, key) -> Losses`.
    """
    nets, hindsight = world.make_networks(config, spec), networks.make_networks(config, spec)

    def compute(
        online: Online, critic: Params, target: Params, seen: Any, inputs: world.Inputs, there: Array, key: Key
    ) -> Losses:
        noise_key, candidates_key = jax.random.split(key)
        states = world.states(nets, online.encoder, online.memory, seen, inputs)  # [B, T, K + 1, M]
        outcome = explore.unit(world.targets(nets, target, seen, inputs))  # [B, T, K, E]
        before, after = states[:, :, :-1], states[:, :, 1:]
        noise = jax.random.normal(noise_key, (*there.shape, config.noise_size))
        # L_inv is to be small for want of what z says, and not for want of what the critic is told: it reaches the
        # generator alone. States that say nothing would make it zero for any z.
        z = hindsight.generator.apply(online.generator, jax.lax.stop_gradient(before), inputs.future, outcome, noise)
        rebuilt = hindsight.reconstructor.apply(online.reconstructor, after, inputs.future, z)
        told = losses.candidates(candidates_key, z, there, config.num_candidates)
        scores = hindsight.critic.apply(critic, jax.lax.stop_gradient(after), inputs.future, told)
        return Losses(explore.prediction_losses(rebuilt, outcome), losses.invariance(scores))

    return nets, hindsight, compute


def make_bonus(config: Config, spec: EnvironmentSpec) -> Bonus:
    """Makes the bonus's functions."""
    optimizer = training.clipped_adam(config.learning_rate, config.max_gradient_norm)
    critic_optimizer = training.clipped_adam(config.critic_learning_rate, config.max_gradient_norm)
    nets, hindsight, compute = make_losses(config, spec)

    def init(key: Key) -> State:
        keys = jax.random.split(key, 5)
        online = Online(
            nets.encoder.init(keys[0]),
            nets.memory.init(keys[1]),
            hindsight.generator.init(keys[2]),
            hindsight.reconstructor.init(keys[3]),
        )
        critic = hindsight.critic.init(keys[4])
        return State(
            online=online,
            critic=critic,
            target=jax.tree.map(jnp.copy, online.encoder),
            optimizer=optimizer.init(online),
            critic_optimizer=critic_optimizer.init(critic),
            observations=normalising.init_moments(spec, enabled=config.normalise_observations),
            scale=explore.init_scale(),
        )

    def update(state: State, stretch: Stretch, key: Key) -> tuple[State, Array, dict[str, Array]]:
        valid = stretch.valid
        inputs, there = world.prepare(config, spec, stretch)
        moments = normalising.add_to_moments(state.observations, stretch.steps.observation, valid)
        seen = normalising.normalise(stretch.steps.observation, normalising.scale_of(moments, spec))

        def loss(online: Online, critic: Params, target: Params, key: Key) -> tuple[Array, Losses]:
            each = compute(online, critic, target, seen, inputs, there, key)
            total = losses.total(each.reconstruction, each.invariance, config.divisor)
            return explore.mean_loss(total, there), each

        def step(carry: Any, key: Key) -> Any:
            online, critic, target, optimizer_state, critic_state = carry
            gradients, each = jax.grad(loss, argnums=(0, 1), has_aux=True)(online, critic, target, key)
            gradient, critic_gradient = gradients[0], jax.tree.map(jnp.negative, gradients[1])  # It climbs L_inv.
            online, optimizer_state = training.descend(online, gradient, optimizer_state, optimizer)
            critic, critic_state = training.descend(critic, critic_gradient, critic_state, critic_optimizer)
            target = training.follow(target, online.encoder, 1.0 - config.target_decay)
            metrics = {
                "reconstruction": explore.mean_loss(each.reconstruction, there),
                "invariance": explore.mean_loss(each.invariance, there),
                "gradient_norm": optax.global_norm(gradient),
                "critic_gradient_norm": optax.global_norm(critic_gradient),
            }
            return (online, critic, target, optimizer_state, critic_state), (each, metrics)

        carry = (state.online, state.critic, state.target, state.optimizer, state.critic_optimizer)
        carry, (each, metrics) = jax.lax.scan(step, carry, jax.random.split(key, config.num_steps))
        first = Losses(*(x[0] for x in each))  # from before the first step
        total = losses.total(first.reconstruction, first.invariance, config.divisor)
        uncertainty = explore.uncertainty(total, there)
        paid, scale = explore.pay(
            uncertainty, valid, state.scale, decay=config.normaliser_decay, prioritise=config.prioritise
        )
        metrics = {name: jnp.mean(x) for name, x in metrics.items()}
        metrics["loss"] = losses.total(metrics["reconstruction"], metrics["invariance"], config.divisor)
        metrics["uncertainty_reconstruction"] = masks.mean_where(
            explore.uncertainty(first.reconstruction / config.divisor, there), valid
        )
        metrics |= explore.metrics_of(paid, uncertainty, valid)
        return State(*carry, observations=moments, scale=scale), paid.reward, metrics

    return Bonus(init, update)
