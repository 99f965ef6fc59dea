"""HDF5 files as d3rlpy 2 writes them (`ReplayBuffer.dump`), https://github.com/takuseno/d3rlpy: episode by episode.

`columns` names the arrays of an episode, `num_episodes` counts them, and episode i has `observations_i`, `actions_i`,
`rewards_i` and whether it was `terminated_i`. An episode's rows are as D4RL's without `next_observations`, so that one
that was cut short lacks its final observation; `d4rl` says how that is handled, and reads the files of d3rlpy 1.

Actions are the environment's own; d3rlpy stores discrete ones, and rewards, as [T, 1], and pictures as [T, C, H, W].
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import numpy as np

from acme_agents.core import types
from acme_agents.datasets import checks, d4rl
from acme_agents.datasets import rows as rows_lib

NAME = "a d3rlpy HDF5 file"
_MARKS = ("columns", "num_episodes")
_NEEDED = ("observations", "actions", "rewards", "terminated")


def find(path: pathlib.Path) -> pathlib.Path | None:
    """Returns the path if an HDF5 file with d3rlpy 2's marks is there."""
    if d4rl.find(path) is None:
        return None
    import h5py

    with h5py.File(path, "r") as file:
        return path if all(mark in file for mark in _MARKS) else None


def environment(path: pathlib.Path) -> str | None:
    """Our name for the environment, which only files that `converting` wrote have."""
    return d4rl.environment(path)


def is_canonical(path: pathlib.Path) -> bool:
    """False: the actions are the environment's own."""
    return False


def read(
    path: pathlib.Path, spec: types.EnvironmentSpec, *, whole: bool = False
) -> Iterator[tuple[str, types.Trajectory | checks.DatasetError]]:
    """Yields each episode, or what is wrong with it, with its name for messages; `whole` does not matter here."""
    for where, found in rows(path):
        if isinstance(found, checks.DatasetError):
            yield where, found
        elif len((episode := d4rl.of_spec(found, spec)).reward):
            yield where, episode


def rows(
    path: pathlib.Path, spec: types.EnvironmentSpec | None = None
) -> Iterator[tuple[str, rows_lib.Rows | checks.DatasetError]]:
    """Yields each episode's rows and name for messages; one is in memory at a time, and `spec` does not matter here."""
    import h5py

    with checks.reading(path), h5py.File(path, "r") as file:
        num_episodes = int(file["num_episodes"][()])
        kept = sum(key.startswith("actions_") for key in file)
        if kept != num_episodes:
            raise checks.DatasetError(f"{path} is damaged: it counts {num_episodes} episodes, and has {kept}.")
        for number in range(num_episodes):
            where = f"{path}, episode {number}"
            arrays = {key: np.asarray(file[f"{key}_{number}"][()]) for key in _NEEDED if f"{key}_{number}" in file}
            try:
                episode = _rows(arrays, where)
            except checks.DatasetError as error:
                yield where, error
            else:
                yield where, episode


def unread(path: pathlib.Path) -> list[str]:
    """Returns the names of what is in the file and is not read."""
    import h5py

    with checks.reading(path), h5py.File(path, "r") as file:
        names = {key.rsplit("_", 1)[0] if key[-1:].isdigit() else key for key in file}
        return sorted(names - {*_NEEDED, *_MARKS, "version"})


def _rows(found: dict[str, np.ndarray], where: str) -> rows_lib.Rows:
    missing = [key for key in _NEEDED if key not in found]
    if missing:
        raise checks.DatasetError(
            f"{where} has no {' and no '.join(missing)} in one array: observations of several arrays are not read."
        )
    lengths = {key: len(found[key]) for key in _NEEDED[:-1]}
    if len(set(lengths.values())) > 1:
        raise checks.DatasetError(
            f"{where} has arrays of different lengths: {', '.join(f'{key} {n}' for key, n in lengths.items())}."
        )
    terminated = bool(found["terminated"].any())
    discount = rows_lib.discounts(lengths["rewards"], terminated)
    action, reward = found["actions"], found["rewards"]
    if action.shape[1:] == (1,) and action.dtype.kind in "iu":
        action = action[:, 0]
    reward = reward[:, 0] if reward.shape[1:] == (1,) else reward
    return rows_lib.Rows(found["observations"], action, reward, discount, not terminated)
