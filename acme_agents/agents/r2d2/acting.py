"""R2D2's actor: epsilon-greedy, each actor with epsilons of its own; it remembers what it did and what it earned."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.agents.r2d2.config import Config
from acme_agents.agents.r2d2.networks import Inputs, Networks
from acme_agents.core import discrete, recurrent
from acme_agents.core.interfaces import ActorContext, ActorCore
from acme_agents.core.types import Action, Array, Extras, Key, Observation, Params


class ActorState(NamedTuple):
    """What an actor carries through an episode."""

    key: Key
    epsilon: Array  # [] float32, chance of a random action
    memory: recurrent.State  # [1, H], before the next observation
    action: Array  # [A] float32, the previous action one-hot; zero at the episode's first step
    reward: Array  # [] float32, what it earned


def make_actor(config: Config, networks: Networks, context: ActorContext) -> ActorCore:
    """Makes the actor's functions.

    An exploring actor draws one of its epsilons at the start of every episode. Its extras are the LSTM's state
    before the observation, where the learner needs it.
    """

    def init(key: Key) -> ActorState:
        epsilon_key, key = jax.random.split(key)
        return ActorState(
            key=key,
            epsilon=jnp.float32(config.evaluation_epsilon)
            if context.evaluation
            else draw_epsilon(epsilon_key, config, context),
            memory=recurrent.zero_state(1, config.lstm_size),
            action=jnp.zeros(networks.num_actions),
            reward=jnp.zeros(()),
        )

    def select_action(params: Params, observation: Observation, state: ActorState) -> tuple[Action, ActorState, Extras]:
        action_key, key = jax.random.split(state.key)
        one_step = Inputs(observation, state.action, state.reward)
        one_step = jax.tree.map(lambda x: jnp.asarray(x)[None, None], one_step)  # [1, 1, ...]
        q_values, memory = networks.unroll(params, one_step, state.memory)
        action = discrete.epsilon_greedy(action_key, q_values[0, 0], state.epsilon)
        extras = jax.tree.map(lambda x: x[0], state.memory) if config.initial_state == "stored" else ()
        state = ActorState(
            key=key,
            epsilon=state.epsilon,
            memory=memory,
            action=jax.nn.one_hot(action, networks.num_actions),
            reward=jnp.zeros(()),  # until `observe` says what the action earned
        )
        return action, state, extras

    def observe(state: ActorState, reward: Array) -> ActorState:
        return state._replace(reward=jnp.asarray(reward, jnp.float32))

    return ActorCore(init, select_action, observe)


def draw_epsilon(key: Key, config: Config, context: ActorContext) -> Array:
    """One of the epsilons of one of N actors, [] float32: those on the ladder whose number is its own, modulo N.

    The ladder has `num_epsilons` rungs, from `epsilon_max` down to `epsilon_min`, each the same part of the one before.
    Such a ladder, with a rung for each actor, is that of Horgan et al. 2018 (arXiv 1803.00933, section 4.1; there from
    0.4 down to 0.4^8); rungs from 0.1 to 0.001, of which an actor draws one for each episode, are Acme's. With one
    actor it has them all; with more actors than rungs, several have the same one.
    """
    ladder = np.geomspace(config.epsilon_max, config.epsilon_min, config.num_epsilons)
    first = context.index % config.num_epsilons
    count = (config.num_epsilons - first + context.num_actors - 1) // context.num_actors
    rung = first + context.num_actors * jax.random.randint(key, (), 0, count)
    return jnp.asarray(ladder, jnp.float32)[rung]
