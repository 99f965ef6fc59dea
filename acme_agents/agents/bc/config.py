"""Every number of the BC agent."""

import dataclasses
from typing import Literal

from acme_agents.core import configs

# The least value of each field that has one.
_LEAST = dict.fromkeys(
    ("policy_layers", "num_policy_components", "batch_size", "min_replay_size", "max_replay_size"), 1
) | {"samples_per_insert": 1e-6, "policy_min_stddev": 0.0, "learning_rate": 0.0, "max_gradient_norm": 0.0}


@dataclasses.dataclass(frozen=True)
class Config:
    """Behaviour cloning: CRR's policy (acme_agents/agents/crr/config.py), with every weight one.

    There is no discount and no `n_step`, since no reward is looked at. Sources: [O] Acme's `agents/tf/crr`, as the
    official notebook of RL Unplugged runs it; [J] Acme's `agents/jax/crr`.
    """

    policy: Literal["mixture", "gaussian", "tanh-gaussian"] = "mixture"
    """Law of the action: a mixture of Gaussians [O], one Gaussian, or the tanh of one [J]."""
    policy_layers: tuple[int, ...] = (256, 256)
    """Widths of the policy network [J]."""
    num_policy_components: int = 5
    """Gaussians in the mixture policy [O]."""
    policy_init_stddev: float = 0.7
    """Standard deviation of the untrained policy, in units of the action, before the tanh if there is one [O]."""
    policy_min_stddev: float = 1e-3
    """Added to every standard deviation of the policy, in the same units [J]; [O] has 1e-4."""

    evaluation: Literal["mode", "sample"] = "mode"
    """How an evaluation acts: the policy's mode (ours, as CRR's [J]), or a sample of it [O], [J]."""

    learning_rate: float = 1e-4
    """Adam's, per update [O]."""
    max_gradient_norm: float = 40.0
    """Global norm to which the gradient is clipped [O]."""

    batch_size: int = 256
    """Actions imitated per update [O]."""
    min_replay_size: int = 1_000
    """Transitions in replay before the first update, where there are actors."""
    max_replay_size: int = 1_000_000
    """Transitions that replay keeps."""
    samples_per_insert: float = 64.0
    """Transitions sampled per transition inserted, where there are actors."""

    def __post_init__(self) -> None:
        configs.check_least(self, _LEAST)
        configs.check_replay(self)
