"""Every number of the D4PG agent: those of DDPG, and its critic's."""

import dataclasses
from typing import Literal

from acme_agents.agents.ddpg import config as ddpg_config
from acme_agents.core import configs


@dataclasses.dataclass(frozen=True)
class Config(ddpg_config.Config, configs.Critic):
    """DDPG with a distributional critic.

    Source: [B] Acme's script `examples/baselines/rl_continuous/run_d4pg.py`. What is not here is DDPG's.
    """

    critic: Literal["mixture", "categorical"] = "categorical"
    """Law of the return that the critic learns: fixed atoms [B], or a Gaussian mixture, which needs no bounds."""
