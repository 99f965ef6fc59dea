"""Every number of the CRR agent."""

import dataclasses
from typing import Literal

from acme_agents.core import configs

# The least value of each field that has one.
_LEAST = dict.fromkeys(
    (
        *("policy_layers", "critic_layers", "num_policy_components", "num_components"),
        *("num_action_samples", "num_bootstrap_actions", "num_evaluation_actions", "n_step"),
        *("target_update_period", "batch_size", "min_replay_size", "max_replay_size"),
    ),
    1,
) | {
    "num_atoms": 2,
    "smoothing": 1e-3,
    "beta": 1e-6,
    "samples_per_insert": 1e-6,
    **dict.fromkeys(
        ("policy_min_stddev", "upper_bound", "policy_learning_rate", "critic_learning_rate", "max_gradient_norm"), 0.0
    ),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """CRR with feed-forward networks.

    Sources: [O] Acme's `agents/tf/crr`, with what the official notebook of RL Unplugged gives it; [J] Acme's
    `agents/jax/crr`, and [E] its example `run_crr_jax.py`; [M] Acme's `networks/distributional.py`.
    """

    weight: Literal["exp", "binary", "all"] = "exp"
    """Weight of the data's actions: exp(advantage / beta), whether the advantage is positive, or one for all [O]."""
    baseline: Literal["mean", "max"] = "mean"
    """What the advantage is over, of the values of the policy's actions; binary with max is "binary max" [O]."""
    beta: float = 1.0
    """Temperature of the weight exp and of the evaluation cwp, in units of the return [O]."""
    upper_bound: float = 20.0
    """Largest weight of exp [O]."""
    num_action_samples: int = 4
    """Actions of the policy at each state, for the baseline [O]."""

    bootstrap: Literal["target", "sarsa"] = "target"
    """Source of the next action: the target policy [O], or the data, to evaluate the policy that made it [E]."""
    num_bootstrap_actions: int = 1
    """Actions of the target policy at each bootstrap state [O]."""

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

    critic: Literal["categorical", "mixture", "scalar"] = "categorical"
    """Law of the return that the critic learns: fixed atoms [O], Gaussian mixture, or its mean alone [J]."""
    critic_layers: tuple[int, ...] = (256, 256)
    """Widths of the critic network [J]."""
    vmin: float = 0.0
    """Lowest atom of the categorical critic, in units of the return [O]: the control suite's rewards lie in [0, 1]."""
    vmax: float = 100.0
    """Highest atom of the categorical critic, in units of the return [O]."""
    num_atoms: int = 21
    """Atoms of the categorical critic [O]."""
    num_components: int = 5
    """Gaussians in the mixture critic (Shahriari et al. 2022)."""
    init_scale: float = 1e-3
    """Standard deviation of each Gaussian of the untrained mixture critic, in units of the return [M]."""
    smoothing: float = 0.3
    """Width of the Gaussian that smooths both laws in the mixture critic's loss, as MPO has it."""

    evaluation: Literal["mode", "sample", "cwp"] = "mode"
    """How an evaluation acts: the policy's mode [J], a sample [O], or one of several samples chosen by the critic."""
    num_evaluation_actions: int = 16
    """Actions that cwp chooses from."""

    discount: float = 0.99
    """gamma, per environment step [O]."""
    n_step: int = 1
    """Steps of reward before the bootstrap [O]."""
    policy_learning_rate: float = 1e-4
    """Adam's, of the policy, per update [O]; [E] has 3e-5."""
    critic_learning_rate: float = 1e-4
    """Adam's, of the critic, per update [O]; [E] has 3e-4."""
    max_gradient_norm: float = 40.0
    """Global norm to which policy's and critic's gradients are clipped, each by itself [O]."""
    target_update_period: int = 100
    """Updates between copies of the online networks to the target networks [O]."""

    batch_size: int = 256
    """Transitions per update [O]."""
    min_replay_size: int = 1_000
    """Transitions in replay before the first update, where there are actors."""
    max_replay_size: int = 1_000_000
    """Transitions that replay keeps."""
    samples_per_insert: float = 64.0
    """Transitions sampled per transition inserted, where there are actors."""

    def __post_init__(self) -> None:
        configs.check_least(self, _LEAST)
        configs.check_critic(self)
        configs.check_replay(self)
