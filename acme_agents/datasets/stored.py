"""A dataset's rows on the disk, for learning from more than fits into memory.

The dataset is read once, an episode at a time, into a directory of plain files: one for each array of a row, in which
row r is at r times the bytes of a row, in the environment's dtype (pixels stay uint8). Any stretch of rows is then
read by one call for each array. The directory is written beside its final name and renamed, so it is whole or not
there, and says of which files it was made, with their sizes and times of change: of others it is made again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import pathlib
import re
import shutil
import weakref
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from absl import logging

from acme_agents.core import files, types
from acme_agents.datasets import checks, loading

_VERSION = 1  # of the files' layout
_META = "meta.json"
_LENGTHS = "lengths.bin"  # [E] int32, steps of each episode
_BUFFER = 1 << 20  # bytes


class Stored:
    """The rows of episodes one after another, as `types.Step` has them, on the disk.

    Its files stay open, and so stay there, also where another process puts newer ones in their place.

    Attributes:
      lengths: [E] int32, the steps of each episode; it has a row more, for its final observation.
      num_rows: of all episodes together.
    """

    def __init__(self, directory: pathlib.Path, spec: types.EnvironmentSpec):
        """Opens what `store` wrote.

        Raises:
          OSError: the files are not all there, or not of the size that they should have.
        """
        self.lengths = np.fromfile(directory / _LENGTHS, np.int32)
        self.num_rows = int(self.lengths.sum(dtype=np.int64)) + len(self.lengths)
        self._directory = directory
        self._specs, self._structure = _leaves(spec)
        self._files: list[int] = []
        for number, leaf in enumerate(self._specs):
            file = os.open(directory / _name(number), os.O_RDONLY)
            self._files.append(file)
            weakref.finalize(self, os.close, file)
            if os.fstat(file).st_size != self.num_rows * _nbytes(leaf):
                raise OSError(f"{_name(number)} is of another size")

    def read(self, first: int, stop: int) -> types.Step:
        """The rows from `first` to before `stop`, [stop - first, ...], without extras.

        Raises:
          DatasetError: the disk did not give them.
        """
        return jax.tree.unflatten(self._structure, [self._read(i, first, stop) for i in range(len(self._specs))])

    def _read(self, number: int, first: int, stop: int) -> np.ndarray:
        leaf = self._specs[number]
        array = np.empty((stop - first, *leaf.shape), leaf.dtype)
        left, offset = _bytes(array), first * _nbytes(leaf)
        while left:
            try:
                count = os.preadv(self._files[number], [left], offset)
            except OSError as error:
                raise self._unreadable(error.strerror or str(error)) from error
            if not count:
                raise self._unreadable("it ends too early")
            left, offset = left[count:], offset + count
        return array

    def _unreadable(self, why: str) -> checks.DatasetError:
        return checks.DatasetError(
            f"the rows of the dataset in {self._directory} cannot be read ({why}): remove that directory, then "
            "continue with --resume, which makes it again."
        )


def store(
    path: pathlib.Path | str,
    spec: types.EnvironmentSpec,
    selection: loading.Selection,
    directory: pathlib.Path | None = None,
) -> Stored:
    """Writes a dataset's rows to the disk unless they are there; one episode is in memory at a time.

    Args:
      path: the dataset's, as `loading.load` takes it.
      spec: the environment's.
      selection: the episodes.
      directory: holds a directory for each dataset, selection and spec; None for one in the user's cache directory.

    Raises:
      DatasetError: the dataset cannot be learned from, or the disk did not take its rows.
    """
    path = loading.locate(pathlib.Path(path))
    identity = _identity(path, spec, selection)
    base = files.user_cache() / "datasets" if directory is None else directory
    final = base / f"{re.sub(r'[^A-Za-z0-9.-]', '_', path.name)[:40]}-{_digest([str(path), *identity['of']])}"
    try:
        with _locked(final):
            found = _opened(final, spec, identity)
            if found is None:
                logging.info("%s: its rows are written to %s.", path, final)
                _write(final, path, spec, selection, identity)
                found = Stored(final, spec)
            return found
    except OSError as error:
        raise checks.DatasetError(
            f"cannot write the rows of {path} to {final} ({error.strerror or error}): free some space, or set "
            "XDG_CACHE_HOME to a directory that has room for all of it."
        ) from error


def _opened(final: pathlib.Path, spec: types.EnvironmentSpec, identity: dict[str, Any]) -> Stored | None:
    """What was stored, if it is whole and of the same dataset."""
    try:
        same = json.loads((final / _META).read_text()) == identity
        return Stored(final, spec) if same else None
    except (OSError, ValueError):
        return None


def _write(
    final: pathlib.Path,
    path: pathlib.Path,
    spec: types.EnvironmentSpec,
    selection: loading.Selection,
    identity: dict[str, Any],
) -> None:
    partial = final.with_name(final.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # which a kill left
    partial.mkdir()
    try:
        with contextlib.ExitStack() as stack:
            names = [_LENGTHS, *(_name(number) for number in range(len(_leaves(spec)[0])))]
            lengths, *files = [stack.enter_context((partial / name).open("wb", buffering=_BUFFER)) for name in names]
            for episode in loading.each(path, spec, selection):
                lengths.write(np.int32(len(episode.discount)).tobytes())
                for file, array in zip(files, jax.tree.leaves(_rows(episode)), strict=True):
                    file.write(_bytes(np.ascontiguousarray(array)))
            for file in (lengths, *files):
                file.flush()
                os.fsync(file.fileno())
        (partial / _META).write_text(json.dumps(identity))
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _rows(episode: types.Trajectory) -> types.Step:
    """The rows of an episode of T steps, [T + 1, ...]; the last one has its final observation alone."""

    def ended(array: np.ndarray) -> np.ndarray:
        return np.concatenate([array, np.zeros_like(array[:1])])

    last = np.zeros(len(episode.discount) + 1, bool)
    last[-1] = True
    action, reward, discount = map(ended, (episode.action, episode.reward, episode.discount))
    return types.Step(episode.observation, action, reward, discount, last)


def _leaves(spec: types.EnvironmentSpec) -> tuple[list[types.ArraySpec], Any]:
    """The specs of the arrays of a row, in their order, and the structure of a row."""
    row = types.Step(spec.observation, spec.action, spec.reward, types.ArraySpec(()), types.ArraySpec((), "bool"))
    return jax.tree.flatten(row)


def _bytes(array: np.ndarray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _nbytes(leaf: types.ArraySpec) -> int:
    return np.dtype(leaf.dtype).itemsize * math.prod(leaf.shape)


def _name(number: int) -> str:
    return f"{number}.bin"


def _identity(path: pathlib.Path, spec: types.EnvironmentSpec, selection: loading.Selection) -> dict[str, Any]:
    """What must be equal for stored rows to be those of a dataset; JSON-serialisable."""
    _, found = loading.find(path)
    files: list[pathlib.Path] = []
    for place in found if isinstance(found, list) else [found]:
        files += [file for file in place.rglob("*") if file.is_file()] if place.is_dir() else [place]
    states = {str(file): file.stat() for file in sorted(files)}
    return {
        "version": _VERSION,
        "files": [[name, state.st_size, state.st_mtime_ns] for name, state in states.items()],
        "of": [repr(spec), repr(selection if selection.keep_good < 1 else selection._replace(seed=0))],
    }


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@contextlib.contextmanager
def _locked(final: pathlib.Path) -> Iterator[None]:
    """Waits until no other process writes the same directory."""
    final.parent.mkdir(parents=True, exist_ok=True)
    with final.with_name(final.name + ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logging.info("Another process writes %s: waiting for it.", final)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
