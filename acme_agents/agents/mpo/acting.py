"""MPO's actor: samples of the policy to explore, its mean to evaluate."""

import jax.numpy as jnp

from acme_agents.agents.mpo.networks import Networks
from acme_agents.core import actors, distributions
from acme_agents.core.interfaces import ActorCore
from acme_agents.core.types import Action, Key, Observation, Params


def make_actor(networks: Networks, *, evaluation: bool) -> ActorCore:
    """Makes the actor's functions; actions are clipped to [-1, 1]."""

    def act(params: Params, observation: Observation, key: Key) -> Action:
        policy = networks.policy.apply(params, observation)
        action = policy.mean if evaluation else distributions.sample(key, policy, 1)[0]
        return jnp.clip(action[0], -1.0, 1.0)

    return actors.stateless(act)
