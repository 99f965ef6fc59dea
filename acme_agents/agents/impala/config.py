"""Every number of the IMPALA agent."""

import dataclasses
from typing import Annotated

from acme_agents.core import configs
from acme_agents.core.configs import NotNegative, Positive, PositiveInt, at_least


@dataclasses.dataclass(frozen=True)
class Config(configs.ActorCritic):
    """IMPALA: an actor-critic corrected by V-trace, feed-forward or recurrent.

    Sources: [P] Espeholt et al. 2018, its appendix for Atari.
    """

    unroll_length: PositiveInt = 20
    """Rows of an unroll: steps, and final observations of episodes [P]."""
    batch_size: PositiveInt = 8
    """Unrolls per update (ours, for small tasks); [P] has 32."""
    max_policy_lag: Annotated[int, at_least(0)] = 16
    """Updates by which an unroll may be too old, where there are several processes; older ones are dropped (ours)."""

    max_ratio: Positive = 1.0
    """rho-bar: ratios of new to old probability are clipped to it where they weigh an error [P]."""
    max_trace_ratio: Positive = 1.0
    """c-bar: likewise where they carry errors back [P]."""
    value_weight: NotNegative = 0.5
    """Weight of the value's loss [P]."""
    entropy_weight: NotNegative = 0.01
    """Weight of the policy's entropy, in nats [P]."""
    learning_rate: NotNegative = 1e-3
    """Adam's, per update (ours); [P] has RMSProp with 6e-4."""
