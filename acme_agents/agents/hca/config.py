"""Every number of the HCA agent."""

import dataclasses
from typing import Annotated, Literal

from acme_agents.core import configs
from acme_agents.core.configs import Layers, NotNegative, Positive, PositiveInt, Share, at_least


@dataclasses.dataclass(frozen=True)
class Config(configs.Adam):
    """Hindsight credit assignment (Harutyunyan et al. 2019), whose experiments are tables: the numbers are ours."""

    outcome: Literal["state", "return"] = "state"
    """What hindsight is conditioned on: every later state, or the return."""

    torso_layers: Layers = (128, 128)
    """Widths of the layers behind the encoded observation, which policy, value and reward model share."""
    hindsight_layers: Layers = (64, 64)
    """Widths of the layers of the hindsight network, which has an encoder of its own."""

    unroll_length: PositiveInt = 32
    """Rows of an unroll: steps, and final observations of episodes; hindsight sees as far as its end."""
    batch_size: PositiveInt = 8
    """Unrolls per update."""
    max_policy_lag: Annotated[int, at_least(0)] = 2
    """Updates by which an unroll may be too old, where there are several processes; older ones are dropped."""

    discount: Share = 0.99
    """gamma, per environment step."""
    max_ratio: Positive | None = None
    """The ratio of hindsight is clipped to it: h / pi of a later state, pi / h of a return; None for no clipping, as
    the authors have it."""
    num_bins: Annotated[int, at_least(2)] = 21
    """Bins of the return that hindsight tells apart."""
    max_error: Positive = 3.0
    """The outermost bins are of returns that are this far from the state's value, in units of the normalised return."""

    value_weight: NotNegative = 0.5
    """Weight of the value's loss."""
    reward_weight: NotNegative = 0.5
    """Weight of the loss of the model of immediate rewards."""
    entropy_weight: NotNegative = 0.01
    """Weight of the policy's entropy, in nats."""
    normalise_observations: bool = True
    """By the mean and the deviation of all observations so far, clipped to 10; images and grids are left alone, as in
    ppo."""
    normalise_rewards: bool = True
    """By the deviation of all discounted returns so far, clipped to 10, as in ppo."""

    learning_rate: NotNegative = 1e-3
    """Adam's, per update, of policy, value and reward model."""
    hindsight_learning_rate: NotNegative = 3e-3
    """Adam's, per update, of the hindsight network."""
