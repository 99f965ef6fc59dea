"""The policy network, which CRR shares."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import haiku as hk

from acme_agents.core import errors, policies, torsos
from acme_agents.core.types import EnvironmentSpec, Key, Observation, Params


class PolicyConfig(policies.HeadConfig, Protocol):
    """The fields of an agent's configuration that make its policy network."""

    @property
    def policy_layers(self) -> tuple[int, ...]: ...


class Policy(NamedTuple):
    """Pure functions of the policy's parameters; everything has a batch dimension.

    Attributes:
      init: `(key) -> params`.
      apply: `(params, observation [B, ...]) -> distribution` of batch shape [B], of the kind of `head`.
      head: the policy's kind.
    """

    init: Callable[[Key], Params]
    apply: Callable[[Params, Observation], Any]
    head: policies.PolicyHead


def make_policy(config: PolicyConfig, spec: EnvironmentSpec, *, agent: str) -> Policy:
    """Makes the policy network for an environment with continuous actions.

    Args:
      config: the agent's.
      spec: the environment's.
      agent: the agent's name, for the error.

    Raises:
      ValueError: the environment's actions are discrete.
    """
    if spec.action.num_values is not None:
        raise errors.UserError(
            f"{agent} needs continuous actions, and this environment has {spec.action.num_values} discrete ones: "
            "choose an environment with a continuous action space."
        )
    (num_dimensions,) = spec.action.shape
    head = policies.make_head(config)

    def policy(observation: Observation) -> Any:
        features = torsos.layer_norm_mlp(torsos.encode(observation, spec), config.policy_layers)
        return head.head(features, num_dimensions)

    net = hk.without_apply_rng(hk.transform(policy))
    return Policy(lambda key: net.init(key, torsos.zeros_like(spec.observation)), net.apply, head)
