"""R2D3: R2D2 that also replays demonstrations, for hard exploration."""

from acme_agents.r2d3.agent import R2D3 as make
from acme_agents.r2d3.config import Config

__all__ = ["Config", "make"]
