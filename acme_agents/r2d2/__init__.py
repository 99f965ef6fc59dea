"""R2D2: recurrent double Q-learning from prioritised sequences, for discrete actions."""

from acme_agents.r2d2.agent import R2D2 as make
from acme_agents.r2d2.config import Config

__all__ = ["Config", "make"]
