"""The policy network, which CRR shares."""

from collections.abc import Callable
from typing import Any, NamedTuple

from acme_agents.core import networks, policies, specs, torsos
from acme_agents.core.configs import StochasticPolicy
from acme_agents.core.types import EnvironmentSpec, Key, Observation, Params


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


def make_policy(config: StochasticPolicy, spec: EnvironmentSpec, *, agent: str) -> Policy:
    """Makes the policy network for an environment with continuous actions.

    Args:
      config: the agent's.
      spec: the environment's.
      agent: the agent's name, for the error.

    Raises:
      UserError: the environment's actions are discrete.
    """
    num_dimensions = specs.num_dimensions(spec, agent=agent)
    head = policies.make_head(config)

    def policy(observation: Observation) -> Any:
        features = torsos.layer_norm_mlp(torsos.encode(observation, spec), config.policy_layers)
        return head.head(features, num_dimensions)

    return Policy(*networks.make(policy, torsos.zeros_like(spec.observation)), head)
