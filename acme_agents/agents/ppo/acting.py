"""PPO's actor: samples the policy, and keeps what the learner needs to know of it."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from acme_agents.agents.ppo.networks import ActorParams
from acme_agents.core import normalising
from acme_agents.core.interfaces import ActorCore, ignore_reward
from acme_agents.core.laws import Law
from acme_agents.core.types import Action, Array, EnvironmentSpec, Extras, Key, Observation, Params


class ActorState(NamedTuple):
    """What an actor carries through an episode."""

    key: Key
    return_so_far: Any  # [] float32, discounted: sum_i gamma^i r_{t-i}; () where rewards are not normalised


class Taken(NamedTuple):
    """What is stored beside each step."""

    log_prob: Array  # [] float32, of the action
    action: Any  # [A] float32, before it was clipped to the box; () where actions are discrete
    return_so_far: Any  # of the `ActorState`, before the action was rewarded


class Rewarded(Protocol):
    """What an actor reads of a configuration."""

    @property
    def discount(self) -> float: ...
    @property
    def normalise_rewards(self) -> bool: ...


def make_actor(
    config: Rewarded,
    policy: Callable[[Params, Observation], Any],
    law: Law,
    spec: EnvironmentSpec,
    *,
    evaluation: bool,
) -> ActorCore:
    """Makes the actor's functions; an evaluation takes the mode of the policy.

    Args:
      config: the agent's.
      policy: from parameters and a normalised observation [B, ...] to what the law is of, of batch shape [B].
      law: the policy's kind.
      spec: the environment's.
      evaluation: whether the mode is taken.
    """
    is_discrete = spec.action.num_values is not None

    def init(key: Key) -> ActorState:
        return ActorState(key, jnp.zeros(()) if config.normalise_rewards else ())

    def select_action(
        params: ActorParams, observation: Observation, state: ActorState
    ) -> tuple[Action, ActorState, Extras]:
        key, action_key = jax.random.split(state.key)
        one = jax.tree.map(lambda x: jnp.asarray(x)[None], observation)
        chances = policy(params.policy, normalising.normalise(one, params.scale))
        drawn = law.mode(chances) if evaluation else law.sample(action_key, chances)
        kept = () if is_discrete else drawn[0]
        action = (drawn if is_discrete else jnp.clip(drawn, -1.0, 1.0))[0].astype(spec.action.dtype)
        taken = Taken(law.log_prob(chances, drawn)[0], kept, state.return_so_far)
        return action, state._replace(key=key), taken

    def observe(state: ActorState, reward: Array) -> ActorState:
        reward = jnp.asarray(reward, jnp.float32)
        return state._replace(return_so_far=config.discount * state.return_so_far + reward)

    return ActorCore(init, select_action, observe if config.normalise_rewards else ignore_reward)
