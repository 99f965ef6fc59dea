"""Geometric entropy maximisation, as reconstructed here: a bonus for states that little visited of late is alike."""

from acme_agents.core.interfaces import Agent
from acme_agents.exploration import wrapping
from acme_agents.exploration.gem import learning, networks
from acme_agents.exploration.gem.config import Config

__all__ = ["Config", "make"]


def make(config: Config, base: Agent) -> Agent:
    """The base agent with the bonus; see this folder's README."""
    return wrapping.Wrapped(
        "gem", base, lambda spec: learning.make_bonus(config, networks.make_networks(config, spec), spec), config
    )
