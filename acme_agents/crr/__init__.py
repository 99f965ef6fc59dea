"""CRR, critic-regularised regression, with a categorical, mixture-of-Gaussians or scalar critic."""

from acme_agents.crr.agent import CRR as make
from acme_agents.crr.config import Config

__all__ = ["Config", "make"]
