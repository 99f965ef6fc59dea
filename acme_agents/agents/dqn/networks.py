"""DQN's network."""

from typing import NamedTuple

import haiku as hk

from acme_agents.agents.dqn.config import Config
from acme_agents.core import discrete, networks, specs, torsos
from acme_agents.core.types import Array, EnvironmentSpec, Observation, Params


class ActorParams(NamedTuple):
    """What an actor needs."""

    online: Params
    steps: Array  # [] int32, updates done: how far exploration has come


def make_network(config: Config, spec: EnvironmentSpec) -> networks.Network:
    """Makes the network, from an observation [B, ...] to the values of the actions [B, A].

    Raises:
      UserError: the environment's actions are continuous, or its reward is a vector.
    """
    specs.needs_one_reward(spec, agent="DQN")
    num_actions = specs.num_actions(spec, agent="DQN")

    def q_values(observation: Observation) -> Array:
        features = hk.nets.MLP(config.torso_layers, activate_final=True)(torsos.encode(observation, spec))
        return discrete.q_head(features, num_actions, config.head_layers, dueling=config.dueling)

    return networks.make(q_values, torsos.zeros_like(spec.observation))
