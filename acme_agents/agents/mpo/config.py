"""Every number of the MPO agent that is not as in `core.configs`."""

import dataclasses

from acme_agents.core import configs, teaching
from acme_agents.core.configs import Layers, NotNegative, PositiveInt


@dataclasses.dataclass(frozen=True)
class ImprovedPolicy(configs.Critic, configs.Adam, configs.Replay):
    """A Gaussian policy that improves by its own actions, as a critic values them: what MPO and PMPO share.

    Sources: [P] Acme's `agents/jax/mpo/config.py` and its loss's defaults; [B] Acme's baseline script
    `examples/baselines/rl_continuous/run_mogmpo.py`, which differs from [P] where both are named.
    """

    policy_layers: Layers = (256, 256, 256)
    """Widths of the policy network [B]."""
    critic_layers: Layers = (256, 256, 256)
    """Widths of the critic network [B]; [P] has 512, 512, 256."""
    policy_init_stddev: float = 0.7
    """Standard deviation of the untrained policy, in units of the action [P]; [B] has 0.5."""
    policy_min_stddev: float = 1e-6
    """Added to every standard deviation of the policy, in units of the action [P]."""
    num_actions: PositiveInt = 20
    """Actions sampled at each state where the policy is improved [P]."""
    num_bootstrap_actions: PositiveInt = 4
    """Actions sampled at each bootstrap state for the critic's target (ours); [P] has `num_actions` there too."""
    n_step: PositiveInt = 4
    """Steps of reward before the bootstrap [B]; [P] has 5."""


@dataclasses.dataclass(frozen=True)
class TrustRegion(ImprovedPolicy):
    """What MPO and DiME share: how far a step of the policy goes; sources as above."""

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
    fit_temperature: bool = True
    """Solve for the temperature of the E-step's bound whenever the target critic is new, the first time included; its
    gradient follows in between (ours)."""
    init_log_alpha_mean: float = 10.0
    """Multiplier of the mean's constraint before training, before the softplus [P]."""
    init_log_alpha_stddev: float = 1000.0
    """Multiplier of the standard deviation's constraint before training, before the softplus [P]."""
    dual_learning_rate: NotNegative = 1e-2
    """Adam's, of the dual variables, per update [P]."""


@dataclasses.dataclass(frozen=True)
class Config(TrustRegion, teaching.Taught):
    """MPO with a mixture-of-Gaussians, categorical or scalar critic; sources as above."""
