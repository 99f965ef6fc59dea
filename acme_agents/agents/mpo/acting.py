"""MPO's actor: samples of the policy to explore, its mean to evaluate."""

import jax
import jax.numpy as jnp

from acme_agents.agents.mpo.networks import Networks
from acme_agents.core import distributions
from acme_agents.core.interfaces import ActorCore
from acme_agents.core.types import Action, Extras, Key, Observation, Params


def make_actor(networks: Networks, *, evaluation: bool) -> ActorCore:
    """Makes the actor's functions; its state is a random key, and its actions are clipped to [-1, 1]."""

    def select_action(params: Params, observation: Observation, key: Key) -> tuple[Action, Key, Extras]:
        policy = networks.policy(params, jax.tree.map(lambda x: x[None], observation))
        key, sample_key = jax.random.split(key)
        action = policy.mean if evaluation else distributions.sample(sample_key, policy, 1)[0]
        return jnp.clip(action[0], -1.0, 1.0), key, ()

    return ActorCore(init=lambda key: key, select_action=select_action)
