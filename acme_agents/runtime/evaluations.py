"""When a run's policy is evaluated, and with which parameters."""

import math
from typing import Any, NamedTuple

from acme_agents.runtime.variables import Snapshot


class Evaluation(NamedTuple):
    """An evaluation that is ordered."""

    number: int  # from 1
    snapshot: Snapshot  # the parameters to evaluate
    counts: dict[str, float]  # the run's counts when it was ordered, by column of the log


class EvaluationSchedule:
    """Orders one evaluation at a time: at regular steps, and a last one of the final parameters. Not thread-safe.

    An evaluation that falls due while another is pending is skipped.

    `save` saves the number of evaluations done and when the next is due, but not a pending evaluation.

    Attributes:
      pending: the evaluation that is ordered and not done, if any.
      num_done: evaluations that are done.
    """

    def __init__(self, every: int):
        """Initialises a schedule without evaluations.

        Args:
          every: steps between evaluations; 0 for no evaluation, not even a last one.
        """
        self.pending: tuple[Evaluation, ...] = ()
        self.num_done = 0
        self._every = every
        self._next = every  # steps at which the next one is due
        self._newest_version: int | None = None  # of the parameters of the newest evaluation that was ordered
        self._is_ending = False  # whether the next evaluation is the last one
        self._last = math.inf  # number of the last evaluation, once that is known

    def order_if_due(self, steps: int, snapshot: Snapshot, counts: dict[str, float]) -> None:
        """Orders an evaluation if one is due and none is pending.

        Args:
          steps: that the run has done.
          snapshot: the newest parameters.
          counts: to be logged with the result.
        """
        is_due = self._every > 0 and (self._is_ending or steps >= self._next)
        if self.pending or self.is_over or not is_due:
            return
        self.pending = (Evaluation(self.num_done + 1, snapshot, counts),)
        self._next = steps - steps % self._every + self._every
        self._newest_version = snapshot.version
        if self._is_ending:
            self._last = self.num_done + 1

    @property
    def next_due(self) -> float:
        """Steps at which the next one is due; infinite without evaluations."""
        return self._next if self._every else math.inf

    def is_pending(self, number: int) -> bool:
        """Whether the evaluation of this number is the one that is ordered and not done."""
        return any(evaluation.number == number for evaluation in self.pending)

    def complete(self) -> Evaluation:
        """Marks the pending evaluation as done, and returns it.

        Raises:
          ValueError: no evaluation is pending.
        """
        if not self.pending:
            raise ValueError("No evaluation is pending.")
        (evaluation,), self.pending = self.pending, ()
        self.num_done = evaluation.number
        return evaluation

    def finish(self, version: int | None) -> None:
        """Orders a last evaluation, unless the newest one is already of these parameters."""
        self._is_ending = True
        if not self._every:
            self._last = 0
        elif version == self._newest_version:
            self._last = self.num_done + len(self.pending)

    @property
    def is_over(self) -> bool:
        """Whether the last evaluation is done."""
        return self.num_done >= self._last

    def save(self) -> dict[str, Any]:
        """The evaluations done and due, JSON-serialisable, for a checkpoint."""
        return {"evaluations": self.num_done, "next_evaluation": self._next}

    def restore(self, saved: dict[str, Any]) -> None:
        """Continues from what `save` returned."""
        self.num_done, self._next = saved["evaluations"], saved["next_evaluation"]
