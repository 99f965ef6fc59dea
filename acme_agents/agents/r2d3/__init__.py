"""R2D3: R2D2 that also replays demonstrations, for hard exploration."""

import dataclasses

from acme_agents.agents.r2d2 import R2D2
from acme_agents.agents.r2d3.config import Config
from acme_agents.core.interfaces import DATASET, REPLAY, ReplaySpec
from acme_agents.core.types import EnvironmentSpec

__all__ = ["Config", "make"]


@dataclasses.dataclass(frozen=True)
class R2D3(R2D2):
    """Recurrent replay distributed DQN from demonstrations; see this folder's README."""

    config: Config

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """Prioritised sequences, each from the demonstrations by chance, otherwise from what the actors see."""
        ratio = self.config.demonstration_ratio
        return dataclasses.replace(super().replay(spec), sources={DATASET: ratio, REPLAY: 1.0 - ratio})


make = R2D3
