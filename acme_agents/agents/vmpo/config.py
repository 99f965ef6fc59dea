"""Every number of the V-MPO agent."""

import dataclasses

from acme_agents.core import configs
from acme_agents.core.configs import NotNegative, PositiveInt


@dataclasses.dataclass(frozen=True)
class Config(configs.ActorCritic):
    """V-MPO with one network for policy and value, feed-forward or recurrent.

    Sources: [P] Song et al. 2019; [S] Stoix's V-MPO; [M] the agent mpo.
    """

    num_epochs: PositiveInt = 16
    """Gradient steps on each batch, all of it at once [S]; [P] has 1."""
    target_update_period: PositiveInt = 1
    """T_target: updates between copies of the network to the target network, which acts (ours); [P] has 10 and 100."""
    epsilon: NotNegative = 0.1
    """Bound on the KL of the weights to the uniform ones over the better half, in nats (ours); [S] has 0.5 for discrete
    actions and 0.05 for continuous ones."""
    epsilon_policy: NotNegative = 1e-2
    """Bound on the KL of the policy to the target's, in nats, where actions are discrete (ours); [S] has 1e-3."""
    epsilon_mean: NotNegative = 1e-2
    """Bound on the KL through the policy's mean, in nats per action dimension, where they are continuous [M]; [S] has
    0.05."""
    epsilon_stddev: NotNegative = 5e-4
    """Bound on the KL through the policy's standard deviation, likewise [S]."""
    init_log_temperature: float = 0.0
    """The temperature before training, before the softplus (ours); [P] has a temperature of 1."""
    init_log_alpha: float = 1.0
    """Multiplier of each constraint on the policy before training, before the softplus (ours); [P] has multipliers of 1
    to 5."""
    dual_learning_rate: NotNegative = 1e-2
    """Adam's, of the dual variables, per gradient step [S]."""
