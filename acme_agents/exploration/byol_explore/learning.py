"""BYOL-Explore as a bonus: gradient steps of the model of the world, and the rewards of the batch."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.core import networks, normalising, training
from acme_agents.core.types import Array, EnvironmentSpec, Key, Observation, Params, Stretch
from acme_agents.exploration.byol_explore import losses
from acme_agents.exploration.byol_explore import networks as world
from acme_agents.exploration.byol_explore.config import Config
from acme_agents.exploration.wrapping import Bonus


class Online(NamedTuple):
    """The parameters that gradients change."""

    encoder: Params
    memory: Params
    predictor: Params


class State(NamedTuple):
    """Everything that an update changes."""

    online: Online
    target: Params  # of the encoder alone
    optimizer: optax.OptState
    observations: Any  # `Moments` of each leaf of an observation
    scale: losses.Scale


def make_bonus(config: Config, spec: EnvironmentSpec) -> Bonus:
    """Makes the bonus's functions."""
    optimizer = training.clipped_adam(config.learning_rate, config.max_gradient_norm)
    nets = world.make_networks(config, spec)
    predictor = networks.make(
        lambda state: world.mlp(state, config.predictor_layers, config.embedding_size),
        jnp.zeros((1, config.memory_size)),
    )

    def init(key: Key) -> State:
        keys = jax.random.split(key, 3)
        online = Online(nets.encoder.init(keys[0]), nets.memory.init(keys[1]), predictor.init(keys[2]))
        moments = normalising.init_moments(spec, enabled=config.normalise_observations)
        target = jax.tree.map(jnp.copy, online.encoder)
        return State(online, target, optimizer.init(online), moments, losses.init_scale())

    def prediction_losses(online: Online, target: Params, seen: Observation, inputs: world.Inputs) -> Array:
        """L(t, k), [B, T, K], of observations [B, T + 1, *O]."""
        states = world.states(nets, online.encoder, online.memory, seen, inputs)
        targets = world.targets(nets, target, seen, inputs)
        return losses.prediction_losses(predictor.apply(online.predictor, states[:, :, 1:]), targets)

    def update(state: State, stretch: Stretch, key: Key) -> tuple[State, Array, dict[str, Array]]:
        del key  # Nothing is drawn.
        valid = stretch.valid
        inputs, there = world.prepare(config, spec, stretch)
        moments = normalising.add_to_moments(state.observations, stretch.steps.observation, valid)
        seen = normalising.normalise(stretch.steps.observation, normalising.scale_of(moments, spec))

        def loss(online: Online, target: Params) -> tuple[Array, Array]:
            each = prediction_losses(online, target, seen, inputs)
            return losses.mean_loss(each, there), each

        def step(carry: Any, _: None) -> Any:
            online, target, optimizer_state = carry
            (total, each), gradient = jax.value_and_grad(loss, has_aux=True)(online, target)
            online, optimizer_state = training.descend(online, gradient, optimizer_state, optimizer)
            target = training.follow(target, online.encoder, 1.0 - config.target_decay)
            metrics = {"loss": total, "gradient_norm": optax.global_norm(gradient)}
            return (online, target, optimizer_state), (each, metrics)

        carry = (state.online, state.target, state.optimizer)
        (online, target, optimizer_state), (each, metrics) = jax.lax.scan(step, carry, None, length=config.num_steps)
        uncertainty = losses.uncertainty(each[0], there)  # from before the first step
        paid, scale = losses.pay(
            uncertainty, valid, state.scale, decay=config.normaliser_decay, prioritise=config.prioritise
        )
        metrics = {name: jnp.mean(x) for name, x in metrics.items()}
        metrics |= losses.metrics_of(paid, uncertainty, valid)
        return State(online, target, optimizer_state, moments, scale), paid.reward, metrics

    return Bonus(init, update)
