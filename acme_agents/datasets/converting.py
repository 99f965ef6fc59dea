"""Writes a dataset again in another format, an episode at a time.

HDF5 files as of D4RL and d3rlpy 2 get the numbers and dtypes of the file that is read, and the environment's own
actions: those of a Minari dataset of ours, which are canonical, are mapped to its bounds. Minari's format is written as
`save` does, canonical and in the environment's dtypes. The name of the environment is kept, in HDF5 files as the
attribute `acme_agents_environment`, which other readers ignore. `convert` returns what the format cannot hold.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from acme_agents.core import types
from acme_agents.datasets import checks, d4rl, loading, minari_dataset, saving
from acme_agents.datasets import rows as rows_lib
from acme_agents.datasets import summary as summary_lib

Format = Literal["minari", "d4rl", "d3rlpy"]
_BUFFERED = 1 << 23  # bytes of rows that are written at once
_CHUNK = 1 << 18  # bytes of a chunk of an HDF5 array


def convert(
    summary: summary_lib.Summary,
    to: pathlib.Path | str,
    format: Format,
    *,
    environment: str | None = None,
    spec: types.EnvironmentSpec | None = None,
) -> list[str]:
    """Writes a dataset in a format, whole or not at all.

    Args:
      summary: of the dataset, as `summarise` returns it.
      to: where to write it; nothing may be there.
      format: to write.
      environment: our name for the environment that it is of, if known.
      spec: of that; needed for Minari's format, and where the dataset's actions are canonical.

    Returns:
      Sentences that say what is not in the new dataset as it was in the old one.

    Raises:
      DatasetError: an episode is bad, the format cannot hold the observations, or `to` cannot be written.
    """
    to = pathlib.Path(to).absolute()
    if summary.bad:
        raise checks.DatasetError(f"{summary.path} cannot be converted: {summary.bad[0]}")
    if (spec is None or environment is None) and (format == "minari" or summary.canonical):
        raise checks.DatasetError(
            f"{summary.path} does not say which environment it is of, which this conversion needs: name it (--env)."
        )
    check_free(to)
    if format == "minari":
        assert spec is not None and environment is not None
        return _to_minari(summary, to, environment, spec)
    return _to_hdf5(summary, to, format, environment, spec)


def check_free(to: pathlib.Path) -> None:
    """Refuses to write over anything."""
    if os.path.lexists(to):
        raise checks.DatasetError(f"{to} is there already: write the dataset to another path.")


def _to_minari(
    summary: summary_lib.Summary, to: pathlib.Path, environment: str, spec: types.EnvironmentSpec
) -> list[str]:
    reader, found = loading.find(summary.path)
    actions = checks.Actions(spec.action, None if summary.canonical else spec.action_bounds)

    def canonical() -> Iterator[types.Trajectory]:
        for where, episode in reader.read(found, spec):
            if isinstance(episode, checks.DatasetError):
                raise episode
            yield checks.canonical(episode, spec, where, actions)

    num_bytes = saving.room(summary.num_bytes, (len(summary.fields) + 4) * len(summary.lengths))
    policy = reader.policy(found) if reader is minari_dataset else "unknown policy"
    saving.write(to, canonical(), spec, environment=environment, policy=policy, num_bytes=num_bytes)
    notes = _of_source(summary, reader.unread(found), metadata=False)
    if summary.num_without_final:
        notes.append(
            f"{summary.num_without_final} episodes that were cut short lack their final observation, without which the "
            "action and reward of their last row are no step: they are left out."
        )
    if summary.num_single:
        notes.append(f"{summary.num_single} episodes of one such row are left out whole.")
    if summary.num_repeated:
        notes.append(
            f"{summary.num_repeated} episodes that terminated lack their final observation: the last one is there "
            "twice."
        )
    to_dtype = {"reward": "float32", "action": spec.action.dtype}
    narrowed = [each.name for each in summary.fields if each.dtype in ("float64", "int64") and each.name != "discount"]
    if narrowed:
        kept = sorted({to_dtype.get(name, "float32") for name in narrowed})
        notes.append(f"{', '.join(narrowed)} are kept as {' and '.join(kept)}, as agents see them.")
    return notes


def _to_hdf5(
    summary: summary_lib.Summary,
    to: pathlib.Path,
    format: Format,
    environment: str | None,
    spec: types.EnvironmentSpec | None,
) -> list[str]:
    import h5py

    names = [each.name for each in summary.fields if each.name.startswith("observation")]
    if names != ["observation"]:
        raise checks.DatasetError(
            f"{summary.path} has observations of several arrays, {', '.join(names)}, and {format} files hold one: it "
            "can be converted to minari alone."
        )
    reader, found = loading.find(summary.path)
    own = checks.Actions(spec.action, spec.action_bounds) if spec is not None and summary.canonical else None
    fractional = num_finals = num_padded = 0
    num_bytes = saving.room(2 * summary.num_bytes, 6 + 4 * len(summary.lengths))
    with saving.written(to, num_bytes) as partial:
        new = partial / "new"
        with h5py.File(new, "w") as file:
            if environment is not None:
                file.attrs[d4rl.ENVIRONMENT] = environment
            write = _D4rl(file) if format == "d4rl" else _D3rlpy(file)
            bad: list[checks.DatasetError] = []
            for _, rows in summary_lib.episodes(reader, found, bad, spec if summary.canonical else None):
                if own is not None:
                    rows = rows._replace(action=own.native(rows.action))
                fractional += int(((rows.discount != 0) & (rows.discount != 1)).sum())
                num_finals += rows.terminated and not rows.lacks_final
                num_padded += not rows.terminated and not rows.lacks_final
                write.add(rows)
            if bad:
                raise checks.DatasetError(f"{summary.path} cannot be converted: {bad[0]}")
            write.close()
        saving.sync(new)
        check_free(to)  # It may have come into being meanwhile.
        new.rename(to)
        saving.sync(to.parent)
    notes = _of_source(summary, reader.unread(found), metadata=reader is minari_dataset)
    if fractional:
        notes.append(
            f"{fractional:,} discounts are neither 0 nor 1, and {format} files mark terminations alone: they are lost."
        )
    if format == "d3rlpy" and num_finals:
        notes.append(
            f"d3rlpy's files have no observation after a termination: those of {num_finals} episodes are left out."
        )
    if format == "d3rlpy" and num_padded:
        notes.append(
            f"{num_padded} episodes that were cut short have one row more, for their final observation, whose action "
            "and reward are 0; no reader makes a step of it."
        )
    if format == "d3rlpy" and summary.fields[0].dtype == "uint8" and summary.fields[0].low.ndim == 3:
        notes.append("pictures keep their layout; d3rlpy's own networks want channels first.")
    return notes


def _of_source(summary: summary_lib.Summary, unread: list[str], *, metadata: bool) -> list[str]:
    notes = []
    if unread:
        notes.append(f"not kept, because it is not read: {', '.join(unread)}.")
    if metadata:
        notes.append("of Minari's metadata only the environment's name is kept.")
    if summary.num_unsaid:
        notes.append(
            f"{summary.num_unsaid} episodes end without a sign of termination or truncation: they are marked as cut "
            "short."
        )
    return notes


class _D4rl:
    """Appends rows to arrays that hold all episodes', several megabytes at a time."""

    def __init__(self, file: Any):
        self._file = file
        self._waiting: list[dict[str, np.ndarray]] = []
        self._num_bytes = 0

    def add(self, rows: rows_lib.Rows) -> None:
        num = len(rows.reward)
        columns = {"observations": rows.observation[:num], "actions": rows.action, "rewards": rows.reward}
        if not rows.lacks_final:
            columns["next_observations"] = rows.observation[1:]
        last = np.arange(num) == num - 1
        columns |= {"terminals": last & rows.terminated, "timeouts": last & (not rows.terminated)}
        self._waiting.append(columns)
        self._num_bytes += sum(array.nbytes for array in columns.values())
        if self._num_bytes > _BUFFERED:
            self.close()

    def close(self) -> None:
        for key in self._waiting[0] if self._waiting else ():
            rows = np.concatenate([columns[key] for columns in self._waiting])
            if key not in self._file:
                shape = rows.shape[1:]
                chunks = (min(max(_CHUNK // max(rows[0].nbytes, 1), 1), len(rows)), *shape)
                self._file.create_dataset(key, (0, *shape), rows.dtype, maxshape=(None, *shape), chunks=chunks)
            array = self._file[key]
            array.resize(len(array) + len(rows), axis=0)
            array[-len(rows) :] = rows
        self._waiting, self._num_bytes = [], 0


class _D3rlpy:
    """Writes the arrays of each episode, as `ReplayBuffer.dump` of d3rlpy 2 does."""

    def __init__(self, file: Any):
        self._file = file
        self._num_episodes = 0

    def add(self, rows: rows_lib.Rows) -> None:
        observation, action, reward = rows.observation, rows.action, rows.reward
        if not rows.lacks_final and rows.terminated:
            observation = observation[:-1]
        elif not rows.lacks_final:
            action, reward = (np.concatenate([x, np.zeros_like(x[:1])]) for x in (action, reward))
        num = len(reward)
        arrays = (observation, action.reshape(num, -1), reward.reshape(num, -1), rows.terminated)
        for key, array in zip(_D3RLPY_COLUMNS, arrays):
            self._file.create_dataset(f"{key}_{self._num_episodes}", data=array)
        self._num_episodes += 1

    def close(self) -> None:
        self._file.create_dataset("columns", data=list(_D3RLPY_COLUMNS))
        self._file.create_dataset("num_episodes", data=self._num_episodes)
        self._file.create_dataset("version", data="2.1")


_D3RLPY_COLUMNS = ("observations", "actions", "rewards", "terminated")
