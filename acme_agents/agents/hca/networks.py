"""HCA's networks: what the agent makes of an observation, and hindsight of an action."""

from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from acme_agents.agents.hca.config import Config
from acme_agents.core import laws, networks, specs, torsos
from acme_agents.core.laws import Law
from acme_agents.core.networks import Network
from acme_agents.core.types import Array, EnvironmentSpec, Observation


class Outputs(NamedTuple):
    """What the agent's network says of an observation, in units of the normalised reward."""

    logits: Array  # [..., A] of the policy
    value: Array  # [...]
    reward: Any  # [..., A] of each action; () where hindsight is of the return


class Networks(NamedTuple):
    """The networks.

    Attributes:
      agent: from a normalised observation [..., *O] to `Outputs`.
      hindsight: `(params, observation, log policy [B, T, A], outcome) -> logits`: the policy's plus what the outcome
        adds to them. Given states, from observations [B, T + 1, *O] and no outcome, (), to [B, T, T + 1, A]: every row
        with every row as what came of it. Given returns, from observations [B, T, *O] and bins [B, T] int32 to
        [B, T, A].
      law: the policy's kind.
    """

    agent: Network
    hindsight: Network
    law: Law


def make_networks(config: Config, spec: EnvironmentSpec) -> Networks:
    """Makes the networks, for discrete actions.

    Raises:
      UserError: the actions are continuous, or the reward is a vector.
    """
    specs.needs_one_reward(spec, agent="HCA")
    num_actions = specs.num_actions(spec, agent="HCA")
    of_states = config.outcome == "state"

    def agent(observation: Observation) -> Outputs:
        features = torsos.layer_norm_mlp(torsos.encode(observation, spec), config.torso_layers)
        logits = _near_zero(num_actions, "logits")(features)
        value = hk.Linear(1, name="value")(features)[..., 0]
        return Outputs(logits, value, _near_zero(num_actions, "reward")(features) if of_states else ())

    def hindsight(observation: Observation, policy: Array, outcome: Any) -> Array:
        features = torsos.encode(observation, spec)
        first, *rest = config.hindsight_layers
        if of_states:
            # The first layer is linear in the pair, so that each row passes it once and not once for each other row.
            now, later = hk.Linear(first)(features[:, :-1]), hk.Linear(first, with_bias=False)(features)
            x, policy = now[:, :, None] + later[:, None], policy[:, :, None]
        else:
            bins = jax.nn.one_hot(outcome, config.num_bins)
            x = hk.Linear(first)(features) + hk.Linear(first, with_bias=False)(bins)
        for size in rest:
            x = hk.Linear(size)(jnp.tanh(x))
        return policy + _near_zero(num_actions, "gain")(jnp.tanh(x))

    observation: Any = torsos.zeros_like(spec.observation)
    rows = jax.tree.map(lambda x: jnp.stack([x] * (2 if of_states else 1), axis=1), observation)
    outcome = () if of_states else jnp.zeros((1, 1), jnp.int32)
    return Networks(
        networks.make(agent, observation),
        networks.make(hindsight, rows, jnp.zeros((1, 1, num_actions)), outcome),
        laws.of(spec),
    )


def _near_zero(size: int, name: str) -> hk.Linear:
    return hk.Linear(size, w_init=hk.initializers.VarianceScaling(1e-4), name=name)
