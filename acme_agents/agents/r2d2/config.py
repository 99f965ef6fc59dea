"""Every number of the R2D2 agent that is not as in `core.configs.QLearning`."""

import dataclasses
from typing import Annotated, Literal

from acme_agents.core import configs, errors
from acme_agents.core.configs import NotNegative, Positive, PositiveInt, Share


@dataclasses.dataclass(frozen=True)
class Config(configs.QLearning):
    """R2D2 for small tasks: Acme's numbers, and networks that two CPU cores can train.

    Sources: [A] Acme's `agents/jax/r2d2` and its network for Atari; [T] Acme's `agents/tf/r2d2`.
    """

    lstm_size: PositiveInt = 128
    """Units of the LSTM; [A] has 512."""

    initial_state: Literal["stored", "zero"] = "stored"
    """The LSTM's state before a sequence's first row: what the actor's was [A], or zero."""
    burn_in_length: Annotated[int, configs.at_least(0)] = 40
    """Rows at a sequence's start that make the LSTM's state and are not learnt from, unless the sequence begins its
    episode [A]."""
    trace_length: PositiveInt = 80
    """Transitions of a sequence that are learnt from [A]."""
    sequence_period: PositiveInt = 40
    """Steps from one sequence's first row to the next one's [A]."""

    discount: Share = 0.997
    """gamma, per environment step [A]."""
    value_rescaling: bool = True
    """Learn h(Q) with h(x) = sign(x) (sqrt(|x| + 1) - 1) + 1e-3 x instead of Q [A]."""

    priority_exponent: NotNegative = 0.9
    """A sequence is drawn in proportion to its priority to this power; 0 draws uniformly [A]."""
    importance_exponent: NotNegative = 0.6
    """Of the importance weights that correct for the priorities; 0 leaves them out [A]."""
    max_priority_share: Share = 0.9
    """Share of a sequence's largest error in its priority; the rest is that of the mean [A]."""

    num_epsilons: PositiveInt = 256
    """Rungs of the ladder of epsilons, in equal ratios, that the actors share out; in [A] each actor has them all."""
    epsilon_max: Share = 0.1
    """Its first rung: the chance of a random action of the actor that explores most [A]."""
    epsilon_min: Annotated[Share, configs.at_least(1e-6)] = 0.001
    """Its last rung [A]; a ladder of one rung has `epsilon_max` alone."""

    learning_rate: NotNegative = 1e-3
    """Adam's, per update [A]."""
    target_update_period: PositiveInt = 2_500
    """Updates between copies of the online network to the target network [A]."""

    batch_size: PositiveInt = 64
    """Sequences per update [A]."""
    max_replay_size: PositiveInt = 100_000
    """Sequences that replay keeps [A]."""
    samples_per_insert: Positive = 4.0
    """Sequences sampled per sequence inserted [A]."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epsilon_min > self.epsilon_max:
            raise errors.UserError(
                f"epsilon_min, {self.epsilon_min!r}, must not be above epsilon_max, {self.epsilon_max!r}."
            )
        if self.sequence_period > self.trace_length:
            raise errors.UserError(
                f"sequence_period, {self.sequence_period}, must not be above trace_length, {self.trace_length}: "
                "transitions between the traces of two sequences would never be learnt from."
            )
