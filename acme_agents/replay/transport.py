"""How chunks get from actors to the learner: a way with two ends."""

from typing import Any, Protocol

from acme_agents.replay.chunks import Chunk


class Sender(Protocol):
    """An actor's end."""

    def send(self, chunk: Chunk) -> None:
        """Sends a chunk; blocks while the other end takes no more, until the run is to stop."""

    def flush(self) -> None:
        """Blocks until all that was sent has arrived, or the run is to stop."""

    def close(self) -> None:
        """Ends the connection."""


class Receiver(Protocol):
    """The learner's end. What has left it is delivered once, also after a restart from a checkpoint."""

    def poll(self, max_chunks: int) -> list[Chunk]:
        """The next chunks, each writer's in order, at most `max_chunks`; none where none wait."""

    def recover(self) -> list[Chunk]:
        """What was delivered before the checkpoint that `restore` was given, as far as it is still held; once."""

    def count_lost(self) -> int:
        """Counts what was delivered to a learner that died after that checkpoint, and will not come again; once."""

    def checkpoint(self) -> None:
        """Makes what has arrived outlive this process.

        Raises:
          CheckpointError: the disk did not take it.
        """

    def save(self) -> dict[str, Any]:
        """What was delivered, JSON-serialisable; after `checkpoint`."""

    def restore(self, counts: dict[str, Any]) -> None:
        """Continues from what `save` returned."""


class NoSender:
    """The learner's end where nobody acts."""

    def poll(self, max_chunks: int) -> list[Chunk]:
        """None ever comes."""
        return []

    def recover(self) -> list[Chunk]:
        """There was none."""
        return []

    def count_lost(self) -> int:
        """None was lost."""
        return 0

    def checkpoint(self) -> None:
        """There is nothing to write."""

    def save(self) -> dict[str, Any]:
        """There is nothing to count."""
        return {}

    def restore(self, counts: dict[str, Any]) -> None:
        """There is nothing to continue."""
