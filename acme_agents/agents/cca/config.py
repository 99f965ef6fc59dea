"""Every number of the CCA agent."""

import dataclasses
from typing import Literal

from acme_agents.core import configs
from acme_agents.core.configs import NotNegative, PositiveInt


@dataclasses.dataclass(frozen=True)
class Config(configs.PolicyAndValue):
    """Counterfactual credit assignment, feed-forward or recurrent, for discrete actions.

    Sources: [P] Mesnard et al. 2021, from notes of it; where a field names none, the number is ours, for small tasks.
    """

    estimator: Literal["baseline", "critic"] = "baseline"
    """What the policy gradient is made of: the action taken, and a baseline that knows of what came later; or all
    actions, and a critic that knows of it [P]."""
    statistic_size: PositiveInt = 16
    """Numbers that the statistic of the future is made of."""
    hindsight_layers: configs.Layers = (64,)
    """Widths of the layers through which the backward recurrence sees each step."""
    hindsight_size: PositiveInt = 32
    """Units of the recurrence that goes through the unroll backwards: sums, each with a decay of its own."""
    critic_layers: configs.Layers = (64,)
    """Widths of the layers of the baseline or critic that sees the statistic."""
    classifier_layers: configs.Layers = (64,)
    """Widths of the layers of the hindsight classifier."""
    independence_weight: NotNegative = 30.0
    """Weight of what the statistic tells of the action, in nats, beside the squared error of what it tells of the
    return; at 0 the gradient is biased (benchmarks/cca.py)."""
    hindsight_learning_rate: NotNegative = 1e-3
    """Adam's, of the statistic and of what sees it, per update."""
    classifier_learning_rate: NotNegative = 3e-3
    """Adam's, of the hindsight classifier, per update: above the statistic's, which it must follow."""

    entropy_weight: NotNegative = 0.01
    """Weight of the policy's entropy, in nats."""
    learning_rate: NotNegative = 1e-3
    """Adam's, of the policy and the value, per update."""
