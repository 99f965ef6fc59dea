"""DiME: MPO for several objectives, and for offline data; reconstructed."""

from acme_agents.dime.agent import DiME as make
from acme_agents.dime.config import Config

__all__ = ["Config", "make"]
