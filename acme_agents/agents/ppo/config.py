"""Every number of the PPO agent."""

import dataclasses
from typing import Annotated

from acme_agents.core import configs, errors
from acme_agents.core.configs import Layers, NotNegative, Positive, PositiveInt, Share, at_least


@dataclasses.dataclass(frozen=True)
class Config(configs.Adam):
    """PPO with generalised advantages.

    Sources: [P] Schulman et al. 2017, table 3 (MuJoCo); [S] Stable-Baselines3's `PPO`; [H] Huang et al. 2022, *The 37
    implementation details of PPO*, with CleanRL's code.
    """

    policy_layers: Layers = (64, 64)
    """Widths of the policy network [P]."""
    value_layers: Layers = (64, 64)
    """Widths of the value network, which shares nothing with the policy's [P]."""
    init_log_stddev: float = 0.0
    """Logarithm of the standard deviation of the untrained policy, in units of the action, where actions are
    continuous; it is learned and depends on no observation [S] [H]."""

    unroll_length: PositiveInt = 128
    """Rows of an unroll: steps, and final observations of episodes (ours)."""
    batch_size: PositiveInt = 16
    """Unrolls per update: 2,048 rows together [P]."""
    num_epochs: PositiveInt = 10
    """Passes over the batch in an update [P]."""
    num_minibatches: PositiveInt = 32
    """Parts that a pass divides the batch into, a gradient step each: 64 rows [P]."""
    max_policy_lag: Annotated[int, at_least(0)] = 2
    """Updates by which an unroll may be too old, where there are several processes; older ones are dropped (ours)."""

    discount: Share = 0.99
    """gamma, per environment step [P]."""
    trace_decay: Share = 0.95
    """lambda of the advantages [P]."""
    clip: Positive = 0.2
    """How far the ratio of new to old probability may leave 1 before it earns nothing more [P]."""
    value_clip: Positive | None = 0.2
    """How far values may move from the old ones in an update, in units of the normalised return [H]; None for any
    distance [S]."""
    value_weight: NotNegative = 0.5
    """Weight of the value's loss [S] [H]."""
    entropy_weight: NotNegative = 0.0
    """Weight of the policy's entropy [P] [S]."""
    normalise_advantages: bool = True
    """To mean 0 and deviation 1 within each minibatch [S] [H]."""
    normalise_observations: bool = True
    """By the mean and the deviation of all observations so far, clipped to 10; images and grids are left alone [H]."""
    normalise_rewards: bool = True
    """By the deviation of all discounted returns so far, clipped to 10 [H]."""

    max_gradient_norm: NotNegative = 0.5
    """Global norm to which the gradient is clipped [S] [H]."""
    adam_epsilon: NotNegative = 1e-5
    """Adam's, in units of the gradient [S] [H]."""
    annealing_updates: PositiveInt | None = None
    """Updates over which the learning rate falls to 0, in a straight line; None leaves it as it is [P] [S]; [H] has the
    whole run."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rows = self.batch_size * self.unroll_length
        if rows % self.num_minibatches:
            raise errors.UserError(
                f"A batch of {self.batch_size} unrolls of {self.unroll_length} has {rows:,} rows, which do not divide "
                f"into {self.num_minibatches} minibatches: choose another num_minibatches."
            )
