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
    """Cuts episodes into overlapping chunks, and sends each. Calls block as the sender's do."""

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
        self._time_ns = 0
        self.num_chunks = 0  # written so far

    def observe_first(self, timestep: dm_env.TimeStep) -> None:
        """Begins an episode; unwritten steps of an unfinished episode are dropped.

        Raises:
          UserError: the observation does not match the environment's spec.
        """
        chunks.check(self._spec, timestep.observation)
        self._num_rows = self._episode_step = 0
        self._previous = self._no_previous
        self._observation = timestep.observation

    def observe(self, action: Any, timestep: dm_env.TimeStep, extras: Any = ()) -> None:
        """Adds a step: the action, the time step after it, and the actor's extras."""
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
        """Sends the buffer as one chunk, and keeps the rows from `num_starts` on for the next chunk."""
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
        self._sender.send(chunk)
        self.num_chunks += 1
        last_action, last_reward = self._buffer.action[num_starts - 1], self._buffer.reward[num_starts - 1]
        self._previous = last_action.copy(), last_reward.copy()
        kept = self._num_rows - num_starts
        for buffer in self._leaves:
            buffer[:kept] = buffer[num_starts : self._num_rows]
        self._num_rows = kept
        self._episode_step += num_starts

    def _padded(self, buffer: np.ndarray) -> np.ndarray:
        copy = np.copy(buffer)
        copy[self._num_rows :] = 0
        return copy
