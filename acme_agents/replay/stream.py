"""From the replay server to the learner: each chunk once."""

import logging

import jax
import reverb

from acme_agents.replay import tables
from acme_agents.replay.chunks import Chunk

_RPC_TIMEOUT_S = 5
_COLLECT_BATCH = 512  # chunks asked for at a time when the durable table is collected


class ChunkStream:
    """Reads the stream table, and at the start the durable one; drops whatever it has delivered before.

    The chunks of one writer reach the server in order, so the newest time of each writer says what was delivered. Its
    size is one number for each actor's life.

    Attributes:
      taken: chunks that had left the stream when it was last looked at, by the server's own count, which is in its
        checkpoints.
    """

    def __init__(
        self, client: reverb.Client, structure: Chunk, delivered: dict[int, int] | None = None, *, taken: int = 0
    ):
        """Initialises a stream.

        Args:
          client: of the replay server.
          structure: any chunk of the run, for its pytree structure.
          delivered: `delivered()` of the stream that this one continues.
          taken: `taken` of that stream.
        """
        self.taken = taken
        self._client = client
        self._structure = jax.tree.structure(structure)
        self._delivered = dict(delivered or {})
        self._connected = True
        self._collected: list[Chunk] = []  # from the durable table, not yet delivered

    def delivered(self) -> dict[int, int]:
        """The newest chunk's time for each writer, in nanoseconds."""
        return dict(self._delivered)

    def count_lost(self) -> int:
        """Counts the chunks that an earlier reader took from the stream after `taken` was saved; a second call gives 0.

        Nothing is read, so that no priority changes. It is exact while the server lives and after it went back to the
        checkpoint before `taken` was saved; a server that went back further since is off by what it lost at most.
        """
        before, self.taken = self.taken, _taken(self._info(tables.STREAM))
        return max(0, self.taken - before)

    def collect(self) -> list[Chunk]:
        """Reads the whole durable table, in the order in which it was written.

        Every chunk seen gets priority 0, so that the rest is sampled from what is missing; at the end all get 1 again.
        Where an earlier reader died in between, its zeros are found by chance, all priorities being equal then.

        Returns:
          The chunks that had been delivered before; `poll` delivers the others first.
        """
        chunks: dict[int, Chunk] = {}  # by Reverb's key
        while len(chunks) < (size := self._info(tables.REPLAY).current_size):
            samples = self._client.sample(tables.REPLAY, num_samples=min(_COLLECT_BATCH, size), emit_timesteps=False)
            new = {s.info.key: self._chunk(s) for s in samples if s.info.key not in chunks}
            chunks |= new
            self._client.mutate_priorities(tables.REPLAY, dict.fromkeys(new, 0.0))
        self._client.mutate_priorities(tables.REPLAY, dict.fromkeys(chunks, 1.0))
        # A writer sends again what was not confirmed before its connection broke, though it may have arrived.
        once = {(int(chunk.writer), int(chunk.time_ns)): chunk for chunk in chunks.values()}
        in_order = sorted(once.values(), key=lambda chunk: int(chunk.time_ns))
        self._collected = [chunk for chunk in in_order if not self._was_delivered(chunk)]
        return [chunk for chunk in in_order if self._was_delivered(chunk)]

    def poll(self, max_chunks: int | None = None) -> list[Chunk]:
        """Takes what waits in the stream, at most so many chunks, without blocking; none while the server is away."""
        if self._collected:
            chunks, self._collected = (
                self._collected[:max_chunks],
                self._collected[max_chunks or len(self._collected) :],
            )
            for chunk in chunks:
                self._mark_delivered(chunk)
            return chunks
        try:
            info = self._info(tables.STREAM)
            self.taken = _taken(info)
            size = info.current_size if max_chunks is None else min(max_chunks, info.current_size)
            if not size:
                return []
            samples = list(self._client.sample(tables.STREAM, num_samples=size, emit_timesteps=False))
            self.taken += len(samples)
        except (RuntimeError, ConnectionError, reverb.errors.ReverbError) as error:
            if self._connected:
                logging.warning("The replay server is away (%s); waiting for it.", str(error).splitlines()[0])
            self._connected = False
            return []
        self._connected = True
        chunks = [chunk for chunk in map(self._chunk, samples) if not self._was_delivered(chunk)]
        # A writer that reconnects sends what was held up in any order.
        chunks.sort(key=lambda chunk: int(chunk.time_ns))
        for chunk in chunks:
            self._mark_delivered(chunk)
        return chunks

    def _info(self, table: str) -> reverb.reverb_types.TableInfo:
        return self._client.server_info(timeout=_RPC_TIMEOUT_S)[table]

    def _chunk(self, sample: reverb.ReplaySample) -> Chunk:
        return jax.tree.unflatten(self._structure, [column[0] for column in sample.data])

    def _was_delivered(self, chunk: Chunk) -> bool:
        return int(chunk.time_ns) <= self._delivered.get(int(chunk.writer), -1)

    def _mark_delivered(self, chunk: Chunk) -> None:
        self._delivered[int(chunk.writer)] = int(chunk.time_ns)


def _taken(info: reverb.reverb_types.TableInfo) -> int:
    """Items that were ever sampled."""
    return info.rate_limiter_info.sample_stats.completed
