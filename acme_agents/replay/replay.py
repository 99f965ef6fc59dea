"""The protocol of replay: the same for every kind of experience, whether the learner or the server draws."""

from collections.abc import Sequence
from typing import Any, Protocol

from acme_agents.core.interfaces import TrainingState
from acme_agents.core.types import Array
from acme_agents.replay.chunks import Chunk

Metrics = dict[str, Array]


class Replay(Protocol):
    """Takes experience in, draws batches of it, and does updates on them.

    Attributes:
      size: items to draw from now.
      capacity: the most items it can hold.
      samples_per_insert: the ratio measured so far; NaN if nothing comes in.
      is_compiled: whether the next update is compiled already.
    """

    @property
    def size(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    @property
    def samples_per_insert(self) -> float: ...
    @property
    def is_compiled(self) -> bool: ...

    def ingest(self) -> float:
        """Takes in waiting chunks, as the ratio allows; returns the updates allowed now, infinite without a limit."""

    def update(self, state: TrainingState, first: int, number: int) -> tuple[TrainingState, Metrics, int]:
        """Does updates.

        Args:
          state: the training state, which is donated.
          first: updates done before.
          number: how many to do, at least 1.

        Returns:
          The training state, the metrics' means, and how many were done: fewer if there was nothing to draw.

        Raises:
          NotFinite: a metric, or one of the agent's new priorities, was NaN or infinite.
          UserError: a priority is negative.
        """

    def compile(self, state: TrainingState) -> None:
        """Compiles what `update` calls next; the state is not donated."""

    def checkpoint(self) -> None:
        """Saves all that came in beyond the life of this process; call it before `save`.

        Raises:
          CheckpointError: the disk did not take it.
        """

    def save(self) -> dict[str, Any]:
        """The counts, JSON-serialisable."""

    def restore(self, counts: dict[str, Any], num_updates: int) -> None:
        """Continues from what `save` returned after `num_updates`."""

    def recover(self) -> Sequence[Chunk]:
        """Fills replay with the items of the checkpoint; call it once, first. Returns the chunks from before it."""

    def close(self) -> None:
        """Ends its threads and connections."""


class Phases:
    """One replay for the first updates and another for the rest: offline first, then with actors."""

    def __init__(self, first: Replay, then: Replay, num_updates: int):
        """Takes both, which may share a source; the first `num_updates` draw from the first."""
        self._first, self._then, self._num_updates = first, then, num_updates
        self._done = 0

    @property
    def size(self) -> int:
        """Items of the second phase, which has all sources."""
        return self._then.size

    @property
    def capacity(self) -> int:
        """The capacity of the second phase, which has all sources."""
        return self._then.capacity

    @property
    def samples_per_insert(self) -> float:
        """The ratio of the second phase, which has the actors."""
        return self._then.samples_per_insert

    @property
    def is_compiled(self) -> bool:
        """Whether the next phase's update is compiled."""
        return self._now.is_compiled

    def ingest(self) -> float:
        """The updates left in the first phase; after it, those that the second phase allows."""
        return min(self._first.ingest(), self._left) if self._left else self._then.ingest()

    def update(self, state: TrainingState, first: int, number: int) -> tuple[TrainingState, Metrics, int]:
        """Does updates of one phase."""
        state, metrics, done = self._now.update(state, first, min(number, self._left or number))
        self._done += done
        return state, metrics, done

    def compile(self, state: TrainingState) -> None:
        """Compiles the phase that comes next."""
        self._now.compile(state)

    def checkpoint(self) -> None:
        """Checkpoints the second phase, which has the actors."""
        self._then.checkpoint()

    def save(self) -> dict[str, Any]:
        """The counts of both phases, which share sources: with a share of 0 only the first has the dataset."""
        return {**self._first.save(), **self._then.save()}

    def restore(self, counts: dict[str, Any], num_updates: int) -> None:
        """Continues in the phase that `num_updates` has reached."""
        self._done = num_updates
        self._first.restore(counts, num_updates)
        self._then.restore(counts, num_updates)

    def recover(self) -> Sequence[Chunk]:
        """Recovers both phases; returns the chunks of the second, which has the actors."""
        self._first.recover()
        return self._then.recover()

    def close(self) -> None:
        """Closes both phases."""
        self._first.close()
        self._then.close()

    @property
    def _left(self) -> int:
        """Updates left in the first phase."""
        return max(0, self._num_updates - self._done)

    @property
    def _now(self) -> Replay:
        return self._first if self._left else self._then
