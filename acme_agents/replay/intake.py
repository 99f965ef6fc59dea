"""What actors see, on its way into the learner: the stream, the store that it fills, and the count of both.

Sequences are drawn by the replay server, and stay there: of them the stream brings the count, which is what holds
samples per insert, and what a recording is made of.
"""

from collections.abc import Callable, Sequence
from typing import Any

from acme_agents.core.experience import Transitions
from acme_agents.core.interfaces import ReplaySpec
from acme_agents.core.types import Step
from acme_agents.replay import chunks
from acme_agents.replay.chunks import Chunk
from acme_agents.replay.rate import RateControl
from acme_agents.replay.store import Store
from acme_agents.replay.stream import ChunkStream


class Intake:
    """Takes chunks from a replay server into a store of its own, as fast as samples per insert allows.

    `store` is that store; None where the server draws.
    """

    def __init__(
        self,
        steps: Step,
        replay: ReplaySpec,
        client: Any,
        *,
        tolerance: float,
    ):
        """Allocates the store, if transitions are learned from.

        Args:
          steps: `chunks.step_spec` of the agent and the environment.
          replay: the agent's.
          client: `reverb.Client` of the replay server.
          tolerance: how far sampling may lag before nothing more comes in, in items sampled.
        """
        self._client = client
        self._structure = chunks.empty(steps)
        self._stream = ChunkStream(client, self._structure)
        self.store = Store(steps, replay) if isinstance(replay.experience, Transitions) else None
        self._capacity = replay.max_size
        self._items_per_chunk = chunks.max_items(replay.experience)
        self.on_new: Callable[[Sequence[Chunk]], None] = lambda chunks: None  # called with what comes in, once each
        self.rate = RateControl(replay, tolerance)

    @property
    def size(self) -> int:
        """Items to draw from now; of what the server holds, those that it was sent."""
        return min(self.rate.inserted, self._capacity) if self.store is None else self.store.size

    @property
    def capacity(self) -> int:
        """Items that there can be to draw from."""
        return self._capacity

    def take_in(self) -> int:
        """Inserts what waits and may come in, until it allows an update; returns the updates allowed."""
        while (room := self.rate.room()) or not self.size:
            new = self._stream.poll(1 + int(room / self._items_per_chunk))
            self.rate.inserted += len(new) if self.store is None else self.store.insert(new)
            self.on_new(new)
            if not new or self.rate.updates_allowed():
                break
        # Updates may be owed after a resume on a replay server that has nothing.
        return self.rate.updates_allowed() if self.size else 0

    def collect(self) -> list[Chunk]:
        """Fills the store with what it held, from the replay server's durable table: once, before anything else.

        What is new there comes in later, as the ratio allows. Sequences stay where they are, with their priorities;
        those that came in after the counts were saved are counted now, and the stream brings the others.

        Returns:
          The chunks that had come in before.
        """
        if self.store is None:
            self.rate.inserted += self._stream.count_lost()
            return []
        before = self._stream.collect()
        self.store.insert(before)  # They were counted when they first came.
        return before

    def save(self) -> dict[str, Any]:
        """The counts, JSON-serialisable."""
        return {
            "inserted": self.rate.inserted,
            "sampled": self.rate.sampled,
            "delivered": {str(writer): time for writer, time in self._stream.delivered().items()},
            "taken": self._stream.taken,
        }

    def restore(self, counts: dict[str, Any]) -> None:
        """Continues from what `save` returned; `collect` then brings back the store."""
        self.rate.inserted, self.rate.sampled = counts["inserted"], counts["sampled"]
        delivered = {int(writer): time for writer, time in counts["delivered"].items()}
        self._stream = ChunkStream(self._client, self._structure, delivered, taken=counts["taken"])
