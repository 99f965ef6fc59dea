"""The progress of a run, as the learner process reports it to a display."""

from collections.abc import Callable
from typing import NamedTuple


class Status(NamedTuple):
    """One moment of a run. Counts are since the run began, the time before a resume included."""

    phase: str  # what the run is doing, in a word or two: "compiling", "filling replay", "training"
    actor_steps: int = 0  # environment steps, of all actors together
    max_actor_steps: int | None = None  # the budget of environment steps; None for no limit, 0 without actors
    learner_steps: int = 0  # learner updates
    max_learner_steps: int | None = None  # the budget of learner updates; None for none
    episodes: int = 0  # complete training episodes
    episode_return: float | None = None  # mean of the last 10 training episodes; None before the first
    evaluation_return: float | None = None  # mean of the newest evaluation's episodes; None before the first
    evaluations: int = 0  # complete evaluations: a new one may have the same return
    replay_size: int = 0  # in steps, those of a dataset included
    replay_capacity: int = 0  # in steps
    samples_per_insert: float | None = None  # measured: samples drawn per step inserted; None before the first
    walltime: float = 0.0  # in seconds

    @property
    def is_offline(self) -> bool:
        """Whether the run has no actors and learns from a dataset alone."""
        return self.max_actor_steps == 0


OnStatus = Callable[[Status], None]
