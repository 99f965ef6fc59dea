"""BYOL-Explore: a bonus for what a model of the world, in a space that it learns itself, did not foresee."""

from acme_agents.core.interfaces import Agent
from acme_agents.exploration import wrapping
from acme_agents.exploration.byol_explore import learning
from acme_agents.exploration.byol_explore.config import Config

__all__ = ["Config", "make"]


def make(config: Config, base: Agent) -> Agent:
    """The base agent with the bonus; see this folder's README."""
    return wrapping.Wrapped("byol-explore", base, lambda spec: learning.make_bonus(config, spec), config)
