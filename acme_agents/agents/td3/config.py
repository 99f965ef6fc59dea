"""Every number of the TD3 agent that is not as in `core.configs.TwinCritics`."""

import dataclasses

from acme_agents.core import configs
from acme_agents.core.configs import NotNegative, Positive, PositiveInt


@dataclasses.dataclass(frozen=True)
class Config(configs.TwinCritics):
    """TD3 with the numbers of its authors.

    Sources: [F] Fujimoto's `TD3` (github.com/sfujim/TD3), `main.py`; [B] his `TD3_BC`, from
    memory.
    """

    exploration_stddev: NotNegative = 0.1
    """Standard deviation of the actor's noise, in units of the action [F]."""
    target_stddev: NotNegative = 0.2
    """Standard deviation of the noise that smooths the target policy, in units of the action [F]."""
    target_noise_bound: NotNegative = 0.5
    """Largest size of that noise, in units of the action [F]."""
    policy_update_period: PositiveInt = 2
    """Critic updates to one of the policy and of all target networks [F]."""
    behaviour_alpha: Positive | None = None
    """Weight of the values against imitating the data's actions, which is TD3+BC and has 2.5 [B]; None does not
    imitate [F]."""
