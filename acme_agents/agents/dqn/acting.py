"""DQN's actor: epsilon-greedy, with an epsilon that falls as the learner's updates go on."""

import jax.numpy as jnp

from acme_agents.agents.dqn.config import Config
from acme_agents.agents.dqn.networks import ActorParams
from acme_agents.core import actors, discrete
from acme_agents.core.interfaces import ActorCore
from acme_agents.core.networks import Network
from acme_agents.core.types import Action, Array, Key, Observation


def make_actor(config: Config, network: Network, *, evaluation: bool) -> ActorCore:
    """Makes the actor's functions."""

    def act(params: ActorParams, observation: Observation, key: Key) -> Action:
        epsilon = config.evaluation_epsilon if evaluation else epsilon_after(params.steps, config)
        return discrete.epsilon_greedy(key, network.apply(params.online, observation)[0], epsilon)

    return actors.stateless(act)


def epsilon_after(steps: Array, config: Config) -> Array:
    """The chance of a random action after `steps` updates, [] int32: it falls along a line, then stays level."""
    done = jnp.minimum(steps / config.epsilon_updates, 1.0)
    return config.epsilon_start + done * (config.epsilon_end - config.epsilon_start)
