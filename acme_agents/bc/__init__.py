"""Behaviour cloning, with a Gaussian, tanh-Gaussian or mixture policy."""

from acme_agents.bc.agent import BC as make
from acme_agents.bc.config import Config

__all__ = ["Config", "make"]
