"""MPO, with a mixture-of-Gaussians, categorical or scalar critic."""

from acme_agents.mpo.agent import MPO as make
from acme_agents.mpo.config import Config

__all__ = ["Config", "make"]
