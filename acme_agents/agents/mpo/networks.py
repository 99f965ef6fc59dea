"""MPO's two networks."""

from collections.abc import Callable
from typing import Any, NamedTuple

import haiku as hk
import jax.numpy as jnp

from acme_agents.agents.mpo.config import Config
from acme_agents.core import errors, heads, torsos, values
from acme_agents.core.distributions import Gaussian
from acme_agents.core.types import Action, EnvironmentSpec, Key, Observation, Params


class Networks(NamedTuple):
    """Pure functions of the networks' parameters; everything has a batch dimension.

    Attributes:
      init_policy: `(key) -> params`.
      policy: `(params, observation [B, ...]) -> Gaussian` [B, A].
      init_critic: `(key) -> params`.
      critic: `(params, observation [B, ...], action [B, A]) -> value` of batch shape [B], of the kind of `value_head`.
      value_head: the critic's kind.
    """

    init_policy: Callable[[Key], Params]
    policy: Callable[[Params, Observation], Gaussian]
    init_critic: Callable[[Key], Params]
    critic: Callable[[Params, Observation, Action], Any]
    value_head: values.ValueHead


def make_networks(config: Config, spec: EnvironmentSpec) -> Networks:
    """Makes the networks for an environment with continuous actions.

    Raises:
      ValueError: the environment's actions are discrete, or its reward is a vector.
    """
    if spec.reward.shape:
        raise errors.UserError(
            f"MPO needs one reward, and this environment has a vector of {spec.reward.shape[0]}: choose the agent "
            "dime, which is MPO for several, or an environment with a scalar reward."
        )
    if spec.action.num_values is not None:
        raise errors.UserError(
            f"MPO needs continuous actions, and this environment has {spec.action.num_values} discrete ones: "
            "choose an environment with a continuous action space."
        )
    (num_dimensions,) = spec.action.shape
    value_head = values.make_head(config)

    def policy(observation: Observation) -> Gaussian:
        features = torsos.layer_norm_mlp(torsos.encode(observation, spec), config.policy_layers)
        return heads.gaussian(
            features, num_dimensions, init_stddev=config.policy_init_stddev, min_stddev=config.policy_min_stddev
        )

    def critic(observation: Observation, action: Action) -> Any:
        inputs = jnp.concatenate([torsos.encode(observation, spec), jnp.clip(action, -1.0, 1.0)], axis=-1)
        return value_head.head(torsos.layer_norm_mlp(inputs, config.critic_layers))

    policy_net = hk.without_apply_rng(hk.transform(policy))
    critic_net = hk.without_apply_rng(hk.transform(critic))
    observation, action = torsos.zeros_like(spec.observation), torsos.zeros_like(spec.action)
    return Networks(
        init_policy=lambda key: policy_net.init(key, observation),
        policy=policy_net.apply,
        init_critic=lambda key: critic_net.init(key, observation, action),
        critic=critic_net.apply,
        value_head=value_head,
    )
