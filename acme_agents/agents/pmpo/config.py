"""Every number of the PMPO agent that is not as in `core.configs`."""

import dataclasses
from typing import Literal

from acme_agents.agents.mpo.config import ImprovedPolicy
from acme_agents.core import errors
from acme_agents.core.configs import NotNegative, Share


@dataclasses.dataclass(frozen=True)
class Config(ImprovedPolicy):
    """PMPO on MPO's critics.

    Sources: [P] Abdolmaleki et al. 2024, by notes that quote it; [D] Dreamer 4's policy loss, by notes on it.
    """

    alpha: Share = 0.5
    """Weight of the preferred actions; the dispreferred ones have the rest. 1 accepts alone, 0 rejects alone [D]."""
    beta: NotNegative = 1.0
    """Weight of the divergence from the reference policy; above 1 - alpha [P], which swept 0 to 2."""
    beta_stddev: NotNegative | None = 10.0
    """Weight of the divergence through the standard deviation, where `beta` is of that through the mean, and the two
    are fitted apart as in MPO (ours); None fits both at once [P]."""
    preferences: Literal["rank", "advantage", "all"] = "rank"
    """What is preferred: the better half of a state's actions and not the other [P], what is no worse than their mean
    and not what is worse [D], or all of them, which with alpha 1 is behaviour cloning."""
    kl: Literal["forward", "reverse"] = "forward"
    """The divergence: KL(reference || policy) [P], or KL(policy || reference) [D]."""
    reference: Literal["target", "data"] = "target"
    """Whose actions have preferences and which policy is stayed near: the target policy [P], or, for offline data, the
    policy that made it, of which there are its actions alone (ours)."""

    policy_min_stddev: NotNegative = 1e-3
    """Added to every standard deviation of the policy, in units of the action (ours, as BC's): no trust region holds
    it where beta is small."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_actions < 2:
            raise errors.UserError(
                f"num_actions must be at least 2, not {self.num_actions}: the actions of one state are compared."
            )
        if self.reference == "data" and self.preferences == "rank":
            raise errors.UserError(
                'preferences "rank" compares the actions of one state, and the data has one for each: with reference '
                '"data" choose "advantage" or "all".'
            )
        if self.reference == "data" and self.kl == "reverse" and self.beta > 0:
            raise errors.UserError(
                'kl "reverse" needs the density of the reference, and with reference "data" there are its actions '
                'alone: choose "forward".'
            )
