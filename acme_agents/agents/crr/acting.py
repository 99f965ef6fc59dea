"""CRR's actor: samples of the policy to explore; its mode, a sample or the critic's choice of samples to evaluate."""

import jax
import jax.numpy as jnp

from acme_agents.agents.crr.config import Config
from acme_agents.agents.crr.networks import ActorParams, Networks
from acme_agents.core import actors
from acme_agents.core.interfaces import ActorCore
from acme_agents.core.types import Action, Array, Key, Observation


def make_actor(config: Config, networks: Networks, *, evaluation: bool) -> ActorCore:
    """Makes the actor's functions; actions are clipped to [-1, 1]."""
    how = config.evaluation if evaluation else "sample"
    head, value_head = networks.policy.head, networks.value_head

    def act(params: ActorParams, observation: Observation, key: Key) -> Action:
        sample_key, choice_key = jax.random.split(key)
        distribution = networks.policy.apply(params.policy, observation)
        if how == "mode":
            action = head.mode(distribution)[0]
        elif how == "sample":
            action = head.sample(sample_key, distribution, 1)[0, 0]
        else:
            actions = head.sample(sample_key, distribution, config.num_evaluation_actions)  # [N, 1, A]
            value = jax.vmap(networks.critic.apply, (None, None, 0))(params.critic, observation, actions)
            action = actions[choose(choice_key, value_head.mean(value)[:, 0], config.beta), 0]
        return jnp.clip(action, -1.0, 1.0)

    return actors.stateless(act)


def choose(key: Key, q_values: Array, beta: float) -> Array:
    """The critic-weighted policy's choice: index j with probability `softmax_j(q_j / beta)`.

    The values are the logits themselves; the softmax of exp(q / beta), which is met in the wild, is another policy.

    Args:
      key: random key.
      q_values: [N], of samples of the policy.
      beta: temperature, in units of the return.

    Returns:
      [] int32.
    """
    return jax.random.categorical(key, q_values / beta)
