"""SAC's networks: a tanh-Gaussian policy and an ensemble of critics."""

from typing import NamedTuple

import haiku as hk
import jax.numpy as jnp
import numpy as np

from acme_agents.agents.sac.config import Config
from acme_agents.core import heads, networks, specs, torsos
from acme_agents.core.distributions import Gaussian
from acme_agents.core.networks import Network
from acme_agents.core.types import Action, Array, EnvironmentSpec, Key, Observation


class Networks(NamedTuple):
    """The networks.

    Attributes:
      policy: from an observation [B, ...] to the `Gaussian` before the tanh, [B, A].
      critics: from an observation [B, ...], an action [B, A] and a key, which draws the units that are left out, to the
        values of all critics, [K, B].
    """

    policy: Network
    critics: Network


def make_networks(config: Config, spec: EnvironmentSpec) -> Networks:
    """Makes the networks for an environment with continuous actions.

    Raises:
      UserError: the environment's actions are discrete, or its reward is a vector.
    """
    specs.needs_one_reward(spec, agent="SAC")
    num_dimensions = specs.num_dimensions(spec, agent="SAC")

    def policy(observation: Observation) -> Gaussian:
        features = torsos.relu_mlp(torsos.encode(observation, spec), config.policy_layers)
        return heads.gaussian(
            features, num_dimensions, init_stddev=config.policy_init_stddev, min_stddev=config.policy_min_stddev
        )

    def critic(observation: Observation, action: Action, key: Key) -> Array:
        inputs = jnp.concatenate([torsos.encode(observation, spec), action], axis=-1)
        features = torsos.relu_mlp(
            inputs, config.critic_layers, layer_norm=config.critic_layer_norm, dropout=config.critic_dropout, key=key
        )
        return jnp.squeeze(hk.Linear(1)(features), -1)

    observation, action = torsos.zeros_like(spec.observation), torsos.zeros_like(spec.action)
    one = networks.make(critic, observation, action, np.zeros(2, np.uint32))
    return Networks(networks.make(policy, observation), networks.ensemble(one, config.num_critics))
