"""CRR's two networks."""

from collections.abc import Callable
from typing import Any, NamedTuple

import haiku as hk
import jax.numpy as jnp

from acme_agents.agents.bc.networks import Policy, make_policy
from acme_agents.agents.crr.config import Config
from acme_agents.core import errors, torsos, values
from acme_agents.core.types import Action, EnvironmentSpec, Key, Observation, Params


class Networks(NamedTuple):
    """Pure functions of the networks' parameters; everything has a batch dimension.

    Attributes:
      policy: the policy's, BC's.
      init_critic: `(key) -> params`.
      critic: `(params, observation [B, ...], action [B, A]) -> value` of batch shape [B], of the kind of `value_head`.
      value_head: the critic's kind.
    """

    policy: Policy
    init_critic: Callable[[Key], Params]
    critic: Callable[[Params, Observation, Action], Any]
    value_head: values.ValueHead


class ActorParams(NamedTuple):
    """What an actor needs; the critic only if evaluations choose by it, and () otherwise."""

    policy: Params
    critic: Params


def make_networks(config: Config, spec: EnvironmentSpec) -> Networks:
    """Makes the networks for an environment with continuous actions.

    Raises:
      ValueError: the environment's actions are discrete, or its reward is a vector.
    """
    if spec.reward.shape:
        raise errors.UserError(
            f"CRR needs one reward, and this environment has a vector of {spec.reward.shape[0]}: choose an environment "
            "with a scalar reward."
        )
    value_head = values.make_head(config)

    def critic(observation: Observation, action: Action) -> Any:
        inputs = jnp.concatenate([torsos.encode(observation, spec), jnp.clip(action, -1.0, 1.0)], axis=-1)
        return value_head.head(torsos.layer_norm_mlp(inputs, config.critic_layers))

    net = hk.without_apply_rng(hk.transform(critic))
    observation, action = torsos.zeros_like(spec.observation), torsos.zeros_like(spec.action)
    return Networks(
        policy=make_policy(config, spec, agent="CRR"),
        init_critic=lambda key: net.init(key, observation, action),
        critic=net.apply,
        value_head=value_head,
    )
