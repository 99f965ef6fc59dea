"""The networks of geometric entropy maximisation."""

from typing import NamedTuple

import haiku as hk
import jax.numpy as jnp

from acme_agents.core import networks, torsos
from acme_agents.core.types import Array, EnvironmentSpec, Observation
from acme_agents.exploration.gem.config import Config


class Networks(NamedTuple):
    """From normalised observations [N, *O].

    Attributes:
      rarity: to x, [N]; log f is `log(max_rarity) sigmoid(x)`.
      embedding: to [N, E], of the learned similarity.
    """

    rarity: networks.Network
    embedding: networks.Network


def make_networks(config: Config, spec: EnvironmentSpec) -> Networks:
    """Makes the networks."""

    def mlp(observation: Observation, layers: tuple[int, ...], size: int) -> Array:
        return hk.Linear(size)(torsos.relu_mlp(torsos.encode(observation, spec), layers))

    def rarity(observation: Observation) -> Array:
        return jnp.squeeze(mlp(observation, config.rarity_layers, 1), axis=-1)

    def embedding(observation: Observation) -> Array:
        return mlp(observation, config.embedding_layers, config.embedding_size)

    example = torsos.zeros_like(spec.observation)
    return Networks(networks.make(rarity, example), networks.make(embedding, example))
