"""Cuts an actor's time steps into chunks."""

import os
import time
from typing import Any

import dm_env
import jax
import numpy as np

from acme_agents.core.experience import Experience
from acme_agents.core.types import Step
from acme_agents.replay import chunks
from acme_agents.replay.transport import Sender


def make_id() -> int:
    """A random number that identifies a writer's life."""
    return int.from_bytes(os.urandom(7), "big")


class ChunkWriter:
    """Cuts steps into chunks, as the kind of experience asks, and sends each. Calls block as the sender's do."""

    def __init__(self, sender: Sender, steps: Step, experience: Experience, *, writer_id: int):
        """Initialises a writer.

        Args:
          sender: takes the chunks.
          steps: `chunks.step_spec` of the agent and the environment.
          experience: the agent's kind of experience; says how episodes are cut.
          writer_id: stored in every chunk; made by `make_id`, once for each life of a writer.
        """
        self._spec = steps
        self._sender = sender
        self._id = writer_id
        self._layout = experience.layout
        self._buffer = chunks.zeros(steps, self._layout.num_rows)
        no_step = chunks.zeros(steps)
        self._no_previous = no_step.action, no_step.reward
        self._previous = self._no_previous  # action and reward before the buffer's first row
        self._leaves = jax.tree.leaves(self._buffer)
        self._observation_leaves = jax.tree.leaves(self._buffer.observation)
        self._extras_leaves = jax.tree.leaves(self._buffer.extras)
        self._num_rows = 0
        self._episode_step = 0  # of the buffer's first row
        self.version = 0  # learner's updates behind the parameters that act now
        self._version = 0  # the same for the first action since the last chunk
        self._has_begun = False  # whether there was one
        self._time_ns = 0
        self.num_chunks = 0  # written so far

    def observe_first(self, timestep: dm_env.TimeStep) -> None:
        """Begins an episode; unwritten steps of an unfinished episode are dropped.

        Raises:
          UserError: the observation does not match the environment's spec.
        """
        chunks.check(self._spec, timestep.observation)
        self._num_rows = self._whole_episodes() if self._layout.across else 0
        self._has_begun = not np.all(self._buffer.last[: self._num_rows])
        if not self._num_rows:
            self._episode_step, self._previous = 0, self._no_previous
        self._observation = timestep.observation

    def observe(self, action: Any, timestep: dm_env.TimeStep, extras: Any = ()) -> None:
        """Adds a step: the action, the time step after it, and the actor's extras."""
        if not self._has_begun:
            self._version, self._has_begun = self.version, True
        row = self._put_observation()
        self._buffer.action[row] = action
        self._buffer.reward[row] = timestep.reward
        self._buffer.discount[row] = timestep.discount
        self._buffer.last[row] = False
        for buffer, value in zip(self._extras_leaves, jax.tree.leaves(extras), strict=True):
            buffer[row] = value
        self._observation = timestep.observation
        if self._layout.across:
            self._go_on(ended=timestep.last())
        elif timestep.last():
            self._end_episode()
        elif self._num_rows == self._layout.num_rows:
            self._write(self._layout.period)

    def flush(self) -> None:
        """Blocks until everything written has arrived."""
        self._sender.flush()

    def close(self) -> None:
        """Ends the connection; unwritten steps of an unfinished episode are dropped."""
        self._sender.close()

    def _put_observation(self) -> int:
        row = self._num_rows
        if row == self._layout.num_rows:  # Only the final observation can come when the buffer is full.
            self._write(self._layout.period)
            row = self._num_rows
        for buffer, value in zip(self._observation_leaves, jax.tree.leaves(self._observation), strict=True):
            buffer[row] = value
        self._num_rows += 1
        return row

    def _put_observation_alone(self, *, last: bool) -> None:
        """Adds a row without an action."""
        row = self._put_observation()
        for field in self._buffer._replace(observation=(), last=()):
            for buffer in jax.tree.leaves(field):
                buffer[row] = 0
        self._buffer.last[row] = last

    def _go_on(self, *, ended: bool) -> None:
        """Adds an episode's final observation; writes a full chunk, whose last row is there for its observation."""
        period = self._layout.period
        is_full = self._num_rows == period
        if ended or is_full:
            self._put_observation_alone(last=ended)
        if self._num_rows < period:
            return
        ends = np.flatnonzero(self._buffer.last[:period])
        # A final observation that the chunk ends with is the next one's first row too: an environment that was there
        # for as many steps and ends of episodes as another has written as many chunks.
        self._write(period - len(ends), kept=int(ended and is_full))
        if ended and not is_full:
            self._episode_step, self._previous = 0, self._no_previous
        elif len(ends):
            self._episode_step = period - 1 - int(ends[-1])

    def _whole_episodes(self) -> int:
        """Rows up to the buffer's newest final observation."""
        ends = np.flatnonzero(self._buffer.last[: self._num_rows])
        return int(ends[-1]) + 1 if len(ends) else 0

    def _end_episode(self) -> None:
        self._put_observation_alone(last=True)
        while self._num_rows > 1:
            self._write(min(self._layout.max_starts, self._num_rows - 1))
        self._num_rows = 0

    def _write(self, num_starts: int, kept: int | None = None) -> None:
        """Sends the buffer as one chunk, and keeps the newest rows for the next one: those from `num_starts` on."""
        self._time_ns = max(self._time_ns + 1, time.time_ns())
        chunk = chunks.Chunk(
            steps=jax.tree.map(self._padded, self._buffer),
            num_steps=np.int32(self._num_rows),
            num_starts=np.int32(num_starts),
            episode_step=np.int32(self._episode_step),
            previous_action=self._previous[0],
            previous_reward=self._previous[1],
            writer=np.int64(self._id),
            version=np.int32(self._version),
            time_ns=np.int64(self._time_ns),
        )
        self._sender.send(chunk)
        self.num_chunks += 1
        kept = self._num_rows - num_starts if kept is None else kept
        row = self._layout.period - 1 if self._layout.across else num_starts - 1
        self._previous = self._buffer.action[row].copy(), self._buffer.reward[row].copy()
        self._has_begun = False
        for buffer in self._leaves:
            buffer[:kept] = buffer[self._num_rows - kept : self._num_rows]
        self._num_rows = kept
        self._episode_step += num_starts

    def _padded(self, buffer: np.ndarray) -> np.ndarray:
        copy = np.copy(buffer)
        copy[self._num_rows :] = 0
        return copy
