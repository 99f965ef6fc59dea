"""Checkpoints: a pytree of arrays and a dictionary in one file that is either whole or not there.

A file is written beside its final name, flushed to the disk and renamed. The archive's own checksums tell a damaged
file on loading, and the one before it is loaded instead.
"""

import contextlib
import io
import json
import logging
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from acme_agents.core import errors

DIRECTORY = "checkpoints"  # within a run directory
_META = "meta.json"


class CheckpointError(errors.UserError):
    """A checkpoint that cannot be written or read; its message is one sentence for the user."""


def save(
    directory: pathlib.Path,
    step: int,
    tree: Any,
    meta: dict[str, Any],
    *,
    keep: int = 2,
    keep_every: int | None = None,
) -> pathlib.Path:
    """Writes `directory/STEP.npz`, and then removes old ones.

    Args:
      directory: made if it is not there.
      step: the learner's update count; names the file.
      tree: a pytree of arrays.
      meta: JSON-serialisable.
      keep: how many of the newest stay.
      keep_every: updates; the first checkpoint at or after each multiple of it stays too. None for no others.

    Returns:
      The file's path.

    Raises:
      CheckpointError: the disk did not take it; earlier checkpoints are unchanged.
    """
    path = directory / f"{step:012d}.npz"
    arrays = {f"{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(tree))}
    arrays[_META] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    try:
        write_arrays(path, arrays)
    except OSError as error:
        before = steps(directory)
        intact = f"the one at update {before[-1]} is intact" if before else "there is none before it"
        raise CheckpointError(
            f"cannot write the checkpoint {path}: {error.strerror or error}; {intact}: free some space, then continue "
            "with --resume."
        ) from error
    found = steps(directory)
    for previous, old in list(zip([0, *found], found))[:-keep]:
        if not keep_every or previous // keep_every == old // keep_every:
            (directory / f"{old:012d}.npz").unlink(missing_ok=True)
    for left_by_a_kill in directory.glob("*.partial"):
        left_by_a_kill.unlink(missing_ok=True)
    return path


def write_arrays(path: pathlib.Path, arrays: Mapping[str, np.ndarray], *, compress: bool = False) -> None:
    """Writes an .npz file, its directory too, that is either whole or not there.

    Raises:
      OSError: the disk did not take it.
    """
    archive = io.BytesIO()  # A full disk then meets a plain write; an archive would try once more when it is collected.
    (np.savez_compressed if compress else np.savez)(archive, **arrays)
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(archive.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_directory(path.parent)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def steps(directory: pathlib.Path) -> list[int]:
    """The update counts of the existing checkpoints, oldest first."""
    return sorted(int(path.stem) for path in directory.glob("*.npz") if path.stem.isdigit())


def read_meta(directory: pathlib.Path) -> dict[str, Any] | None:
    """The dictionary of the newest whole checkpoint; None where there is no checkpoint.

    Raises:
      CheckpointError: none of the checkpoints can be read.
    """
    found = _newest(directory)
    return None if found is None else found[2]


def load(directory: pathlib.Path, template: Any) -> tuple[Any, dict[str, Any]] | None:
    """Reads the newest whole checkpoint.

    Args:
      directory: where `save` wrote.
      template: a pytree like the one saved; its leaves need only shapes and dtypes.

    Returns:
      The tree, its leaves NumPy arrays, and the dictionary; None where there is no checkpoint.

    Raises:
      CheckpointError: none of the checkpoints can be read, or they are not of this template.
    """
    found = _newest(directory)
    if found is None:
        return None
    path, values, meta = found
    leaves, structure = jax.tree.flatten(template)
    shapes = [(leaf.shape, np.dtype(leaf.dtype)) for leaf in leaves]
    if [(value.shape, value.dtype) for value in values] != shapes:
        raise CheckpointError(
            f"the checkpoint {path} is of another agent, environment or network: resume with the configuration that "
            "made it."
        )
    return jax.tree.unflatten(structure, values), meta


def _newest(directory: pathlib.Path) -> tuple[pathlib.Path, list[np.ndarray], dict[str, Any]] | None:
    """The newest whole checkpoint: its path, leaves and dictionary."""
    found = steps(directory)
    for step in reversed(found):
        path = directory / f"{step:012d}.npz"
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            meta = json.loads(arrays.pop(_META).tobytes())
            return path, [arrays[f"{i}"] for i in range(len(arrays))], meta
        except Exception as error:  # One wrong bit can make an archive raise nearly anything.
            logging.warning("The checkpoint %s is damaged (%s); trying the one before it.", path, error)
    if found:
        raise CheckpointError(f"every checkpoint in {directory} is damaged: begin again in another run directory.")
    return None


def _sync_directory(directory: pathlib.Path) -> None:
    """Makes a rename last through a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
