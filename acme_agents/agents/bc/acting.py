"""BC's actor: samples of the policy to explore; its mode or a sample to evaluate."""

import jax
import jax.numpy as jnp

from acme_agents.agents.bc.config import Config
from acme_agents.agents.bc.networks import Policy
from acme_agents.core.interfaces import ActorCore
from acme_agents.core.types import Action, Extras, Key, Observation, Params


def make_actor(config: Config, policy: Policy, *, evaluation: bool) -> ActorCore:
    """Makes the actor's functions; its state is a random key, and its actions are clipped to [-1, 1]."""
    takes_mode = evaluation and config.evaluation == "mode"

    def select_action(params: Params, observation: Observation, key: Key) -> tuple[Action, Key, Extras]:
        distribution = policy.apply(params, jax.tree.map(lambda x: x[None], observation))
        key, sample_key = jax.random.split(key)
        action = policy.head.mode(distribution) if takes_mode else policy.head.sample(sample_key, distribution, 1)[0]
        return jnp.clip(action[0], -1.0, 1.0), key, ()

    return ActorCore(init=lambda key: key, select_action=select_action)
