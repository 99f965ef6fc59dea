"""The networks that explain in hindsight: generator, reconstructor and critic."""

from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from acme_agents.core import networks
from acme_agents.core.types import Array, EnvironmentSpec
from acme_agents.exploration.byol_explore import networks as world
from acme_agents.exploration.byol_hindsight.config import Config


class Networks(NamedTuple):
    """Pure functions of the networks' parameters; all rows are batch dimensions.

    Attributes:
      generator: from b_{t,k-1}, a_{t+k-1}, the outcome's embedding and noise to z, [..., Z].
      reconstructor: from b_{t,k}, a_{t+k-1} and z to an embedding, [..., E].
      critic: from b_{t,k} [..., M], a_{t+k-1} [..., A] and J candidates for z [..., J, Z] to numbers [..., J].
    """

    generator: networks.Network
    reconstructor: networks.Network
    critic: networks.Network


def make_networks(config: Config, spec: EnvironmentSpec) -> Networks:
    """Makes the networks."""

    def generate(state: Array, action: Array, outcome: Array, noise: Array) -> Array:
        inputs = jnp.concatenate([state, action, outcome, noise], axis=-1)
        return world.mlp(inputs, config.generator_layers, config.hindsight_size)

    def reconstruct(state: Array, action: Array, hindsight: Array) -> Array:
        inputs = jnp.concatenate([state, action, hindsight], axis=-1)
        return world.mlp(inputs, config.reconstructor_layers, config.embedding_size)

    def criticise(state: Array, action: Array, hindsight: Array) -> Array:
        first, *rest = config.critic_layers
        # The first layer of state, action and z together is the sum of theirs: each is computed once.
        known = hk.Linear(first, name="known")(jnp.concatenate([state, action], axis=-1))
        told = hk.Linear(first, with_bias=False, name="told")(hindsight)
        features = jax.nn.relu(known[..., None, :] + told)
        return config.critic_limit * jnp.tanh(world.mlp(features, tuple(rest), 1)[..., 0])

    state, action = jnp.zeros((1, config.memory_size)), jnp.zeros((1, world.action_width(spec)))
    outcome, hindsight = jnp.zeros((1, config.embedding_size)), jnp.zeros((1, config.hindsight_size))
    return Networks(
        networks.make(generate, state, action, outcome, jnp.zeros((1, config.noise_size))),
        networks.make(reconstruct, state, action, hindsight),
        networks.make(criticise, state, action, hindsight[None]),
    )
