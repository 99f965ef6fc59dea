"""Every number of random network distillation."""

import dataclasses
from typing import Annotated

from acme_agents.core.configs import Layers, Positive, PositiveInt, Share, within
from acme_agents.exploration.config import Learnt


@dataclasses.dataclass(frozen=True)
class Config(Learnt):
    """Random network distillation.

    Sources: [B] Burda et al. 2018, from its code as it is remembered (unverified).
    """

    target_layers: Layers = (64, 64)
    """Widths of the fixed random network's layers behind the encoded observation (ours, for small tasks)."""
    predictor_layers: Layers = (64, 64, 64)
    """Widths of the predictor's layers; [B] has two more than in the target (ours, for small tasks)."""
    embedding_size: PositiveInt = 64
    """Numbers of an embedding (ours, for small tasks); [B] has 512."""
    discount: Share = 0.99
    """gamma of the returns of errors whose deviation the errors are divided by [B]."""
    observation_limit: Positive = 5.0
    """Normalised observations are clipped to it [B]."""
    update_share: Annotated[float, within(1e-3, 1)] = 0.25
    """Chance that the predictor learns from a transition of the batch; a quarter for 128 environments [B]."""
