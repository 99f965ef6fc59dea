"""The two networks of random network distillation."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import haiku as hk
import jax

from acme_agents.core import networks, torsos
from acme_agents.core.types import Array, EnvironmentSpec, Observation
from acme_agents.exploration.rnd.config import Config


def _orthogonal(shape: Sequence[int], dtype: Any) -> Array:
    """Orthogonal weights of gain sqrt(2), as Burda et al. have them: embeddings differ enough."""
    return jax.nn.initializers.orthogonal(2.0**0.5)(hk.next_rng_key(), shape, dtype)


class Networks(NamedTuple):
    """From a normalised observation [N, *O] to an embedding [N, E] each."""

    target: networks.Network
    predictor: networks.Network


def make_networks(config: Config, spec: EnvironmentSpec) -> Networks:
    """Makes the networks."""

    def make(layers: tuple[int, ...]) -> networks.Network:
        def embed(observation: Observation) -> Array:
            features = torsos.encode(observation, spec, normalised=True)
            return hk.nets.MLP((*layers, config.embedding_size), w_init=_orthogonal)(features)

        return networks.make(embed, torsos.zeros_like(spec.observation))

    return Networks(make(config.target_layers), make(config.predictor_layers))
