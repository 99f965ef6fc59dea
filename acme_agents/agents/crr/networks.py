"""CRR's two networks."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from acme_agents.agents.bc.networks import Policy, make_policy
from acme_agents.agents.crr.config import Config
from acme_agents.core import networks, specs, torsos, values
from acme_agents.core.networks import Network
from acme_agents.core.types import Action, EnvironmentSpec, Observation, Params


class Networks(NamedTuple):
    """Both networks.

    Attributes:
      policy: BC's.
      critic: from an observation [B, ...] and an action [B, A] to a value of batch shape [B], of the kind of
        `value_head`.
      value_head: the critic's kind.
    """

    policy: Policy
    critic: Network
    value_head: values.ValueHead


class ActorParams(NamedTuple):
    """What an actor needs; the critic only if evaluations choose by it, and () otherwise."""

    policy: Params
    critic: Params


def make_networks(config: Config, spec: EnvironmentSpec) -> Networks:
    """Makes the networks for an environment with continuous actions.

    Raises:
      UserError: the environment's actions are discrete, or its reward is a vector.
    """
    specs.needs_one_reward(spec, agent="CRR")
    value_head = values.make_head(config)

    def critic(observation: Observation, action: Action) -> Any:
        inputs = jnp.concatenate([torsos.encode(observation, spec), jnp.clip(action, -1.0, 1.0)], axis=-1)
        return value_head.head(torsos.layer_norm_mlp(inputs, config.critic_layers))

    observation, action = torsos.zeros_like(spec.observation), torsos.zeros_like(spec.action)
    return Networks(make_policy(config, spec, agent="CRR"), networks.make(critic, observation, action), value_head)
