"""Every number of the DiME agent: those of MPO, and what several objectives add."""

import dataclasses
from typing import Annotated, Literal

from acme_agents.agents.mpo import config as mpo_config
from acme_agents.core import configs, errors


@dataclasses.dataclass(frozen=True)
class Config(mpo_config.TrustRegion):
    """MPO's configuration with objectives that are traded off.

    Everything that is inherited has MPO's default, so that an agent with one objective is MPO. The paper could not be
    read; README.md says which values are known of it.
    """

    method: Literal["dime", "mo-mpo", "scalarisation"] = "dime"
    """Where the preference enters: the distillation, the bounds of the E-steps, or the sum of the values."""
    preference: tuple[float, ...] = ()
    """Weight of each objective, and last of the behaviour if there is one; made to sum to one. Empty: all equal."""
    conditioned: bool = False
    """Learn one policy for all preferences, which are drawn uniformly; an evaluation acts by `preference`."""

    behaviour: Literal["none", "bc", "awbc", "teacher"] = "none"
    """One more expert: the data's actions, those actions weighted by their advantage, or a teacher's actions."""
    advantage_temperature: Annotated[float, configs.above(0)] = 1.0
    """Of the weights of "awbc", in units of the value (ours; CRR has 1)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.conditioned and self.method == "mo-mpo":
            raise errors.UserError(
                "A conditioned policy needs the method dime or scalarisation: mo-mpo has its preference in the "
                "E-steps' bounds, which are one for all states."
            )
