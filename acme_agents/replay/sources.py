"""What the sources of a replay have in common, and what a replay does with all of them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from acme_agents.replay.chunks import Chunk


class Source(Protocol):
    """What batches are drawn from: what actors see, or a dataset.

    Attributes:
      size: items held.
      capacity: items that there can be.
    """

    @property
    def size(self) -> int: ...
    @property
    def capacity(self) -> int: ...

    def ingest(self) -> float:
        """Takes in what waits; returns the updates allowed now."""

    def count(self, num_sampled: int) -> None:
        """Counts items that were sampled."""

    def samples_per_insert(self) -> float:
        """The ratio measured so far; NaN where there is none."""

    def checkpoint(self) -> None:
        """Makes what came in outlive this process."""

    def save(self) -> dict[str, Any]:
        """The counts, JSON-serialisable."""

    def restore(self, counts: dict[str, Any]) -> None:
        """Continues from what `save` returned."""

    def recover(self) -> Sequence[Chunk]:
        """Fills itself with what it held; returns the chunks that had come in before."""


class Dataset:
    """A source that nothing comes into, and that may be drawn from as often as one likes."""

    def ingest(self) -> float:
        """Nothing limits the updates."""
        return math.inf

    def count(self, num_sampled: int) -> None:
        """Nothing is held to a ratio."""

    def samples_per_insert(self) -> float:
        """There is none."""
        return math.nan

    def checkpoint(self) -> None:
        """It is read again."""

    def save(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def restore(self, counts: dict[str, Any]) -> None:
        """Nothing: its priorities begin again, all alike."""

    def recover(self) -> Sequence[Chunk]:
        """It is full."""
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
        """Items that there can be."""
        return sum(source.capacity for source in self._sources.values())

    @property
    def samples_per_insert(self) -> float:
        """Of the source that has a ratio; NaN where none has."""
        ratios = [source.samples_per_insert() for source in self._sources.values()]
        return next((ratio for ratio in ratios if not math.isnan(ratio)), math.nan)

    def ingest(self) -> float:
        """Takes in what waits; returns the updates that every source allows."""
        return min(source.ingest() for source in self._sources.values())

    def checkpoint(self) -> None:
        """Has every source do so."""
        for source in self._sources.values():
            source.checkpoint()

    def save(self) -> dict[str, Any]:
        """The counts of every source."""
        return {name: source.save() for name, source in self._sources.items()}

    def restore(self, counts: dict[str, Any], num_updates: int) -> None:
        """Continues from what `save` returned; a source that was not there then begins."""
        for name in self._sources.keys() & counts.keys():
            self._sources[name].restore(counts[name])

    def recover(self) -> Sequence[Chunk]:
        """Has every source do so."""
        return [chunk for source in self._sources.values() for chunk in source.recover()]
