"""DDPG's actor: the policy's action, with Gaussian noise to explore."""

from acme_agents.agents.ddpg.config import Config
from acme_agents.agents.ddpg.networks import Networks
from acme_agents.core import actors
from acme_agents.core.interfaces import ActorCore


def make_actor(config: Config, networks: Networks, *, evaluation: bool) -> ActorCore:
    """Makes the actor's functions; before the first update it explores with uniform actions."""
    return actors.deterministic(networks.policy.apply, config.exploration_stddev, evaluation=evaluation)
