"""Chunks within one process: a queue, and a log on disk from which a later process continues."""

import collections
import pathlib
import zipfile
import zlib
from typing import Any

import jax
import numpy as np

from acme_agents.core import checkpoint
from acme_agents.core.interfaces import ReplaySpec
from acme_agents.core.types import Step
from acme_agents.replay import chunks
from acme_agents.replay.chunks import Chunk

DIRECTORY = "chunks"  # within the directory of the checkpoints


class MemoryTransport:
    """Sender and receiver in one.

    `checkpoint` appends only the new chunks to a log of files. The log keeps what the newest two checkpoints need to
    fill replay again; a checkpoint names the files that existed when it was written.
    """

    def __init__(self, steps: Step, replay: ReplaySpec, directory: pathlib.Path):
        """Begins with an empty queue; files of an earlier run stay until `restore` or `checkpoint`.

        Args:
          steps: `chunks.step_spec` of the agent and the environment.
          replay: the agent's.
          directory: of the log; made when it is needed.
        """
        self._structure = jax.tree.structure(chunks.empty(steps))
        self._num_leaves = len(jax.tree.leaves(chunks.empty(steps)))
        self._shapes = [(*x.shape,) for x in jax.tree.leaves(chunks.zeros(steps, replay.experience.layout.num_rows))]
        self._experience = replay.experience
        self._max_items = replay.max_size
        self._directory = directory
        self._queue: collections.deque[Chunk] = collections.deque()
        self._unlogged: list[Chunk] = []  # sent since the last checkpoint
        self._files: list[list[int]] = []  # of each file that this checkpoint needs: its number, chunks and items
        self._num_files = 0  # written so far
        self._first_needed = 0  # number of the oldest file that the checkpoint before needs
        self._waiting = 0  # chunks in the log that had not been delivered

    def send(self, chunk: Chunk) -> None:
        """Adds a chunk to the end of the queue."""
        self._queue.append(chunk)
        self._unlogged.append(chunk)

    def flush(self) -> None:
        """Returns at once: a sent chunk has already arrived."""

    def close(self) -> None:
        """Holds nothing to close."""

    def poll(self, max_chunks: int) -> list[Chunk]:
        """Takes the oldest chunks from the queue."""
        return [self._queue.popleft() for _ in range(min(max_chunks, len(self._queue)))]

    @property
    def num_waiting(self) -> int:
        """Chunks in the queue."""
        return len(self._queue)

    def checkpoint(self) -> None:
        """Appends the new chunks to the log.

        Raises:
          CheckpointError: the disk did not take them; the log is unchanged.
        """
        if not self._unlogged:
            return
        path = self._path(self._num_files)
        arrays = {
            f"{i}": np.stack(leaves) for i, leaves in enumerate(zip(*map(jax.tree.leaves, self._unlogged), strict=True))
        }
        try:
            checkpoint.write_arrays(path, arrays, compress=True)
        except OSError as error:
            raise checkpoint.CheckpointError(
                f"cannot write the replay log {path}: {error.strerror or error}; the newest checkpoint is intact: free "
                "some space, then continue with --resume."
            ) from error
        num_items = int(sum(map(self._experience.num_items, self._unlogged)))
        self._files.append([self._num_files, len(self._unlogged), num_items])
        self._num_files += 1
        self._unlogged = []
        self._forget()

    def save(self) -> dict[str, Any]:
        """The log's files, and how many of its chunks were not delivered."""
        return {"files": [list(file) for file in self._files], "waiting": len(self._queue)}

    def restore(self, counts: dict[str, Any]) -> None:
        """Continues after the files that a checkpoint names; later files belong to steps that the checkpoint lacks."""
        self._files, self._waiting = [list(file) for file in counts["files"]], counts["waiting"]
        self._num_files = self._files[-1][0] + 1 if self._files else 0
        self._first_needed = self._files[0][0] if self._files else 0
        for path in self._paths():
            if int(path.stem) >= self._num_files:
                path.unlink()

    def recover(self) -> list[Chunk]:
        """Reads the log; chunks that were not delivered are put back into the queue.

        Raises:
          CheckpointError: a file is missing, damaged, or of another agent or environment.
        """
        found = [chunk for number, num_chunks, _ in self._files for chunk in self._read(number, num_chunks)]
        delivered = len(found) - self._waiting
        self._queue.extend(found[delivered:])
        return found[:delivered]

    def count_lost(self) -> int:
        """None: learner and actor die together and continue from the same checkpoint."""
        return 0

    def _forget(self) -> None:
        """Drops from the list the files that replay could not hold, and deletes those that no checkpoint needs."""
        while sum(items for *_, items in self._files[1:]) >= self._max_items + self._undelivered_items():
            del self._files[0]
        for path in self._paths():
            if int(path.stem) < self._first_needed:
                path.unlink()
        self._first_needed = self._files[0][0]

    def _undelivered_items(self) -> int:
        return int(sum(map(self._experience.num_items, self._queue)))

    def _read(self, number: int, num_chunks: int) -> list[Chunk]:
        path = self._path(number)
        try:
            with np.load(path, allow_pickle=False) as archive:
                leaves = [archive[f"{i}"] for i in range(self._num_leaves)]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise checkpoint.CheckpointError(
                f"the replay log {path} cannot be read ({error}): begin again in another run directory, or evaluate "
                "the policy of the newest checkpoint, which is intact."
            ) from error
        if [(num_chunks, *shape) for shape in self._shapes] != [leaf.shape for leaf in leaves[: len(self._shapes)]]:
            raise checkpoint.CheckpointError(
                f"the replay log {path} is of another agent, environment or version: resume with the configuration "
                "that made it."
            )
        return [jax.tree.unflatten(self._structure, [leaf[i] for leaf in leaves]) for i in range(num_chunks)]

    def _path(self, number: int) -> pathlib.Path:
        return self._directory / f"{number:08d}.npz"

    def _paths(self) -> list[pathlib.Path]:
        return sorted(self._directory.glob("*.npz"))
