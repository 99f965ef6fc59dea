"""Every number of the FMA-PG agent."""

import dataclasses

from acme_agents.agents.fma_pg import losses
from acme_agents.agents.ppo import config as ppo_config
from acme_agents.core.configs import Positive


@dataclasses.dataclass(frozen=True)
class Config(ppo_config.Config):
    """PPO's configuration, and the surrogate in the place of its loss of the policy.

    What is not here is PPO's.
    """

    surrogate: losses.Name = "sppo-min"
    """What the policy climbs: see losses.py. smdpo, mdpo and trpo are held by a divergence, the others by `clip`."""
    eta: Positive = 0.3
    """Of smdpo, mdpo and trpo: a step's size in the space of policies, in units of 1 / advantage; where advantages are
    normalised, of their standard deviation (ours)."""
