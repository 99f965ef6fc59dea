"""TD3's networks: a deterministic policy and two critics."""

from typing import NamedTuple

import haiku as hk
import jax.numpy as jnp

from acme_agents.agents.td3.config import Config
from acme_agents.core import heads, networks, specs, torsos
from acme_agents.core.networks import Network
from acme_agents.core.types import Action, Array, EnvironmentSpec, Observation


class Networks(NamedTuple):
    """The networks.

    Attributes:
      policy: from an observation [B, ...] to an action [B, A] in [-1, 1].
      critic: from an observation [B, ...] and an action [B, A] to a value [B].
      critics: two of them, [2, B].
    """

    policy: Network
    critic: Network
    critics: Network


def make_networks(config: Config, spec: EnvironmentSpec, *, agent: str = "TD3") -> Networks:
    """Makes the networks for an environment with continuous actions.

    Args:
      config: the agent's.
      spec: the environment's.
      agent: the agent's name, for the error.

    Raises:
      UserError: the environment's actions are discrete, or its reward is a vector.
    """
    specs.needs_one_reward(spec, agent=agent)
    num_dimensions = specs.num_dimensions(spec, agent=agent)

    def policy(observation: Observation) -> Action:
        features = torsos.relu_mlp(torsos.encode(observation, spec), config.policy_layers)
        return heads.deterministic(features, num_dimensions)

    def critic(observation: Observation, action: Action) -> Array:
        inputs = jnp.concatenate([torsos.encode(observation, spec), action], axis=-1)
        features = torsos.relu_mlp(inputs, config.critic_layers, layer_norm=config.critic_layer_norm)
        return jnp.squeeze(hk.Linear(1)(features), -1)

    observation, action = torsos.zeros_like(spec.observation), torsos.zeros_like(spec.action)
    one = networks.make(critic, observation, action)
    return Networks(networks.make(policy, observation), one, networks.ensemble(one, 2))
