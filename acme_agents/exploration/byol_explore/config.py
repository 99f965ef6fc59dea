"""Every number of BYOL-Explore."""

import dataclasses

from acme_agents.core.configs import Layers, NotNegative, PositiveInt, Share
from acme_agents.exploration.config import Learnt


@dataclasses.dataclass(frozen=True)
class WorldModel(Learnt):
    """A model of the world in a space that it learns: encoder, recurrences, and how what it did not foresee is paid.

    Sources: [P] Guo et al. 2022, from notes on the paper; [T] two ports by others, which agree.
    """

    weight: NotNegative = 0.1
    """lambda [P] (unverified)."""
    learning_rate: NotNegative = 1e-3
    """Adam's, per gradient step [T]."""
    encoder_layers: Layers = (64,)
    """Widths of the ReLU layers behind the encoded observation, before a linear one (ours, for small tasks)."""
    embedding_size: PositiveInt = 64
    """N, numbers of an embedding (ours, for small tasks); [T] has 512."""
    memory_size: PositiveInt = 64
    """M, units of each recurrence (ours, for small tasks); [T] has 256."""
    horizon: PositiveInt = 4
    """K, steps that are foreseen at most (ours); [T] has 8. A base agent of n-step transitions has n at most."""
    target_decay: Share = 0.99
    """alpha: share of itself that the target encoder keeps at each gradient step [T]; with 1 it stays random."""
    normaliser_decay: Share = 0.99
    """Of the running mean and deviation by which the bonus is normalised, per update [P]."""
    prioritise: bool = True
    """Pay only what is above the running mean [P]."""
    normalise_observations: bool = True
    """By the mean and the deviation of all observations so far, clipped to 10; images and grids are left alone, as
    in ppo."""


@dataclasses.dataclass(frozen=True)
class Config(WorldModel):
    """BYOL-Explore. Sources as there."""

    predictor_layers: Layers = (64,)
    """Widths of the predictor's ReLU layers, before a linear one (ours, for small tasks)."""
