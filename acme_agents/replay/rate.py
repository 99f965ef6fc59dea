"""Samples per insert: how often each item is learned from, kept exact by counting."""

import math

from acme_agents.core.interfaces import ReplaySpec


class RateControl:
    """Counts inserted and sampled items, and says how many more of each are allowed.

    Once `min_size` items are in, `sampled <= samples_per_insert (inserted - min_size)` holds always, and
    sampling lags by no more than `tolerance` items sampled and one chunk. Acme's `SampleToInsertRatio`
    holds the same line within an error buffer on both sides.
    """

    def __init__(self, replay: ReplaySpec, tolerance: float):
        """Initialises the counts at zero.

        Args:
          replay: the agent's.
          tolerance: how far sampling may lag before insertions wait, in items sampled.
        """
        self._replay = replay
        self._tolerance = tolerance
        self.inserted = 0
        self.sampled = 0

    def updates_allowed(self) -> int:
        """Updates that may be done now."""
        return max(0, int(self.owed() // self._replay.batch_size))

    def room(self) -> float:
        """Items that may come in now before sampling lags by more than the tolerance; 0 if it already does."""
        return max(0.0, (self._tolerance - self.owed()) / self._replay.samples_per_insert)

    def samples_per_insert(self) -> float:
        """The ratio measured so far; NaN until `min_size` items are in."""
        counted = self.inserted - self._replay.min_size
        return self.sampled / counted if counted > 0 else math.nan

    def owed(self) -> float:
        """How many items sampling lags behind the ratio."""
        return self._replay.samples_per_insert * (self.inserted - self._replay.min_size) - self.sampled
