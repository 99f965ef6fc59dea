"""From time steps to chunks in the replay server."""

import logging
import os
import threading
import time
from collections.abc import Sequence
from typing import Any

import dm_env
import jax
import numpy as np
import reverb

from acme_agents.core.interfaces import ReplaySpec
from acme_agents.core.types import Step
from acme_agents.replay import chunks, tables

_FLUSH_TIMEOUT_MS = 500  # how long a blocked writer goes without looking at its stop event
_OPEN_TIMEOUT_MS = 1000  # that the server has to say what its tables hold, before the writer asks again
_IN_FLIGHT = 4  # items (two for each chunk) that need not be confirmed before the actor goes on


def make_id() -> int:
    """A random number for a writer's life."""
    return int.from_bytes(os.urandom(7), "big")


class ChunkWriter:
    """Cuts episodes into overlapping chunks, as `chunks.layout` says, and writes each to its tables.

    When the server is away or holds the writer back, calls block, and return once `stop` is set.
    """

    def __init__(
        self,
        client: reverb.Client,
        steps: Step,
        replay: ReplaySpec,
        *,
        into: Sequence[str] = (tables.REPLAY, tables.STREAM),
        stop: threading.Event | None = None,
        writer_id: int | None = None,
    ):
        """Initialises a writer.

        Args:
          client: of the replay server.
          steps: `chunks.step_spec` of the agent and the environment.
          replay: the agent's.
          into: the tables.
          stop: set to make blocked calls return.
          writer_id: in every chunk, one for each writer's life; a random one if left out.
        """
        self._spec = steps
        self._client = client
        self._writer: reverb.TrajectoryWriter | None = None  # until the first chunk
        self._id = make_id() if writer_id is None else writer_id
        self._tables = tuple(into)
        self._stop = stop or threading.Event()
        self._layout = chunks.layout(replay.experience)
        self._buffer = chunks.zeros(steps, self._layout.num_rows)
        no_step = chunks.zeros(steps)
        self._no_previous = no_step.action, no_step.reward
        self._previous = self._no_previous  # action and reward before the buffer's first row
        self._leaves = jax.tree.leaves(self._buffer)
        self._observation_leaves = jax.tree.leaves(self._buffer.observation)
        self._extras_leaves = jax.tree.leaves(self._buffer.extras)
        self._num_rows = 0
        self._episode_step = 0  # of the buffer's first row
        self._time_ns = 0
        self.num_chunks = 0  # written so far

    def observe_first(self, timestep: dm_env.TimeStep) -> None:
        """Begins an episode; steps of an unfinished one that were not yet written are dropped.

        Raises:
          ValueError: the observation does not match the environment's spec.
        """
        chunks.check(self._spec, timestep.observation)
        self._num_rows = self._episode_step = 0
        self._previous = self._no_previous
        self._observation = timestep.observation

    def observe(self, action: Any, timestep: dm_env.TimeStep, extras: Any = ()) -> None:
        """Adds the step that `action` made, `extras` being what the actor said of it."""
        row = self._put_observation()
        self._buffer.action[row] = action
        self._buffer.reward[row] = timestep.reward
        self._buffer.discount[row] = timestep.discount
        self._buffer.last[row] = False
        for buffer, value in zip(self._extras_leaves, jax.tree.leaves(extras), strict=True):
            buffer[row] = value
        self._observation = timestep.observation
        if timestep.last():
            self._end_episode()
        elif self._num_rows == self._layout.num_rows:
            self._write(self._layout.period)

    def flush(self) -> None:
        """Blocks until the server has confirmed everything written, or `stop` is set."""
        self._wait(0)

    def close(self) -> None:
        """Ends the connection; steps of an unfinished episode that were not yet written are dropped."""
        if self._writer is not None:
            self._writer.close()

    def _put_observation(self) -> int:
        row = self._num_rows
        if row == self._layout.num_rows:  # Only the final observation can come when the buffer is full.
            self._write(self._layout.period)
            row = self._num_rows
        for buffer, value in zip(self._observation_leaves, jax.tree.leaves(self._observation), strict=True):
            buffer[row] = value
        self._num_rows += 1
        return row

    def _end_episode(self) -> None:
        row = self._put_observation()
        for field in self._buffer._replace(observation=(), last=()):
            for buffer in jax.tree.leaves(field):
                buffer[row] = 0
        self._buffer.last[row] = True
        while self._num_rows > 1:
            self._write(min(self._layout.max_starts, self._num_rows - 1))
        self._num_rows = 0

    def _write(self, num_starts: int) -> None:
        """Writes the buffer as one chunk, and keeps the rows from `num_starts` on for the next."""
        if (writer := self._opened()) is not None:
            self._send(writer, num_starts)
        self.num_chunks += 1
        last_action, last_reward = self._buffer.action[num_starts - 1], self._buffer.reward[num_starts - 1]
        self._previous = last_action.copy(), last_reward.copy()
        kept = self._num_rows - num_starts
        for buffer in self._leaves:
            buffer[:kept] = buffer[num_starts : self._num_rows]
        self._num_rows = kept
        self._episode_step += num_starts

    def _opened(self) -> reverb.TrajectoryWriter | None:
        """Reverb's writer, once the server answers; None if `stop` is set first."""
        while self._writer is None and not self._stop.is_set():
            try:
                self._writer = self._client.trajectory_writer(
                    num_keep_alive_refs=1, get_signature_timeout_ms=_OPEN_TIMEOUT_MS
                )
            except (RuntimeError, ConnectionError) as error:  # It is starting, being restarted, or slow.
                logging.warning("The replay server does not answer (%s); asking again.", error)
        return self._writer

    def _send(self, writer: reverb.TrajectoryWriter, num_starts: int) -> None:
        self._time_ns = max(self._time_ns + 1, time.time_ns())
        chunk = chunks.Chunk(
            steps=jax.tree.map(self._padded, self._buffer),
            num_steps=np.int32(self._num_rows),
            num_starts=np.int32(num_starts),
            episode_step=np.int32(self._episode_step),
            previous_action=self._previous[0],
            previous_reward=self._previous[1],
            writer=np.int64(self._id),
            time_ns=np.int64(self._time_ns),
        )
        writer.append(jax.tree.leaves(chunk))
        trajectory = [column[-1:] for column in writer.history]
        for table in self._tables:
            writer.create_item(table, priority=1.0, trajectory=trajectory)
        self._wait(_IN_FLIGHT)

    def _padded(self, buffer: np.ndarray) -> np.ndarray:
        copy = np.copy(buffer)
        copy[self._num_rows :] = 0
        return copy

    def _wait(self, in_flight: int) -> None:
        while self._writer is not None and not self._stop.is_set():
            try:
                self._writer.flush(block_until_num_items=in_flight, timeout_ms=_FLUSH_TIMEOUT_MS)
                return
            except reverb.errors.DeadlineExceededError:
                continue  # The server is away, or holds the writer back; the items go out in the background.
