"""Every number of the R2D3 agent: those of R2D2, some of them others, and the share of the demonstrations."""

import dataclasses
from typing import Annotated, Literal

from acme_agents.agents.r2d2 import config as r2d2_config
from acme_agents.core.configs import Positive, PositiveInt, Share, at_least


@dataclasses.dataclass(frozen=True)
class Config(r2d2_config.Config):
    """R2D2's configuration with R2D3's values, and the demonstrations.

    Sources: [R] Acme's `agents/tf/r2d3`; [P] Paine, Gulcehre et al. 2019, from notes on the paper. What is not here is
    R2D2's.
    """

    demonstration_ratio: Share = 1 / 256
    """Chance that an element of a batch is a demonstration, a sequence of the dataset; 0 is R2D2 [P]."""

    initial_state: Literal["stored", "zero"] = "zero"
    """The LSTM's state before a sequence's first row: what the actor's was, or zero [R], [P]."""
    trace_length: PositiveInt = 40
    """Transitions of a sequence that are learnt from; with the burn-in, 80 [P] (unverified)."""

    num_epsilons: PositiveInt = 1
    """Rungs of the ladder of epsilons: all actors have one [R]."""
    epsilon_max: Share = 0.01
    """Its first rung: the chance of a random action [R]."""
    epsilon_min: Annotated[Share, at_least(1e-6)] = 0.01
    """Its last rung, where there are several [R]."""

    target_update_period: PositiveInt = 100
    """Updates between copies of the online network to the target network [R]."""
    batch_size: PositiveInt = 32
    """Sequences per update [R]."""
    samples_per_insert: Positive = 32.0
    """Sequences sampled per sequence inserted [R]."""
