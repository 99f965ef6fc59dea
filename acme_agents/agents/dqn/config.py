"""Every number of the DQN agent that is not as in `core.configs.QLearning`."""

import dataclasses

from acme_agents.core import configs
from acme_agents.core.configs import NotNegative, Positive, PositiveInt, Share


@dataclasses.dataclass(frozen=True)
class Config(configs.QLearning):
    """DQN with what has been found to improve it; Acme's numbers, and networks for small tasks.

    Sources: [A] Acme's `agents/jax/dqn`, with its loss `PrioritizedDoubleQLearning`, and its network for Atari; [B] its
    script `examples/baselines/rl_discrete/run_dqn.py`; [Z] dqn_zoo's runs on Atari.
    """

    double: bool = True
    """The online network picks the action that the target network values [A]; otherwise the target network does."""
    dueling: bool = True
    """Value and advantages have layers of their own [A]."""
    huber: Positive | None = 1.0
    """Error from which on the loss is linear [A]; None: it is squared everywhere."""

    epsilon_start: Share = 1.0
    """Chance of a random action before the first update [Z]."""
    epsilon_end: Share = 0.05
    """The same from `epsilon_updates` on [A], which has it from the start."""
    epsilon_updates: PositiveInt = 2_000
    """Updates over which it falls, in a straight line (ours)."""

    learning_rate: NotNegative = 5e-4
    """Adam's, per update (ours); [A] has 1e-3, [B] 5e-5."""
    max_gradient_norm: NotNegative = 10.0
    """Global norm to which gradients are clipped (Wang et al. 2016) [Z]; [A] does not clip."""
    batch_size: PositiveInt = 64
    """Transitions per update (ours, for small tasks: four times the updates for the same samples); [A] has 256."""
    samples_per_insert: Positive = 32.0
    """Transitions sampled per transition inserted (ours); [A] has 0.5, [B] and [Z] 8."""
