"""V-MPO's actor: samples the policy, and keeps what the learner needs to know of it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from acme_agents.agents.vmpo.networks import ActorParams, Networks
from acme_agents.core import normalising
from acme_agents.core.configs import PolicyAndValue
from acme_agents.core.interfaces import ActorCore, ignore_reward
from acme_agents.core.types import Action, Array, EnvironmentSpec, Extras, Key, Observation


class ActorState(NamedTuple):
    """What an actor carries through an episode."""

    key: Key
    memory: Any  # [1, H] of the LSTM, before the next observation; () without one
    return_so_far: Any  # [] float32, discounted: sum_i gamma^i r_{t-i}; () where rewards are not normalised


class Taken(NamedTuple):
    """What is stored beside each step."""

    log_prob: Array  # [] float32, of the action
    action: Any  # [A] float32, before it was clipped to the box; () where actions are discrete
    return_so_far: Any  # of the `ActorState`, before the action was rewarded
    memory: Any  # [H], of the `ActorState`, before the observation


def make_actor(config: PolicyAndValue, nets: Networks, spec: EnvironmentSpec, *, evaluation: bool) -> ActorCore:
    """Makes the actor's functions; an evaluation takes the mode of the policy."""
    is_discrete = spec.action.num_values is not None

    def init(key: Key) -> ActorState:
        return ActorState(key, nets.no_memory, jnp.zeros(()) if config.normalise_rewards else ())

    def select_action(
        params: ActorParams, observation: Observation, state: ActorState
    ) -> tuple[Action, ActorState, Extras]:
        key, action_key = jax.random.split(state.key)
        one = jax.tree.map(lambda x: jnp.asarray(x)[None, None], observation)  # [1, 1, *O]
        seen = normalising.normalise(one, params.scale)
        outputs, memory = nets.unroll(params.network, seen, jnp.zeros((1, 1), bool), state.memory)
        drawn = nets.law.mode(outputs.law) if evaluation else nets.law.sample(action_key, outputs.law)
        log_prob = nets.law.log_prob(outputs.law, drawn)[0, 0]
        drawn = drawn[0, 0]
        taken = Taken(
            log_prob,
            () if is_discrete else drawn,
            state.return_so_far,
            jax.tree.map(lambda x: x[0], state.memory),
        )
        action = (drawn if is_discrete else jnp.clip(drawn, -1.0, 1.0)).astype(spec.action.dtype)
        return action, state._replace(key=key, memory=memory), taken

    def observe(state: ActorState, reward: Array) -> ActorState:
        reward = jnp.asarray(reward, jnp.float32)
        return state._replace(return_so_far=config.discount * state.return_so_far + reward)

    return ActorCore(init, select_action, observe if config.normalise_rewards else ignore_reward)
