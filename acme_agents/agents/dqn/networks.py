"""DQN's network."""

from collections.abc import Callable
from typing import NamedTuple

import haiku as hk

from acme_agents.agents.dqn.config import Config
from acme_agents.core import discrete, torsos
from acme_agents.core.types import Array, EnvironmentSpec, Key, Observation, Params


class Networks(NamedTuple):
    """Pure functions of the network's parameters.

    Attributes:
      init: `(key) -> params`.
      q_values: `(params, observation [B, ...]) -> [B, A]`, the values of the actions.
    """

    init: Callable[[Key], Params]
    q_values: Callable[[Params, Observation], Array]


class ActorParams(NamedTuple):
    """What an actor needs."""

    online: Params
    steps: Array  # [] int32, updates done: how far exploration has come


def make_networks(config: Config, spec: EnvironmentSpec) -> Networks:
    """Makes the network for an environment with discrete actions.

    Raises:
      ValueError: the environment's actions are continuous, or its reward is a vector.
    """
    num_actions = discrete.num_actions(spec, agent="DQN")

    def q_values(observation: Observation) -> Array:
        features = hk.nets.MLP(config.torso_layers, activate_final=True)(torsos.encode(observation, spec))
        return discrete.q_head(features, num_actions, config.head_layers, dueling=config.dueling)

    net = hk.without_apply_rng(hk.transform(q_values))
    return Networks(lambda key: net.init(key, torsos.zeros_like(spec.observation)), net.apply)
