"""Every number of the DDPG agent that is not as in `core.configs`."""

import dataclasses

from acme_agents.core import configs, teaching
from acme_agents.core.configs import Layers, NotNegative, Positive


@dataclasses.dataclass(frozen=True)
class Config(configs.Bootstrapping, configs.Adam, configs.Replay, teaching.Taught):
    """DDPG as Acme has it, with n-step returns.

    Sources: [A] Acme's `agents/tf/ddpg`; [B] its script of the same agent with a distributional critic,
    `examples/baselines/rl_continuous/run_d4pg.py`, so that both differ in the critic alone.
    """

    policy_layers: Layers = (256, 256, 256)
    """Widths of the policy network [B]."""
    critic_layers: Layers = (256, 256, 256)
    """Widths of the critic network [B]."""
    exploration_stddev: NotNegative = 0.2
    """Standard deviation of the actor's noise, in units of the action [B]; [A] has 0.3."""
    max_action_gradient: Positive | None = 1.0
    """Norm to which the critic's gradient in each action is clipped; None leaves it [A]."""

    samples_per_insert: Positive = 32.0
    """Transitions sampled per one inserted [A]: with the batch size, an update for every 8 steps."""
