"""Every number of the DQN agent."""

import dataclasses

from acme_agents.core import configs

# The least value of each field that has one.
_LEAST = dict.fromkeys(
    (
        *("torso_layers", "head_layers", "n_step", "epsilon_updates"),
        *("target_update_period", "batch_size", "min_replay_size", "max_replay_size"),
    ),
    1,
) | {
    "samples_per_insert": 1e-6,
    "huber": 1e-6,
    **dict.fromkeys(
        (
            *("max_abs_reward", "priority_exponent", "importance_exponent"),
            *("learning_rate", "adam_epsilon", "max_gradient_norm"),
        ),
        0,
    ),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """DQN with what has been found to improve it; Acme's numbers, and networks for small tasks.

    Sources: [A] Acme's `agents/jax/dqn`, with its loss `PrioritizedDoubleQLearning`, and its network for Atari; [B] its
    script `examples/baselines/rl_discrete/run_dqn.py`; [Z] dqn_zoo's runs on Atari.
    """

    torso_layers: tuple[int, ...] = (128,)
    """Widths of the layers behind the encoded observation; [A] has the convolutions alone."""
    head_layers: tuple[int, ...] = (128,)
    """Widths of the head's layers, twice if it is dueling; [A] has 512."""

    double: bool = True
    """The online network picks the action that the target network values [A]; otherwise the target network does."""
    dueling: bool = True
    """Value and advantages have layers of their own [A]."""
    discount: float = 0.99
    """gamma, per environment step [A]."""
    n_step: int = 5
    """Steps of reward before the bootstrap [A]."""
    huber: float | None = 1.0
    """Error from which on the loss is linear [A]; None: it is squared everywhere."""
    max_abs_reward: float | None = None
    """n-step rewards are clipped to this size for the learner; None leaves them as they are. [A] has 1, for Atari."""

    priority_exponent: float = 0.6
    """A transition is drawn in proportion to its priority to this power [A]; 0 draws uniformly."""
    importance_exponent: float = 0.2
    """Of the importance weights that correct for the priorities; 0 leaves them out [A]."""

    epsilon_start: float = 1.0
    """Chance of a random action before the first update [Z]."""
    epsilon_end: float = 0.05
    """The same from `epsilon_updates` on [A], which has it from the start."""
    epsilon_updates: int = 2_000
    """Updates over which it falls, in a straight line (ours)."""
    evaluation_epsilon: float = 0.0
    """Chance of a random action in evaluations [B]; [A] has that of training."""

    learning_rate: float = 5e-4
    """Adam's, per update (ours); [A] has 1e-3, [B] 5e-5."""
    adam_epsilon: float = 1e-8
    """Adam's, in units of the gradient [A]."""
    max_gradient_norm: float = 10.0
    """Global norm to which gradients are clipped (Wang et al. 2016) [Z]; [A] does not clip."""
    target_update_period: int = 100
    """Updates between copies of the online network to the target network [A]."""

    batch_size: int = 256
    """Transitions per update [A]."""
    min_replay_size: int = 1_000
    """Transitions in replay before the first update [A]."""
    max_replay_size: int = 1_000_000
    """Transitions that replay keeps [A]."""
    samples_per_insert: float = 32.0
    """Transitions sampled per transition inserted (ours); [A] has 0.5, [B] and [Z] 8."""

    def __post_init__(self) -> None:
        configs.check_least(self, _LEAST)
        configs.check_shares(self, ("discount", "epsilon_start", "epsilon_end", "evaluation_epsilon"))
        configs.check_replay(self)
