"""Every number of the BC agent that is not as in `core.configs`."""

import dataclasses
from typing import Literal

from acme_agents.core import configs
from acme_agents.core.configs import NotNegative


@dataclasses.dataclass(frozen=True)
class Config(configs.StochasticPolicy, configs.Adam, configs.Replay):
    """Behaviour cloning: CRR's policy (acme_agents/agents/crr/config.py), with every weight one.

    There is no discount and no `n_step`, since no reward is looked at. Sources: [O] Acme's `agents/tf/crr`, as the
    official notebook of RL Unplugged runs it; [J] Acme's `agents/jax/crr`.
    """

    evaluation: Literal["mode", "sample"] = "mode"
    """How an evaluation acts: the policy's mode (ours, as CRR's [J]), or a sample of it [O], [J]."""

    learning_rate: NotNegative = 1e-4
    """Adam's, per update [O]."""
