"""PPO's two networks."""

from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from acme_agents.agents.ppo.config import Config
from acme_agents.core import laws, networks, specs, torsos
from acme_agents.core.distributions import Gaussian
from acme_agents.core.laws import Law
from acme_agents.core.networks import Network
from acme_agents.core.normalising import Scale
from acme_agents.core.types import Array, EnvironmentSpec, Observation, Params


class ActorParams(NamedTuple):
    """What actors receive."""

    policy: Params
    scale: Scale


class Networks(NamedTuple):
    """Both networks.

    Attributes:
      policy: from a normalised observation [B, ...] to a law of batch shape [B].
      value: from the same to values [B], in units of the normalised return.
      law: the policy's kind.
    """

    policy: Network
    value: Network
    law: Law


def make_networks(config: Config, spec: EnvironmentSpec, *, agent: str) -> Networks:
    """Makes the networks, for discrete or continuous actions; `agent` is its name in errors.

    Raises:
      UserError: the environment's reward is a vector.
    """
    specs.needs_one_reward(spec, agent=agent)
    discrete = spec.action.num_values is not None
    num_outputs = specs.num_actions(spec, agent=agent) if discrete else specs.num_dimensions(spec, agent=agent)

    def policy(observation: Observation) -> Any:
        outputs = _mlp(torsos.encode(observation, spec), config.policy_layers, num_outputs, 0.01)
        if discrete:
            return outputs
        init = hk.initializers.Constant(config.init_log_stddev)
        log_stddev = hk.get_parameter("log_stddev", (num_outputs,), init=init)
        return Gaussian(outputs, jnp.broadcast_to(jnp.exp(log_stddev)[None], outputs.shape))

    def value(observation: Observation) -> Array:
        return _mlp(torsos.encode(observation, spec), config.value_layers, 1, 1.0)[..., 0]

    observation = torsos.zeros_like(spec.observation)
    return Networks(networks.make(policy, observation), networks.make(value, observation), laws.of(spec))


def _mlp(features: Array, layers: tuple[int, ...], num_outputs: int, output_scale: float) -> Array:
    """Tanh layers and a linear one, orthogonally initialised, as Huang et al. 2022 have it."""
    for size in layers:
        features = jnp.tanh(hk.Linear(size, w_init=_orthogonal(2.0**0.5))(features))
    return hk.Linear(num_outputs, w_init=_orthogonal(output_scale))(features)


def _orthogonal(scale: float) -> hk.initializers.Initializer:
    """Haiku's own promotes ranks."""
    init = jax.nn.initializers.orthogonal(scale)
    return lambda shape, dtype: init(hk.next_rng_key(), shape, dtype)
