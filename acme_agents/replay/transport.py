"""How chunks get from actors to the learner: the protocols of the two ends."""

from typing import Any, Protocol

from acme_agents.replay.chunks import Chunk


class Sender(Protocol):
    """The actor's end."""

    def send(self, chunk: Chunk) -> None:
        """Sends a chunk; blocks while the other end is full, until the run is to stop."""

    def flush(self) -> None:
        """Blocks until all that was sent has arrived, or the run is to stop."""

    def close(self) -> None:
        """Ends the connection."""


class Receiver(Protocol):
    """The learner's end. It delivers each chunk once, also after a restart from a checkpoint."""

    def poll(self, max_chunks: int) -> list[Chunk]:
        """The next chunks, each writer's in order, at most `max_chunks`; an empty list if none wait."""

    def recover(self) -> list[Chunk]:
        """The chunks delivered before the restored checkpoint, as far as they are still held. Call it once."""

    def count_lost(self) -> int:
        """Counts the chunks that a learner took after the restored checkpoint before it died: they do not come again.

        Call it once.
        """

    def checkpoint(self) -> None:
        """Saves all arrived chunks beyond the life of this process.

        Raises:
          CheckpointError: the disk did not take it.
        """

    def save(self) -> dict[str, Any]:
        """Which chunks were delivered, JSON-serialisable; call it after `checkpoint`."""

    def restore(self, counts: dict[str, Any]) -> None:
        """Continues from what `save` returned."""


class NoReceiver:
    """The learner's end of a run without actors."""

    def poll(self, max_chunks: int) -> list[Chunk]:
        """No chunks."""
        return []

    def recover(self) -> list[Chunk]:
        """No chunks."""
        return []

    def count_lost(self) -> int:
        """Zero."""
        return 0

    def checkpoint(self) -> None:
        """Writes nothing."""

    def save(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def restore(self, counts: dict[str, Any]) -> None:
        """Restores nothing."""
