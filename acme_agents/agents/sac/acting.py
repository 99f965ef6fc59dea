"""SAC's actor: samples of the policy to explore, the tanh of its mean to evaluate."""

import jax.numpy as jnp

from acme_agents.agents.sac.networks import Networks
from acme_agents.core import actors, distributions
from acme_agents.core.actors import ActorParams
from acme_agents.core.interfaces import ActorCore
from acme_agents.core.types import Action, Key, Observation, Params


def make_actor(networks: Networks, *, evaluation: bool) -> ActorCore:
    """Makes the actor's functions; before the first update it explores with uniform actions."""

    def mode(params: ActorParams, observation: Observation, key: Key) -> Action:
        return jnp.tanh(networks.policy.apply(params.policy, observation).mean[0])

    def sample(params: Params, observation: Observation, key: Key) -> Action:
        return jnp.tanh(distributions.sample(key, networks.policy.apply(params, observation), 1)[0, 0])

    return actors.stateless(mode) if evaluation else actors.random_at_first(sample)
