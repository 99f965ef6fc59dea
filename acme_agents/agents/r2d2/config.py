"""Every number of the R2D2 agent."""

import dataclasses
from typing import Literal

from acme_agents.core import configs, errors

# The least value of each field that has one.
_LEAST = dict.fromkeys(
    (
        *("torso_layers", "lstm_size", "head_layers", "trace_length", "sequence_period", "n_step", "num_epsilons"),
        *("target_update_period", "batch_size", "min_replay_size", "max_replay_size"),
    ),
    1,
) | {
    "epsilon_min": 1e-6,
    "samples_per_insert": 1e-6,
    **dict.fromkeys(
        (
            *("burn_in_length", "max_abs_reward", "importance_exponent", "priority_exponent"),
            *("learning_rate", "adam_epsilon", "max_gradient_norm"),
        ),
        0,
    ),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """R2D2 for small tasks: Acme's numbers, and networks that two CPU cores can train.

    Sources: [A] Acme's `agents/jax/r2d2` and its network for Atari; [T] Acme's `agents/tf/r2d2`.
    """

    torso_layers: tuple[int, ...] = (128,)
    """Widths of the layers between the encoded observation and the LSTM; [A] has 512, behind a ResNet."""
    lstm_size: int = 128
    """Units of the LSTM; [A] has 512."""
    head_layers: tuple[int, ...] = (128,)
    """Widths of the dueling head's layers, twice: for the value and for the advantages; [A] has 512."""

    initial_state: Literal["stored", "zero"] = "stored"
    """The LSTM's state before a sequence's first row: what the actor's was [A], or zero."""
    burn_in_length: int = 40
    """Rows at a sequence's start that make the LSTM's state and are not learnt from, unless the sequence begins its
    episode [A]."""
    trace_length: int = 80
    """Transitions of a sequence that are learnt from [A]."""
    sequence_period: int = 40
    """Steps from one sequence's first row to the next one's [A]."""

    discount: float = 0.997
    """gamma, per environment step [A]."""
    n_step: int = 5
    """Steps of reward before the bootstrap [A]."""
    value_rescaling: bool = True
    """Learn h(Q) with h(x) = sign(x) (sqrt(|x| + 1) - 1) + 1e-3 x instead of Q [A]."""
    max_abs_reward: float | None = None
    """Rewards are clipped to this size for the learner; None leaves them as they are [A]."""

    priority_exponent: float = 0.9
    """A sequence is drawn in proportion to its priority to this power; 0 draws uniformly [A]."""
    importance_exponent: float = 0.6
    """Of the importance weights that correct for the priorities; 0 leaves them out [A]."""
    max_priority_share: float = 0.9
    """Share of a sequence's largest error in its priority; the rest is that of the mean [A]."""

    num_epsilons: int = 256
    """Rungs of the ladder of epsilons, in equal ratios, that the actors share out; in [A] each actor has them all."""
    epsilon_max: float = 0.1
    """Its first rung: the chance of a random action of the actor that explores most [A]."""
    epsilon_min: float = 0.001
    """Its last rung [A]; a ladder of one rung has `epsilon_max` alone."""
    evaluation_epsilon: float = 0.0
    """Chance of a random action in evaluations [A]."""

    learning_rate: float = 1e-3
    """Adam's, per update [A]."""
    adam_epsilon: float = 1e-8
    """Adam's, in units of the gradient [A]; [T] has 1e-3."""
    max_gradient_norm: float = 40.0
    """Global norm to which gradients are clipped (ours, as MPO's); [A] does not clip."""
    target_update_period: int = 2_500
    """Updates between copies of the online network to the target network [A]."""

    batch_size: int = 64
    """Sequences per update [A]."""
    min_replay_size: int = 1_000
    """Sequences in replay before the first update [T]; [A] has 50,000."""
    max_replay_size: int = 100_000
    """Sequences that replay keeps [A]."""
    samples_per_insert: float = 4.0
    """Sequences sampled per sequence inserted [A]."""

    def __post_init__(self) -> None:
        configs.check_least(self, _LEAST)
        configs.check_shares(
            self, ("discount", "max_priority_share", "epsilon_max", "epsilon_min", "evaluation_epsilon")
        )
        configs.check_replay(self)
        if self.initial_state not in ("stored", "zero"):
            raise errors.UserError(f"initial_state must be stored or zero, not {self.initial_state!r}.")
        if self.epsilon_min > self.epsilon_max:
            raise errors.UserError(
                f"epsilon_min, {self.epsilon_min!r}, must not be above epsilon_max, {self.epsilon_max!r}."
            )
        if self.sequence_period > self.trace_length:
            raise errors.UserError(
                f"sequence_period, {self.sequence_period}, must not be above trace_length, {self.trace_length}: "
                "transitions between the traces of two sequences would never be learnt from."
            )
