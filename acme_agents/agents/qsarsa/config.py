"""Every number of the qsarsa agent that is not as in TD3's configuration."""

import dataclasses

from acme_agents.agents.td3.config import Config as TD3Config
from acme_agents.core.configs import NotNegative, Positive, PositiveInt


@dataclasses.dataclass(frozen=True)
class Config(TD3Config):
    """TD3's, and how near it is kept to the behaviour's values.

    All of these numbers are ours: those of Shi et al. 2023 could not be read.
    """

    sarsa_updates: PositiveInt | None = 10_000
    """Updates at the start in which the estimate of the behaviour's values learns alone, and after which it is fixed;
    None has it learn in every update, beside TD3."""
    in_weight: NotNegative = 1.0
    """Weight of the critics' squared distance from the estimate at the data's actions, relative to the TD error's."""
    out_weight: NotNegative = 1.0
    """The same at the policy's actions in the next states, which the critics' targets are bootstrapped from."""
    actor_weight: NotNegative = 0.0
    """Weight of the estimate beside the first critic in what the policy climbs; 0 regularises the critics alone."""
    trusted_gap: Positive | None = None
    """Distance between critics and estimate at the next action, in units of the return, at which a transition's TD
    error counts a half; None counts all alike."""
