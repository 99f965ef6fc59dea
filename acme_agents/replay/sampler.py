"""Batches of chunks that the replay server draws by priority, and their new priorities on the way back."""

import collections
import contextlib
import logging
import queue
import threading
from typing import Any, NamedTuple

import jax
import numpy as np
import reverb

from acme_agents.core.interfaces import ReplaySpec
from acme_agents.core.types import SampleInfo, Sequence, Step
from acme_agents.replay import chunks
from acme_agents.replay.chunks import Chunk

_HANDOVER_SECONDS = 0.2  # how long the thread waits before it looks at its stop event
_MAX_PENDING = 1000  # batches whose priorities wait for a server that is away; the oldest are dropped


class Drawn(NamedTuple):
    """A batch, and the keys of its elements in the server."""

    batch: Sequence  # NumPy arrays
    keys: np.ndarray  # [B] uint64, Reverb's


class ChunkSampler:
    """Draws batches ahead of time, in a thread of its own.

    For each element of a batch a source is drawn by its share, and an item of it by priority; Reverb draws with
    replacement. Calls to a server that is away block until it is back at its address. Only this thread makes them, so
    the learner never waits longer than its own timeout. The priorities behind a batch are a few batches old: one batch
    waits here, one is being made, and Reverb has one on its way. Reverb holds one item of each source ready, which may
    be older if the source is seldom drawn from.
    """

    def __init__(self, client: reverb.Client, steps: Step, replay: ReplaySpec, seed: int):
        """Begins to draw as soon as every source holds something.

        Args:
          client: of the replay server.
          steps: `chunks.step_spec` of the agent and the environment.
          replay: the agent's; its sources are tables of the server.
          seed: of the choice of sources; the choice of items is Reverb's, which takes no seed.
        """
        self._client = client
        self._structure = jax.tree.structure(chunks.empty(steps))
        self._batch_size = replay.batch_size
        self._tables, self._shares = list(replay.sources), np.array(list(replay.sources.values()))
        self._rng = np.random.default_rng(seed)
        self._batches: queue.Queue[Drawn] = queue.Queue(maxsize=1)
        self._pending: collections.deque[tuple[Drawn, np.ndarray]] = collections.deque(maxlen=_MAX_PENDING)
        self._stop = threading.Event()
        self._error: Exception | None = None  # that ended the thread
        self._samplers: list[Any] = []
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def next(self, timeout: float) -> Drawn | None:
        """The next batch; None if there is none within `timeout` seconds, as while the server is away.

        Raises:
          Exception: the exception that ended the thread, once the batches it drew before are used up.
        """
        try:
            return self._batches.get(timeout=0 if self._error else timeout)
        except queue.Empty:
            if self._error is not None:
                raise self._error from None
            return None

    def prioritise(self, drawn: Drawn, priorities: np.ndarray) -> None:
        """Queues new priorities of a batch, [B] float32, finite and >= 0; items no longer on the server are ignored."""
        self._pending.append((drawn, priorities))

    def close(self) -> None:
        """Stops drawing."""
        self._stop.set()
        for sampler in self._samplers:
            sampler.Close()
        self._thread.join(2 * _HANDOVER_SECONDS)

    def _run(self) -> None:
        try:
            self._draw_ahead()
        except Exception as error:  # The learner's thread raises it, because here it would be lost.
            self._error = error

    def _draw_ahead(self) -> None:
        """Draws until it is stopped."""
        connected = True
        while not self._stop.is_set():
            try:
                self._write_back()
                drawn = self._draw()
                connected = True
            except (RuntimeError, ConnectionError, reverb.errors.ReverbError) as error:  # The server has just died.
                if connected and not self._stop.is_set():
                    logging.warning("The replay server is away (%s); waiting for it.", str(error).splitlines()[0])
                connected, self._samplers = False, []
                self._stop.wait(_HANDOVER_SECONDS)
                continue
            while not self._stop.is_set():
                with contextlib.suppress(queue.Full):
                    self._batches.put(drawn, timeout=_HANDOVER_SECONDS)
                    break

    def _connect(self) -> list[Any]:
        """A Reverb sampler for each source, with room for its share of a batch.

        `Client.sample` makes a new one for each call, with room for one item: six times slower.
        """
        buffers = np.maximum(1, (self._shares * self._batch_size).astype(int)).tolist()
        new_sampler = self._client._client.NewSampler
        return [new_sampler(table, 2**60, size) for table, size in zip(self._tables, buffers)]

    def _draw(self) -> Drawn:
        source = self._rng.choice(len(self._shares), self._batch_size, p=self._shares / self._shares.sum())
        self._samplers = self._samplers or self._connect()
        samples = [self._samplers[i].GetNextTrajectory() for i in source]
        key, probability, _, _, *columns = zip(*samples)  # of each sample: key, probability, table size, priority, data
        chunk: Chunk = jax.tree.unflatten(self._structure, [np.stack([row[0] for row in rows]) for rows in columns])
        probabilities: Any = np.array(probability, np.float32).reshape(-1)
        sources: Any = source.astype(np.int32)
        return Drawn(to_batch(chunk, SampleInfo(probabilities, sources)), np.array(key, np.uint64).reshape(-1))

    def _write_back(self) -> None:
        """Sends the queued priorities."""
        new: list[dict[int, float]] = [{} for _ in self._tables]
        while self._pending:
            drawn, priorities = self._pending.popleft()
            for source, key, priority in zip(drawn.batch.sample_info.source, drawn.keys.tolist(), priorities.tolist()):
                new[source][key] = priority
        for table, updates in zip(self._tables, new):
            if updates:
                self._client.mutate_priorities(table, updates)


def to_batch(batch: Chunk, info: SampleInfo) -> Sequence:
    """Stacked chunks as a batch of sequences, the kind of experience whose items are chunks."""
    return Sequence(
        steps=batch.steps,
        num_steps=batch.num_steps,
        episode_step=batch.episode_step,
        previous_action=batch.previous_action,
        previous_reward=batch.previous_reward,
        sample_info=info,
    )
