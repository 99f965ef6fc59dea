"""The fields that the configurations of bonuses share."""

import dataclasses

from acme_agents.core import configs
from acme_agents.core.configs import NotNegative, PositiveInt


@dataclasses.dataclass(frozen=True)
class Mixing(configs.Checked):
    """How a bonus is added to the environment's reward."""

    weight: NotNegative = 1.0
    """lambda: what the base agent learns from is the weighted reward of the environment plus lambda times the bonus."""
    extrinsic_weight: NotNegative = 1.0
    """Weight of the environment's reward; 0 to learn from the bonus alone."""


@dataclasses.dataclass(frozen=True)
class Learnt(Mixing):
    """A bonus that is learnt."""

    learning_rate: NotNegative = 1e-4
    """Adam's, per gradient step."""
    max_gradient_norm: NotNegative = 40.0
    """Global norm to which the gradient is clipped (ours)."""
    num_steps: PositiveInt = 1
    """Gradient steps on each batch of the base agent's; an on-policy one sees it once, and wants several (ours)."""
