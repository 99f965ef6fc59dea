"""BYOL-Hindsight: as BYOL-Explore, but what no model could have foreseen is told in hindsight, and not paid for."""

from acme_agents.core.interfaces import Agent
from acme_agents.exploration import wrapping
from acme_agents.exploration.byol_hindsight import learning
from acme_agents.exploration.byol_hindsight.config import Config

__all__ = ["Config", "make"]


def make(config: Config, base: Agent) -> Agent:
    """The base agent with the bonus; see this folder's README."""
    return wrapping.Wrapped("byol-hindsight", base, lambda spec: learning.make_bonus(config, spec), config)
