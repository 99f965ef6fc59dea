"""The R2D3 agent: R2D2 with a second source of experience."""

import dataclasses

from acme_agents.core.interfaces import DATASET, REPLAY, ReplaySpec
from acme_agents.core.types import EnvironmentSpec
from acme_agents.r2d2 import agent as r2d2_agent
from acme_agents.r2d3.config import Config


@dataclasses.dataclass(frozen=True)
class R2D3(r2d2_agent.R2D2):
    """Recurrent replay distributed DQN from demonstrations; see this folder's README."""

    config: Config

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """Prioritised sequences, each from the demonstrations by chance, otherwise from what the actors see."""
        ratio = self.config.demonstration_ratio
        return dataclasses.replace(super().replay(spec), sources={DATASET: ratio, REPLAY: 1.0 - ratio})
