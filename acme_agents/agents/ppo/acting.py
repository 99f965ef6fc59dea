"""PPO's actor: samples the policy, and keeps what the learner needs to know of it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from acme_agents.agents.ppo.config import Config
from acme_agents.agents.ppo.networks import ActorParams, Networks
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
    action: Any  # [A] float32, before it was clipped to the box; () where actions are discrete
    return_so_far: Any  # of the `ActorState`, before the action was rewarded


def make_actor(config: Config, nets: Networks, spec: EnvironmentSpec, *, evaluation: bool) -> ActorCore:
    """Makes the actor's functions; an evaluation takes the mode of the policy."""
    is_discrete = spec.action.num_values is not None

    def init(key: Key) -> ActorState:
        return ActorState(key, jnp.zeros(()) if config.normalise_rewards else ())

    def select_action(
        params: ActorParams, observation: Observation, state: ActorState
    ) -> tuple[Action, ActorState, Extras]:
        key, action_key = jax.random.split(state.key)
        one = jax.tree.map(lambda x: jnp.asarray(x)[None], observation)
        law = nets.policy.apply(params.policy, normalising.normalise(one, params.scale))
        drawn = nets.law.mode(law) if evaluation else nets.law.sample(action_key, law)
        kept = () if is_discrete else drawn[0]
        action = (drawn if is_discrete else jnp.clip(drawn, -1.0, 1.0))[0].astype(spec.action.dtype)
        taken = Taken(nets.law.log_prob(law, drawn)[0], kept, state.return_so_far)
        return action, state._replace(key=key), taken

    def observe(state: ActorState, reward: Array) -> ActorState:
        reward = jnp.asarray(reward, jnp.float32)
        return state._replace(return_so_far=config.discount * state.return_so_far + reward)

    return ActorCore(init, select_action, observe if config.normalise_rewards else ignore_reward)
