"""BC's actor: samples of the policy to explore; its mode or a sample to evaluate."""

import jax.numpy as jnp

from acme_agents.agents.bc.config import Config
from acme_agents.agents.bc.networks import Policy
from acme_agents.core import actors
from acme_agents.core.interfaces import ActorCore
from acme_agents.core.types import Action, Key, Observation, Params


def make_actor(config: Config, policy: Policy, *, evaluation: bool) -> ActorCore:
    """Makes the actor's functions; actions are clipped to [-1, 1]."""
    takes_mode = evaluation and config.evaluation == "mode"

    def act(params: Params, observation: Observation, key: Key) -> Action:
        distribution = policy.apply(params, observation)
        action = policy.head.mode(distribution) if takes_mode else policy.head.sample(key, distribution, 1)[0]
        return jnp.clip(action[0], -1.0, 1.0)

    return actors.stateless(act)
