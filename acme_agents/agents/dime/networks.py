"""DiME's networks: a policy, and a critic for each objective."""

from collections.abc import Callable
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from acme_agents.agents.dime import preferences
from acme_agents.agents.dime.config import Config
from acme_agents.core import errors, heads, torsos, values
from acme_agents.core.distributions import Gaussian
from acme_agents.core.types import Action, Array, EnvironmentSpec, Key, Observation, Params


class Networks(NamedTuple):
    """Pure functions of the networks' parameters; everything has a batch dimension.

    A preference is [B, M]; networks that are not conditioned on it leave it unread.

    Attributes:
      init_policy: `(key) -> params`.
      policy: `(params, observation [B, ...], preference) -> Gaussian` [B, A].
      init_critics: `(key) -> params`, stacked: every leaf has a leading K.
      critics: `(params, observation [B, ...], action [B, A], preference) -> value` of batch shape [K, B], of the kind
        of `value_head`.
      value_head: the critics' kind.
      num_objectives: K.
      preference: [M], as configured.
    """

    init_policy: Callable[[Key], Params]
    policy: Callable[[Params, Observation, Array], Gaussian]
    init_critics: Callable[[Key], Params]
    critics: Callable[[Params, Observation, Action, Array], Any]
    value_head: values.ValueHead
    num_objectives: int
    preference: Array


def make_networks(config: Config, spec: EnvironmentSpec) -> Networks:
    """Makes the networks for an environment with continuous actions.

    Raises:
      ValueError: the environment's actions are discrete, or the preference does not fit its reward.
    """
    if spec.action.num_values is not None:
        raise errors.UserError(
            f"DiME needs continuous actions, and this environment has {spec.action.num_values} discrete ones: "
            "choose an environment with a continuous action space."
        )
    (num_dimensions,) = spec.action.shape
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

    policy_net = hk.without_apply_rng(hk.transform(policy))
    critic_net = hk.without_apply_rng(hk.transform(critic))
    observation, action = torsos.zeros_like(spec.observation), torsos.zeros_like(spec.action)

    def init_critics(key: Key) -> Params:
        keys = jax.random.split(key, num_objectives)
        return jax.vmap(lambda key: critic_net.init(key, observation, action, preference[None]))(keys)

    return Networks(
        init_policy=lambda key: policy_net.init(key, observation, preference[None]),
        policy=policy_net.apply,
        init_critics=init_critics,
        critics=jax.vmap(critic_net.apply, (0, None, None, None)),
        value_head=value_head,
        num_objectives=num_objectives,
        preference=preference,
    )
