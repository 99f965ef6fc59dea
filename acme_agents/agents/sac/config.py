"""Every number of the SAC agent that is not as in `core.configs.TwinCritics`."""

import dataclasses
from typing import Literal

from acme_agents.core import configs, errors
from acme_agents.core.configs import NotNegative, Positive, PositiveInt, Share


@dataclasses.dataclass(frozen=True)
class Config(configs.TwinCritics):
    """SAC with a learned temperature.

    Sources: [S] Stable-Baselines3's `sac`; [J] Acme's `agents/jax/sac`; [R] REDQ (github.com/watchernyu/REDQ).
    """

    policy_init_stddev: float = 1.0
    """Standard deviation of the untrained policy, in units of the action before the tanh, about [S]; [J] has 0.7."""
    policy_min_stddev: NotNegative = 1e-3
    """Added to every standard deviation, in the same units [J]; [S] clips its log to [-20, 2]."""

    init_temperature: Positive = 1.0
    """Temperature before training, in units of the return per nat [S], [J]."""
    temperature_learning_rate: NotNegative = 3e-4
    """Adam's, of the temperature's log, per update [S], [J]; 0 keeps the temperature."""
    target_entropy: float | None = None
    """Entropy that the temperature keeps up, in nats; None is minus the number of action dimensions [S]."""

    num_critics: PositiveInt = 2
    """Critics; REDQ has 10 [R]."""
    num_target_critics: PositiveInt = 2
    """Of them, a new draw in each update, those whose least value is the target [S], [R]."""
    policy_value: Literal["min", "mean"] = "min"
    """What the policy climbs of the critics' values: the least [S], or their mean, as in REDQ and DroQ [R]."""
    policy_update_period: PositiveInt = 1
    """Critic updates to one of policy and temperature [S]; REDQ and DroQ have as many as updates per step, 20 [R]."""
    critic_dropout: Share = 0.0
    """Chance that a unit of a critic is left out; DroQ has 0.01 with `critic_layer_norm`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_target_critics > self.num_critics:
            raise errors.UserError(
                f"num_target_critics must be at most num_critics, and they are {self.num_target_critics} and "
                f"{self.num_critics}."
            )
        if self.critic_dropout == 1.0:
            raise errors.UserError("critic_dropout must be below 1.0: nothing would be left of the critics.")
