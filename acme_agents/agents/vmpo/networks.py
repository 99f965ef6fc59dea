"""V-MPO's network, of policy and value, and what it sees."""

from collections.abc import Callable
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from acme_agents.core import heads, laws, recurrent, specs, torsos
from acme_agents.core.configs import ActorCritic, PolicyAndValue
from acme_agents.core.laws import Law
from acme_agents.core.normalising import Scale
from acme_agents.core.types import Array, EnvironmentSpec, Key, Observation, Params, Unroll


class ActorParams(NamedTuple):
    """What actors receive."""

    network: Params
    scale: Scale


class Outputs(NamedTuple):
    """What the network says of T rows."""

    law: Any  # a Gaussian [B, T, A], or logits [B, T, A]
    value: Array  # [B, T] float32, in units of the normalised return
    features: Array  # [B, T, H] float32, which both are read from: of the observation and the memory


class Networks(NamedTuple):
    """Pure functions of the network's parameters.

    Attributes:
      init: `(key) -> params`.
      unroll: `(params, observation [B, T, *O], begins [B, T] bool, memory) -> (outputs, memory after the last row)`;
        the observation is normalised, and where an episode begins there is no memory of what was before.
      no_memory: the memory before an episode, [1, H]; () without an LSTM.
      law: the policy's kind.
    """

    init: Callable[[Key], Params]
    unroll: Callable[[Params, Observation, Array, Any], tuple[Outputs, Any]]
    no_memory: Any
    law: Law


def make_networks(config: PolicyAndValue, spec: EnvironmentSpec, *, agent: str = "V-MPO") -> Networks:
    """Makes the network, for discrete actions, or continuous ones where the configuration is an `ActorCritic`.

    Raises:
      UserError: the environment's reward is a vector, or its actions are continuous and the agent's are not.
    """
    specs.needs_one_reward(spec, agent=agent)
    discrete = spec.action.num_values is not None or not isinstance(config, ActorCritic)
    num_outputs = specs.num_actions(spec, agent=agent) if discrete else specs.num_dimensions(spec, agent=agent)

    def policy(features: Array) -> Any:
        if discrete:
            return hk.Linear(num_outputs, w_init=hk.initializers.VarianceScaling(1e-4), name="logits")(features)
        assert isinstance(config, ActorCritic)
        return heads.gaussian(
            features, num_outputs, init_stddev=config.policy_init_stddev, min_stddev=config.policy_min_stddev
        )

    def unroll(observation: Observation, begins: Array, memory: Any) -> tuple[Outputs, Any]:
        features = torsos.layer_norm_mlp(torsos.encode(observation, spec), config.torso_layers)
        if config.lstm_size is not None:
            features, memory = recurrent.LSTM(config.lstm_size)(features, memory, begins)
        return Outputs(policy(features), hk.Linear(1, name="value")(features)[..., 0], features), memory

    net = hk.without_apply_rng(hk.transform(unroll))
    no_memory = () if config.lstm_size is None else recurrent.zero_state(1, config.lstm_size)

    def init(key: Key) -> Params:
        observation = jax.tree.map(lambda x: x[None], torsos.zeros_like(spec.observation))
        return net.init(key, observation, jnp.ones((1, 1), bool), no_memory)

    return Networks(init, net.apply, no_memory, laws.of(spec))


def unroll(nets: Networks, params: Params, observation: Observation, batch: Unroll) -> Outputs:
    """What the network says of all rows of a batch, [B, T + 1], from the memory that was stored beside the first.

    The `observation` is the batch's, normalised. An episode's final observation is seen with the episode's memory, and
    the row behind it without.
    """
    last = batch.steps.last
    begins = jnp.concatenate([jnp.zeros_like(last[:, :1]), last[:, :-1]], axis=1)
    memory = jax.tree.map(lambda x: x[:, 0], batch.steps.extras.memory)
    return nets.unroll(params, observation, begins, memory)[0]
