"""The sources that a replay draws from, and the part of a replay that concerns all of them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from acme_agents.replay.chunks import Chunk


class Source(Protocol):
    """Something that batches are drawn from: the actors' steps, or a dataset.

    Attributes:
      size: items held.
      capacity: the most items it can hold.
    """

    @property
    def size(self) -> int: ...
    @property
    def capacity(self) -> int: ...

    def ingest(self) -> float:
        """Takes in the waiting chunks; returns the number of updates allowed now."""

    def count(self, num_sampled: int) -> None:
        """Counts items that were sampled."""

    def samples_per_insert(self) -> float:
        """The ratio measured so far; NaN if there is none."""

    def checkpoint(self) -> None:
        """Saves all that came in beyond the life of this process."""

    def save(self) -> dict[str, Any]:
        """The counts, JSON-serialisable."""

    def restore(self, counts: dict[str, Any]) -> None:
        """Continues from what `save` returned."""

    def recover(self) -> Sequence[Chunk]:
        """Fills itself with the items of the checkpoint; returns the chunks known from before it."""


class Dataset:
    """A source that never changes and can be drawn from without limit."""

    def ingest(self) -> float:
        """Infinity: nothing limits the updates."""
        return math.inf

    def count(self, num_sampled: int) -> None:
        """Sampling is not counted: a dataset has no samples per insert."""

    def samples_per_insert(self) -> float:
        """NaN: a dataset has no samples per insert."""
        return math.nan

    def checkpoint(self) -> None:
        """Writes nothing: the dataset is read again."""

    def save(self) -> dict[str, Any]:
        """Empty: there are no counts."""
        return {}

    def restore(self, counts: dict[str, Any]) -> None:
        """Restores nothing: there are no counts. Priorities of a dataset in the learner start equal again."""

    def recover(self) -> Sequence[Chunk]:
        """No chunks: the source is full already."""
        return []


AnySource = TypeVar("AnySource", bound=Source)


class FromSources(Generic[AnySource]):
    """The part of a `Replay` that concerns all of its sources."""

    def __init__(self, sources: Mapping[str, AnySource]):
        """Takes the sources by their names."""
        self._sources = sources

    @property
    def size(self) -> int:
        """Items to draw from now."""
        return sum(source.size for source in self._sources.values())

    @property
    def capacity(self) -> int:
        """The most items that the sources can hold."""
        return sum(source.capacity for source in self._sources.values())

    @property
    def samples_per_insert(self) -> float:
        """The ratio of the source that has one; NaN if none has."""
        ratios = [source.samples_per_insert() for source in self._sources.values()]
        return next((ratio for ratio in ratios if not math.isnan(ratio)), math.nan)

    def ingest(self) -> float:
        """Takes in the waiting chunks; returns the number of updates that every source allows."""
        return min(source.ingest() for source in self._sources.values())

    def checkpoint(self) -> None:
        """Checkpoints every source."""
        for source in self._sources.values():
            source.checkpoint()

    def save(self) -> dict[str, Any]:
        """The counts of every source."""
        return {name: source.save() for name, source in self._sources.items()}

    def restore(self, counts: dict[str, Any], num_updates: int) -> None:
        """Continues from what `save` returned; a source without saved counts starts from zero."""
        for name in self._sources.keys() & counts.keys():
            self._sources[name].restore(counts[name])

    def recover(self) -> Sequence[Chunk]:
        """Recovers every source; returns the chunks of all of them."""
        return [chunk for source in self._sources.values() for chunk in source.recover()]
