"""What a learner draws its batches from: one protocol, whatever the kind of experience and wherever it is drawn."""

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
      capacity: items that there can be.
      samples_per_insert: the ratio measured so far; NaN where nothing comes in.
      is_compiled: whether the next update need not be compiled.
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
        """Takes in what waits and may come in; returns the updates allowed now, infinite where nothing limits them."""

    def update(self, state: TrainingState, first: int, number: int) -> tuple[TrainingState, Metrics, int]:
        """Does updates.

        Args:
          state: the training state, which is donated.
          first: updates done before.
          number: how many to do, at least 1.

        Returns:
          The training state, the metrics' means, and how many were done: fewer where there was nothing to draw.

        Raises:
          NotFinite: a metric, or one of the agent's new priorities, was NaN or infinite.
          UserError: a priority is negative.
        """

    def compile(self, state: TrainingState) -> None:
        """Compiles what `update` calls next; the state is not donated."""

    def checkpoint(self) -> None:
        """Makes what came in outlive this process; before `save`.

        Raises:
          CheckpointError: the disk did not take it.
        """

    def save(self) -> dict[str, Any]:
        """The counts, JSON-serialisable."""

    def restore(self, counts: dict[str, Any], num_updates: int) -> None:
        """Continues from what `save` returned after `num_updates`."""

    def recover(self) -> Sequence[Chunk]:
        """Fills itself with what it held, once, before anything else; returns the chunks that had come in before."""

    def close(self) -> None:
        """Ends what it has begun."""


class Phases:
    """One replay for the first updates, and another one for the rest: offline, then with what actors see."""

    def __init__(self, first: Replay, then: Replay, num_updates: int):
        """Takes both, which may share a source; the first `num_updates` draw from the first."""
        self._first, self._then, self._num_updates = first, then, num_updates
        self._done = 0

    @property
    def size(self) -> int:
        """Of all that there is."""
        return self._then.size

    @property
    def capacity(self) -> int:
        """Of all that there can be."""
        return self._then.capacity

    @property
    def samples_per_insert(self) -> float:
        """Of what actors see."""
        return self._then.samples_per_insert

    @property
    def is_compiled(self) -> bool:
        """Of the phase that comes next."""
        return self._now.is_compiled

    def ingest(self) -> float:
        """What is left of the first phase; then what the second one says."""
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
        """Makes what actors see durable."""
        self._then.checkpoint()

    def save(self) -> dict[str, Any]:
        """The counts of all sources, which the second phase has."""
        return self._then.save()

    def restore(self, counts: dict[str, Any], num_updates: int) -> None:
        """Continues in the phase that the updates had come to."""
        self._done = num_updates
        self._then.restore(counts, num_updates)

    def recover(self) -> Sequence[Chunk]:
        """What actors saw."""
        return self._then.recover()

    def close(self) -> None:
        """Ends both."""
        self._first.close()
        self._then.close()

    @property
    def _left(self) -> int:
        """Updates of the first phase."""
        return max(0, self._num_updates - self._done)

    @property
    def _now(self) -> Replay:
        return self._first if self._left else self._then
