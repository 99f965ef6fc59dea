"""Random network distillation: a bonus for observations that a network cannot yet tell of another, random one."""

from acme_agents.core.interfaces import Agent
from acme_agents.exploration import wrapping
from acme_agents.exploration.rnd import learning, networks
from acme_agents.exploration.rnd.config import Config

__all__ = ["Config", "make"]


def make(config: Config, base: Agent) -> Agent:
    """The base agent with the bonus; see this folder's README."""
    return wrapping.Wrapped(
        "rnd", base, lambda spec: learning.make_bonus(config, networks.make_networks(config, spec), spec), config
    )
