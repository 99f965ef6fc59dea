"""DiME's actor: samples of the policy to explore, its mean to evaluate, and one preference for an episode."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from acme_agents.agents.dime import preferences
from acme_agents.agents.dime.networks import Networks
from acme_agents.core import distributions
from acme_agents.core.interfaces import ActorCore
from acme_agents.core.types import Action, Array, Extras, Key, Observation, Params


class ActorState(NamedTuple):
    """What an actor carries through an episode."""

    key: Key
    preference: Array  # [M]


def make_actor(networks: Networks, *, draw_preference: bool, evaluation: bool) -> ActorCore:
    """Makes the actor's functions; actions are clipped to [-1, 1].

    With `draw_preference` every episode has a preference of its own, uniform on the simplex; otherwise all have the
    configured one.
    """

    def init(key: Key) -> ActorState:
        key, preference_key = jax.random.split(key)
        if not draw_preference:
            return ActorState(key, networks.preference)
        return ActorState(key, preferences.sample(preference_key, 1, networks.preference.shape[0])[0])

    def select_action(params: Params, observation: Observation, state: ActorState) -> tuple[Action, ActorState, Extras]:
        policy = networks.policy.apply(params, jax.tree.map(lambda x: x[None], observation), state.preference[None])
        key, sample_key = jax.random.split(state.key)
        action = policy.mean if evaluation else distributions.sample(sample_key, policy, 1)[0]
        return jnp.clip(action[0], -1.0, 1.0), state._replace(key=key), ()

    return ActorCore(init=init, select_action=select_action)
