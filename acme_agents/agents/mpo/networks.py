"""MPO's two networks."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from acme_agents.agents.mpo.config import ImprovedPolicy
from acme_agents.core import heads, networks, specs, torsos, values
from acme_agents.core.distributions import Gaussian
from acme_agents.core.networks import Network
from acme_agents.core.types import Action, EnvironmentSpec, Observation


class Networks(NamedTuple):
    """Both networks.

    Attributes:
      policy: from an observation [B, ...] to a `Gaussian` [B, A].
      critic: from an observation [B, ...] and an action [B, A] to a value of batch shape [B], of the kind of
        `value_head`.
      value_head: the critic's kind.
    """

    policy: Network
    critic: Network
    value_head: values.ValueHead


def make_networks(config: ImprovedPolicy, spec: EnvironmentSpec, *, agent: str = "MPO") -> Networks:
    """Makes the networks for an environment with continuous actions.

    Args:
      config: the agent's.
      spec: the environment's.
      agent: the agent's name, for the error.

    Raises:
      UserError: the environment's actions are discrete, or its reward is a vector.
    """
    instead = "the agent dime, which is MPO for several, or an environment with a scalar reward"
    specs.needs_one_reward(spec, agent=agent, instead=instead)
    num_dimensions = specs.num_dimensions(spec, agent=agent)
    value_head = values.make_head(config)

    def policy(observation: Observation) -> Gaussian:
        features = torsos.layer_norm_mlp(torsos.encode(observation, spec), config.policy_layers)
        return heads.gaussian(
            features, num_dimensions, init_stddev=config.policy_init_stddev, min_stddev=config.policy_min_stddev
        )

    def critic(observation: Observation, action: Action) -> Any:
        inputs = jnp.concatenate([torsos.encode(observation, spec), jnp.clip(action, -1.0, 1.0)], axis=-1)
        return value_head.head(torsos.layer_norm_mlp(inputs, config.critic_layers))

    observation, action = torsos.zeros_like(spec.observation), torsos.zeros_like(spec.action)
    return Networks(networks.make(policy, observation), networks.make(critic, observation, action), value_head)
