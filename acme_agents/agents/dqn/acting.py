"""DQN's actor: epsilon-greedy, with an epsilon that falls as the learner's updates go on."""

import jax
import jax.numpy as jnp

from acme_agents.agents.dqn.config import Config
from acme_agents.agents.dqn.networks import ActorParams, Networks
from acme_agents.core import discrete
from acme_agents.core.interfaces import ActorCore
from acme_agents.core.types import Action, Array, Extras, Key, Observation


def make_actor(config: Config, networks: Networks, *, evaluation: bool) -> ActorCore:
    """Makes the actor's functions; its state is a random key."""

    def select_action(params: ActorParams, observation: Observation, key: Key) -> tuple[Action, Key, Extras]:
        action_key, key = jax.random.split(key)
        q_values = networks.q_values(params.online, jax.tree.map(lambda x: jnp.asarray(x)[None], observation))[0]
        epsilon = config.evaluation_epsilon if evaluation else epsilon_after(params.steps, config)
        return discrete.epsilon_greedy(action_key, q_values, epsilon), key, ()

    return ActorCore(init=lambda key: key, select_action=select_action)


def epsilon_after(steps: Array, config: Config) -> Array:
    """The chance of a random action after so many updates, [] int32: down a straight line, and then level."""
    done = jnp.minimum(steps / config.epsilon_updates, 1.0)
    return config.epsilon_start + done * (config.epsilon_end - config.epsilon_start)
