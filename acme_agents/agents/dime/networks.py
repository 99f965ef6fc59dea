"""DiME's networks: a policy, and a critic for each objective."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from acme_agents.agents.dime import preferences
from acme_agents.agents.dime.config import Config
from acme_agents.core import heads, networks, specs, torsos, values
from acme_agents.core.distributions import Gaussian
from acme_agents.core.networks import Network
from acme_agents.core.types import Action, Array, EnvironmentSpec, Key, Observation, Params


class Networks(NamedTuple):
    """The policy and the critics.

    A preference is [B, M]; networks that are not conditioned on it leave it unread.

    Attributes:
      policy: from an observation [B, ...] and a preference to a `Gaussian` [B, A].
      critics: from an observation [B, ...], an action [B, A] and a preference to a value of batch shape [K, B], of the
        kind of `value_head`; every leaf of their parameters has a leading K.
      value_head: the critics' kind.
      num_objectives: K.
      preference: [M], as configured.
    """

    policy: Network
    critics: Network
    value_head: values.ValueHead
    num_objectives: int
    preference: Array


def make_networks(config: Config, spec: EnvironmentSpec) -> Networks:
    """Makes the networks for an environment with continuous actions.

    Raises:
      UserError: the environment's actions are discrete, or the preference does not fit its reward.
    """
    num_dimensions = specs.num_dimensions(spec, agent="DiME")
    num_objectives = preferences.num_objectives(spec)
    preference = preferences.from_config(config, spec)
    value_head = values.make_head(config)

    def encode(observation: Observation, preference: Array) -> Array:
        features = torsos.encode(observation, spec)
        return jnp.concatenate([features, preference], axis=-1) if config.conditioned else features

    def policy(observation: Observation, preference: Array) -> Gaussian:
        features = torsos.layer_norm_mlp(encode(observation, preference), config.policy_layers)
        return heads.gaussian(
            features, num_dimensions, init_stddev=config.policy_init_stddev, min_stddev=config.policy_min_stddev
        )

    def critic(observation: Observation, action: Action, preference: Array) -> Any:
        inputs = jnp.concatenate([encode(observation, preference), jnp.clip(action, -1.0, 1.0)], axis=-1)
        return value_head.head(torsos.layer_norm_mlp(inputs, config.critic_layers))

    observation, action = torsos.zeros_like(spec.observation), torsos.zeros_like(spec.action)
    one = networks.make(critic, observation, action, preference[None])

    def init_critics(key: Key) -> Params:
        return jax.vmap(one.init)(jax.random.split(key, num_objectives))

    return Networks(
        policy=networks.make(policy, observation, preference[None]),
        critics=Network(init_critics, jax.vmap(one.apply, (0, None, None, None))),
        value_head=value_head,
        num_objectives=num_objectives,
        preference=preference,
    )
