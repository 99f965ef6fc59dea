"""Actors that agents share."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from acme_agents.core.interfaces import ActorCore
from acme_agents.core.types import Action, Array, Extras, Key, Observation, Params


class ActorParams(NamedTuple):
    """What an actor needs that acts at random until something was learnt."""

    policy: Params
    steps: Array  # [] int32, updates done


def stateless(act: Callable[[Params, Observation, Key], Action]) -> ActorCore:
    """An actor without memory: its state is a random key, and it has no extras.

    Args:
      act: `(params, observation [1, *O], key) -> action [*A]`.
    """

    def select_action(params: Params, observation: Observation, key: Key) -> tuple[Action, Key, Extras]:
        key, action_key = jax.random.split(key)
        return act(params, jax.tree.map(lambda x: jnp.asarray(x)[None], observation), action_key), key, ()

    return ActorCore(init=lambda key: key, select_action=select_action)


def random_at_first(act: Callable[[Params, Observation, Key], Action]) -> ActorCore:
    """An actor without memory whose actions are uniform on [-1, 1] until the learner's first update.

    A new policy's actions lie close together, and so would the first transitions, from which all learning starts.

    Args:
      act: see `stateless`, of a continuous action; its parameters are `ActorParams.policy`.
    """

    def maybe_random(params: ActorParams, observation: Observation, key: Key) -> Action:
        random_key, key = jax.random.split(key)
        action = act(params.policy, observation, key)
        uniform = jax.random.uniform(random_key, action.shape, minval=-1.0, maxval=1.0)
        return jnp.where(params.steps == 0, uniform, action)

    return stateless(maybe_random)


def deterministic(
    policy: Callable[[Params, Observation], Action], exploration_stddev: float, *, evaluation: bool
) -> ActorCore:
    """A deterministic policy's actor, with `ActorParams`: it explores with Gaussian noise, and evaluates without.

    Args:
      policy: `(params, observation [1, *O]) -> action [1, A]`.
      exploration_stddev: of the noise, in units of the action.
      evaluation: whether it evaluates.
    """
    if evaluation:
        return stateless(lambda params, observation, key: policy(params.policy, observation)[0])

    def act(params: Params, observation: Observation, key: Key) -> Action:
        action = policy(params, observation)[0]
        return jnp.clip(action + exploration_stddev * jax.random.normal(key, action.shape), -1.0, 1.0)

    return random_at_first(act)
