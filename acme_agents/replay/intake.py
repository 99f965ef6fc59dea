"""Takes in the actors' chunks, as fast as samples per insert allows."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from acme_agents.core.interfaces import ReplaySpec
from acme_agents.core.types import Step
from acme_agents.replay.chunks import Chunk
from acme_agents.replay.rate import RateControl
from acme_agents.replay.ring import Ring, RingState
from acme_agents.replay.transport import Receiver

OnNew = Callable[[Sequence[Chunk]], None]  # receives each chunk that comes in, once


class _Holder(Protocol):
    """Stores the newest items, or counts items that are stored elsewhere."""

    @property
    def size(self) -> int: ...
    def insert(self, new: Sequence[Chunk]) -> int: ...


class _Intake:
    """A source of replay that receives chunks and counts their items."""

    def __init__(self, receiver: Receiver, replay: ReplaySpec, holder: _Holder, tolerance: float, on_new: OnNew):
        self._receiver = receiver
        self._items_per_chunk = replay.experience.items_per_chunk
        self._holder = holder
        self._on_new = on_new
        self.capacity = replay.max_size
        self.rate = RateControl(replay, tolerance)

    @property
    def size(self) -> int:
        """Items to draw from now."""
        return self._holder.size

    def ingest(self) -> float:
        """Inserts waiting chunks, as the ratio allows, until an update is due; returns the updates allowed."""
        while (room := self.rate.room()) or not self.size:
            new = self._receiver.poll(1 + int(room / self._items_per_chunk))
            self.rate.inserted += self._holder.insert(new)
            self._on_new(new)
            if not new or self.rate.updates_allowed():
                break
        # Updates may be owed after a resume on a replay server that has nothing.
        return self.rate.updates_allowed() if self.size else 0

    def count(self, num_sampled: int) -> None:
        """Counts items that were sampled."""
        self.rate.sampled += num_sampled

    def samples_per_insert(self) -> float:
        """The ratio measured so far; NaN until `min_size` items are in."""
        return self.rate.samples_per_insert()

    def checkpoint(self) -> None:
        """Saves all that came in beyond the life of this process."""
        self._receiver.checkpoint()

    def save(self) -> dict[str, Any]:
        """The counts, JSON-serialisable."""
        return {
            "inserted": self.rate.inserted,
            "sampled": self.rate.sampled,
            "receiver": self._receiver.save(),
        }

    def restore(self, counts: dict[str, Any]) -> None:
        """Continues from what `save` returned; `recover` then brings back the items."""
        self.rate.inserted, self.rate.sampled = counts["inserted"], counts["sampled"]
        self._receiver.restore(counts["receiver"])


class RingIntake(_Intake):
    """Puts chunks into a ring where the learner computes."""

    def __init__(
        self,
        receiver: Receiver,
        steps: Step,
        replay: ReplaySpec,
        *,
        tolerance: float,
        on_new: OnNew,
        num_devices: int = 1,
    ):
        """Allocates the ring.

        Args:
          receiver: brings the chunks.
          steps: `chunks.step_spec` of the agent and the environment.
          replay: the agent's.
          tolerance: how far sampling may lag before nothing more comes in, in items sampled.
          on_new: receives the chunks that come in.
          num_devices: of the learner; each has the whole ring.
        """
        self.ring = Ring(steps, replay, num_devices)
        super().__init__(receiver, replay, self.ring, tolerance, on_new)

    @property
    def state(self) -> RingState:
        """The ring's arrays on the device."""
        return self.ring.state

    @property
    def priorities(self) -> Any:
        """Priorities of the items by their place; an empty tuple if items are drawn uniformly."""
        return self.ring.priorities

    @priorities.setter
    def priorities(self, priorities: Any) -> None:
        self.ring.priorities = priorities

    def recover(self) -> Sequence[Chunk]:
        """Fills the ring with the chunks it held; newer chunks come in later, as the ratio allows."""
        before = self._receiver.recover()
        self.ring.insert(before)  # They were counted when they first came.
        return before


class TableIntake(_Intake):
    """Counts the chunks of a table of the replay server; the chunks stay on the server, which draws them."""

    def __init__(self, receiver: Receiver, replay: ReplaySpec, *, tolerance: float, on_new: OnNew):
        """Initialises with nothing counted; the arguments are those of `RingIntake`."""
        super().__init__(receiver, replay, _Counted(replay, lambda: self.rate), tolerance, on_new)

    def ready(self) -> bool:
        """Always true: the actors fill the table."""
        return True

    def recover(self) -> Sequence[Chunk]:
        """Counts the items that came in after the counts were saved; the table and its priorities stay unchanged."""
        self.rate.inserted += self._receiver.count_lost()
        return []


class _Counted:
    """Counts the items in the server's table: all that came in, up to the table's capacity."""

    def __init__(self, replay: ReplaySpec, rate: Callable[[], RateControl]):
        self._experience, self._capacity, self._rate = replay.experience, replay.max_size, rate

    @property
    def size(self) -> int:
        return min(self._rate().inserted, self._capacity)

    def insert(self, new: Sequence[Chunk]) -> int:
        return int(sum(map(self._experience.num_items, new)))
