"""HCA's actor: samples the policy, and keeps what the learner needs to know of it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from acme_agents.agents.hca.config import Config
from acme_agents.agents.hca.networks import ActorParams, Networks
from acme_agents.core import normalising
from acme_agents.core.interfaces import ActorCore, ignore_reward
from acme_agents.core.types import Action, Array, EnvironmentSpec, Extras, Key, Observation


class ActorState(NamedTuple):
    """What an actor carries through an episode."""

    key: Key
    return_so_far: Any  # [] float32, discounted: sum_i gamma^i r_{t-i}; () where rewards are not normalised


class Taken(NamedTuple):
    """What is stored beside each step."""

    log_prob: Array  # [] float32, of the action
    return_so_far: Any  # of the `ActorState`, before the action was rewarded


def make_actor(config: Config, nets: Networks, spec: EnvironmentSpec, *, evaluation: bool) -> ActorCore:
    """Makes the actor's functions; an evaluation takes the mode of the policy."""

    def init(key: Key) -> ActorState:
        return ActorState(key, jnp.zeros(()) if config.normalise_rewards else ())

    def select_action(
        params: ActorParams, observation: Observation, state: ActorState
    ) -> tuple[Action, ActorState, Extras]:
        key, action_key = jax.random.split(state.key)
        one = jax.tree.map(lambda x: jnp.asarray(x)[None], observation)
        logits = nets.agent.apply(params.agent, normalising.normalise(one, params.scale)).logits
        drawn = nets.law.mode(logits) if evaluation else nets.law.sample(action_key, logits)
        taken = Taken(nets.law.log_prob(logits, drawn)[0], state.return_so_far)
        return drawn[0].astype(spec.action.dtype), state._replace(key=key), taken

    def observe(state: ActorState, reward: Array) -> ActorState:
        reward = jnp.asarray(reward, jnp.float32)
        return state._replace(return_so_far=config.discount * state.return_so_far + reward)

    return ActorCore(init, select_action, observe if config.normalise_rewards else ignore_reward)
