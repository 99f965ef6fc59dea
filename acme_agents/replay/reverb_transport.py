"""Chunks between processes: through the stream table of a replay server, and its durable table for a restart."""

import logging
import pathlib
import threading
from collections.abc import Sequence
from typing import Any

import jax
import reverb

from acme_agents.core import checkpoint
from acme_agents.core.interfaces import ReplaySpec
from acme_agents.core.types import Step
from acme_agents.replay import chunks, memory_transport, tables
from acme_agents.replay.chunks import Chunk
from acme_agents.replay.memory_transport import MemoryTransport

_RPC_TIMEOUT_S = 5
_FLUSH_TIMEOUT_MS = 500  # how long a blocked sender goes without looking at its stop event
_OPEN_TIMEOUT_MS = 1000  # for the server to describe its tables, before the sender asks again
_IN_FLIGHT = 4  # items of a sender that is never waited for
_CHECKPOINT_ATTEMPTS = 3
_COLLECT_BATCH = 512  # chunks asked for at a time when the durable table is collected


class ReverbSender:
    """An actor's end: writes each chunk to its tables.

    While the server is away or holds it back, calls block; they return once `stop` is set.
    """

    def __init__(
        self,
        client: reverb.Client,
        stop: threading.Event,
        into: Sequence[str] = (tables.REPLAY, tables.STREAM),
        in_flight: int = _IN_FLIGHT,
    ):
        """Initialises without a connection.

        Args:
          client: of the replay server.
          stop: set to make blocked calls return.
          into: the tables.
          in_flight: items (one for each table of a chunk) that may be unconfirmed while the actor goes on.
        """
        self._in_flight = in_flight
        self._client = client
        self._stop = stop
        self._tables = tuple(into)
        self._writers: list[reverb.TrajectoryWriter] = []  # one, once the server has answered

    def send(self, chunk: Chunk) -> None:
        """Writes a chunk."""
        while not self._writers and not self._stop.is_set():
            self._connect()
        for writer in self._writers:
            writer.append(jax.tree.leaves(chunk))
            trajectory = [column[-1:] for column in writer.history]
            for table in self._tables:
                writer.create_item(table, priority=1.0, trajectory=trajectory)
        self._wait(self._in_flight)

    def flush(self) -> None:
        """Blocks until the server has confirmed everything, or `stop` is set."""
        self._wait(0)

    def close(self) -> None:
        """Ends the connection."""
        for writer in self._writers:
            writer.close()

    def _connect(self) -> None:
        try:
            writer = self._client.trajectory_writer(num_keep_alive_refs=1, get_signature_timeout_ms=_OPEN_TIMEOUT_MS)
            self._writers.append(writer)
        except (RuntimeError, ConnectionError) as error:  # It is starting, being restarted, or slow.
            logging.warning("The replay server does not answer (%s); asking again.", error)

    def _wait(self, in_flight: int) -> None:
        for writer in self._writers:
            while not self._stop.is_set():
                try:
                    writer.flush(block_until_num_items=in_flight, timeout_ms=_FLUSH_TIMEOUT_MS)
                    break
                except reverb.errors.DeadlineExceededError:
                    continue  # The server is away, or holds it back; the items go out in the background.


def actors_sender(client: reverb.Client, stop: threading.Event, replay: ReplaySpec) -> ReverbSender:
    """The sender of an actor's chunks: into both tables, or what is learned from once into the stream alone.

    An actor of the latter waits until the server has confirmed each chunk, so that none grows old on its way.
    """
    return ReverbSender(client, stop, (tables.STREAM,), 0) if replay.experience.once else ReverbSender(client, stop)


class ReverbReceiver:
    """The learner's end: delivers each chunk once, from the durable table at the start and then from the stream.

    The chunks of one writer reach the server in order, so the newest time of each writer says what was delivered. That
    is one number for each actor's life.

    Attributes:
      taken: chunks that had left the stream when it was last read, by the server's own count, which is part of its
        checkpoints.
    """

    def __init__(self, client: reverb.Client, steps: Step, replay: ReplaySpec, directory: pathlib.Path):
        """Initialises with nothing delivered.

        Args:
          client: of the replay server.
          steps: `chunks.step_spec` of the agent and the environment.
          replay: the agent's.
          directory: of the run's checkpoints; the server's own are in a subdirectory.
        """
        self.taken = 0
        self.client = client
        self._once = replay.experience.once
        self._log = MemoryTransport(steps, replay, directory / memory_transport.DIRECTORY)  # from a run of one process
        self._directory = directory / tables.CHECKPOINTS
        self._structure = jax.tree.structure(chunks.empty(steps))
        self._delivered: dict[int, int] = {}  # the newest chunk's time for each writer, in nanoseconds
        self._connected = True
        self._collected: list[Chunk] = []  # from the durable table, not yet delivered

    def save(self) -> dict[str, Any]:
        """The newest delivered time of each writer, and the server's count."""
        return {"delivered": {str(writer): time for writer, time in self._delivered.items()}, "taken": self.taken}

    def restore(self, counts: dict[str, Any]) -> None:
        """Continues from what `save` returned here, or `MemoryTransport.save` in a run of one process.

        Raises:
          CheckpointError: the log of that run cannot be read.
        """
        if "files" in counts and self._once:
            return  # The few chunks that waited are dropped, rather than kept where they would be found again.
        if "files" in counts:
            self._log.restore(counts)
            delivered = self._log.recover()
            self._adopt([*delivered, *self._log.poll(counts["waiting"])], len(delivered))
            return
        self._delivered = {int(writer): time for writer, time in counts["delivered"].items()}
        self.taken = counts["taken"]

    def checkpoint(self) -> None:
        """Has the replay server write its tables; only warns while it is away.

        Raises:
          CheckpointError: the disk did not take it.
        """
        for attempt in range(_CHECKPOINT_ATTEMPTS):
            try:
                tables.keep_newest(self._directory)
                self.client.checkpoint()
                return
            except Exception as error:  # Reverb raises what its status code says.
                is_here = isinstance(error, OSError) and not isinstance(error, ConnectionError)
                if not is_here and not answers(self.client):
                    break
                # It may just have been restarted; a disk that is full stays so.
                if is_here or attempt == _CHECKPOINT_ATTEMPTS - 1:
                    raise checkpoint.CheckpointError(
                        f"the replay server cannot write its checkpoint ({str(error).splitlines()[0]}); the one before "
                        "it is intact: free some space, then continue with --resume."
                    ) from error
        logging.warning("The replay server is away; its newest checkpoint is older than the learner's.")

    def _adopt(self, log: Sequence[Chunk], num_delivered: int) -> None:
        """Puts chunks, oldest first, into the durable table; the first of them had been delivered."""
        sender = ReverbSender(self.client, threading.Event(), into=(tables.REPLAY,))
        for chunk in log:
            sender.send(chunk)
        sender.flush()
        sender.close()
        for chunk in log[:num_delivered]:
            self._mark_delivered(chunk)

    def count_lost(self) -> int:
        """Counts the chunks that an earlier reader took from the stream after `taken` was saved; a second call gives 0.

        Nothing is read, so no priority changes. The count is exact if the server lived on, or went back to the
        checkpoint from before `taken` was saved; if it went back further, the error is at most what it lost.
        """
        before, self.taken = self.taken, _taken(self._info(tables.STREAM))
        return max(0, self.taken - before)

    def recover(self) -> list[Chunk]:
        """Reads the whole durable table, in the order in which it was written.

        Every chunk read gets priority 0, so that sampling returns only unread ones; at the end all get 1 again.
        An earlier reader that died midway has left zeros; when only zeros are left, sampling is uniform and finds them.

        Returns:
          The chunks that had been delivered before; `poll` delivers the others first.
        """
        found: dict[int, Chunk] = {}  # by Reverb's key
        while len(found) < (size := self._info(tables.REPLAY).current_size):
            samples = self.client.sample(tables.REPLAY, num_samples=min(_COLLECT_BATCH, size), emit_timesteps=False)
            new = {s.info.key: self._chunk(s) for s in samples if s.info.key not in found}
            found |= new
            self.client.mutate_priorities(tables.REPLAY, dict.fromkeys(new, 0.0))
        self.client.mutate_priorities(tables.REPLAY, dict.fromkeys(found, 1.0))
        # A writer sends again what was not confirmed before its connection broke, though it may have arrived.
        once = {(int(chunk.writer), int(chunk.time_ns)): chunk for chunk in found.values()}
        in_order = sorted(once.values(), key=lambda chunk: int(chunk.time_ns))
        self._collected = [chunk for chunk in in_order if not self._was_delivered(chunk)]
        return [chunk for chunk in in_order if self._was_delivered(chunk)]

    def poll(self, max_chunks: int) -> list[Chunk]:
        """Takes the waiting chunks of the stream without blocking; none while the server is away."""
        if self._collected:
            found, self._collected = self._collected[:max_chunks], self._collected[max_chunks:]
            for chunk in found:
                self._mark_delivered(chunk)
            return found
        try:
            info = self._info(tables.STREAM)
            self.taken = _taken(info)
            size = min(max_chunks, info.current_size)
            if not size:
                return []
            samples = list(self.client.sample(tables.STREAM, num_samples=size, emit_timesteps=False))
            self.taken += len(samples)
        except (RuntimeError, ConnectionError, reverb.errors.ReverbError) as error:
            if self._connected:
                logging.warning("The replay server is away (%s); waiting for it.", str(error).splitlines()[0])
            self._connected = False
            return []
        self._connected = True
        found = [chunk for chunk in map(self._chunk, samples) if not self._was_delivered(chunk)]
        # A writer that reconnects sends what was held up in any order.
        found.sort(key=lambda chunk: int(chunk.time_ns))
        for chunk in found:
            self._mark_delivered(chunk)
        return found

    def _info(self, table: str) -> reverb.reverb_types.TableInfo:
        return self.client.server_info(timeout=_RPC_TIMEOUT_S)[table]

    def _chunk(self, sample: reverb.ReplaySample) -> Chunk:
        return jax.tree.unflatten(self._structure, [column[0] for column in sample.data])

    def _was_delivered(self, chunk: Chunk) -> bool:
        return int(chunk.time_ns) <= self._delivered.get(int(chunk.writer), -1)

    def _mark_delivered(self, chunk: Chunk) -> None:
        self._delivered[int(chunk.writer)] = int(chunk.time_ns)


def _taken(info: reverb.reverb_types.TableInfo) -> int:
    """How many items of a table were ever sampled."""
    return info.rate_limiter_info.sample_stats.completed


def answers(client: reverb.Client, timeout: int = 1) -> bool:
    """Whether a replay server answers within `timeout` seconds."""
    try:
        client.server_info(timeout=timeout)
    except Exception:  # Reverb raises what its status code says.
        return False
    return True
