"""Actors that agents share."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from acme_agents.core.interfaces import ActorCore
from acme_agents.core.types import Action, Extras, Key, Observation, Params


def stateless(act: Callable[[Params, Observation, Key], Action]) -> ActorCore:
    """An actor without memory: its state is a random key, and it has no extras.

    Args:
      act: `(params, observation [1, *O], key) -> action [*A]`.
    """

    def select_action(params: Params, observation: Observation, key: Key) -> tuple[Action, Key, Extras]:
        key, action_key = jax.random.split(key)
        return act(params, jax.tree.map(lambda x: jnp.asarray(x)[None], observation), action_key), key, ()

    return ActorCore(init=lambda key: key, select_action=select_action)
