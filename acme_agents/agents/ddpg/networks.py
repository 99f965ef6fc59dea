"""DDPG's networks: a deterministic policy and a critic, of any kind, since D4PG's are the same."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from acme_agents.agents.ddpg.config import Config
from acme_agents.core import heads, networks, specs, torsos, values
from acme_agents.core.networks import Network
from acme_agents.core.types import Action, EnvironmentSpec, Observation


class Networks(NamedTuple):
    """Both networks.

    Attributes:
      policy: from an observation [B, ...] to an action [B, A] in [-1, 1].
      critic: from an observation [B, ...] and an action [B, A] to a value of batch shape [B], of the kind of
        `value_head`.
      value_head: the critic's kind.
    """

    policy: Network
    critic: Network
    value_head: values.ValueHead


def make_networks(
    config: Config, spec: EnvironmentSpec, value_head: values.ValueHead | None = None, *, agent: str = "DDPG"
) -> Networks:
    """Makes the networks for an environment with continuous actions.

    Args:
      config: the agent's.
      spec: the environment's.
      value_head: the critic's kind; None is scalar.
      agent: the agent's name.

    Raises:
      UserError: the environment's actions are discrete, or its reward is a vector.
    """
    specs.needs_one_reward(spec, agent=agent)
    num_dimensions = specs.num_dimensions(spec, agent=agent)
    value_head = value_head or values.scalar()

    def policy(observation: Observation) -> Action:
        features = torsos.layer_norm_mlp(torsos.encode(observation, spec), config.policy_layers)
        return heads.deterministic(features, num_dimensions)

    def critic(observation: Observation, action: Action) -> Any:
        inputs = jnp.concatenate([torsos.encode(observation, spec), action], axis=-1)
        return value_head.head(torsos.layer_norm_mlp(inputs, config.critic_layers))

    observation, action = torsos.zeros_like(spec.observation), torsos.zeros_like(spec.action)
    return Networks(networks.make(policy, observation), networks.make(critic, observation, action), value_head)
