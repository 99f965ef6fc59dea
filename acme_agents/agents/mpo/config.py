"""Every number of the MPO agent."""

import dataclasses
from typing import Literal

from acme_agents.core import configs

# The least value of each field that has one.
_LEAST = dict.fromkeys(
    (
        *("policy_layers", "critic_layers", "num_components", "num_actions", "n_step"),
        *("target_update_period", "batch_size", "min_replay_size", "max_replay_size"),
        "num_bootstrap_actions",
    ),
    1,
) | {"num_atoms": 2, "smoothing": 1e-3, "samples_per_insert": 1e-6, "learning_rate": 0.0, "max_gradient_norm": 0.0}


@dataclasses.dataclass(frozen=True)
class Config:
    """MPO with a mixture-of-Gaussians, categorical or scalar critic.

    Sources: [P] Acme's `agents/jax/mpo/config.py` and its loss's defaults; [B] Acme's baseline script
    `examples/baselines/rl_continuous/run_mogmpo.py`, which differs from [P] where both are named;
    [M] `networks/distributional.py` of Acme, the mixture head; [D] Acme's `run_dmpo.py`.
    """

    critic: Literal["mixture", "categorical", "scalar"] = "mixture"
    """Law of the return that the critic learns: Gaussian mixture, fixed atoms, or its mean alone."""

    policy_layers: tuple[int, ...] = (256, 256, 256)
    """Widths of the policy network [B]."""
    critic_layers: tuple[int, ...] = (256, 256, 256)
    """Widths of the critic network [B]; [P] has 512, 512, 256."""
    policy_init_stddev: float = 0.5
    """Standard deviation of the untrained policy, in units of the action [B]; [P] has 0.7."""
    policy_min_stddev: float = 1e-6
    """Added to every standard deviation of the policy, in units of the action [P]."""

    num_components: int = 5
    """Gaussians in the mixture critic (Shahriari et al. 2022; 3, 5 and 10 do alike)."""
    init_scale: float = 1e-3
    """Standard deviation of each Gaussian of the untrained critic, in units of the return [M]."""
    smoothing: float = 0.3
    """Width of the Gaussian that smooths both laws in the mixture critic's loss, in units of the spread of a
    minibatch's targets (ours; benchmarks/rare_rewards.py)."""

    vmin: float = -150.0
    """Lowest atom of the categorical critic, in units of the return [D]."""
    vmax: float = 150.0
    """Highest atom of the categorical critic, in units of the return [D]."""
    num_atoms: int = 51
    """Atoms of the categorical critic [D]."""

    num_actions: int = 20
    """Actions sampled for the E-step at each state where the policy is improved [P]."""
    num_bootstrap_actions: int = 4
    """Actions sampled at each bootstrap state for the critic's target (ours); [P] has `num_actions` there too."""
    epsilon: float = 0.1
    """Bound on the KL of the E-step's weights, in nats [P]."""
    epsilon_penalty: float | None = 1e-3
    """The same for the objective that keeps actions inside [-1, 1], in nats; None leaves that objective out [P]."""
    epsilon_mean: float = 1e-2
    """Bound on the KL through the policy's mean, in nats per action dimension [B]; [P] has 2.5e-3."""
    epsilon_stddev: float = 1e-6
    """Bound on the KL through the policy's standard deviation, in nats per action dimension [P]."""
    init_log_temperature: float = 10.0
    """Temperatures before training, before the softplus [P]."""
    fit_temperature: bool = False
    """Solve for the temperature of the E-step's bound whenever the target critic is new, the first time included; its
    gradient follows in between (ours)."""
    init_log_alpha_mean: float = 10.0
    """Multiplier of the mean's constraint before training, before the softplus [P]."""
    init_log_alpha_stddev: float = 1000.0
    """Multiplier of the standard deviation's constraint before training, before the softplus [P]."""

    discount: float = 0.99
    """gamma, per environment step [P]."""
    n_step: int = 4
    """Steps of reward before the bootstrap [B]; [P] has 5."""
    learning_rate: float = 3e-4
    """Adam's, of policy and critic, per update [B]; [P] has 1e-4."""
    dual_learning_rate: float = 1e-2
    """Adam's, of the dual variables, per update [P]."""
    max_gradient_norm: float = 40.0
    """Global norm to which policy's and critic's gradients are clipped, each by itself; [P] has it and clips none."""
    target_update_period: int = 100
    """Updates between copies of the online networks to the target networks [P]."""

    batch_size: int = 256
    """Transitions per update [P]."""
    min_replay_size: int = 1_000
    """Transitions in replay before the first update [P]."""
    max_replay_size: int = 1_000_000
    """Transitions that replay keeps [P]."""
    samples_per_insert: float = 64.0
    """Transitions sampled per transition inserted [B]; [P] has 32."""

    def __post_init__(self) -> None:
        configs.check_least(self, _LEAST)
        configs.check_critic(self)
        configs.check_replay(self)
