"""HDF5 files as d3rlpy 2 writes them (`ReplayBuffer.dump`), https://github.com/takuseno/d3rlpy: episode by episode.

`columns` names the arrays of an episode, `num_episodes` counts them, and episode i has `observations_i`, `actions_i`,
`rewards_i` and whether it was `terminated_i`. An episode's rows are as D4RL's without `next_observations`, so that one
that was cut short lacks its final observation; `d4rl` says how that is handled, and reads the files of d3rlpy 1.

Actions are the environment's own; d3rlpy stores discrete ones, and rewards, as [T, 1].
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from acme_agents.core import types
from acme_agents.datasets import checks, d4rl

_MARKS = ("columns", "num_episodes")
_NEEDED = ("observations", "actions", "rewards", "terminated")


def find(path: pathlib.Path) -> pathlib.Path | None:
    """Returns the path if an HDF5 file with d3rlpy 2's marks is there."""
    if d4rl.find(path) is None:
        return None
    import h5py

    with h5py.File(path, "r") as file:
        return path if all(mark in file for mark in _MARKS) else None


def environment(path: pathlib.Path) -> None:
    """None: d3rlpy's files do not name their environment."""
    return None


def is_canonical(path: pathlib.Path) -> bool:
    """False: the actions are the environment's own."""
    return False


def read(
    path: pathlib.Path, spec: types.EnvironmentSpec, *, whole: bool = False
) -> Iterator[tuple[str, types.Trajectory | checks.DatasetError]]:
    """Yields each episode, or what is wrong with it, with its name for messages; `whole` does not matter here."""
    import h5py

    with checks.reading(path), h5py.File(path, "r") as file:
        num_episodes = int(file["num_episodes"][()])
        kept = sum(key.startswith("actions_") for key in file)
        if kept != num_episodes:
            raise checks.DatasetError(f"{path} is damaged: it counts {num_episodes} episodes, and has {kept}.")
        episodes = [{key: _array(file, f"{key}_{i}") for key in _NEEDED} for i in range(num_episodes)]
    for number, arrays in enumerate(episodes):
        where = f"{path}, episode {number}"
        try:
            episode = _episode(arrays, spec, where)
        except checks.DatasetError as error:
            yield where, error
            continue
        if len(episode.reward):
            yield where, episode


def _array(file: Any, key: str) -> np.ndarray | None:
    return np.asarray(file[key][()]) if key in file else None


def _episode(arrays: dict[str, np.ndarray | None], spec: types.EnvironmentSpec, where: str) -> types.Trajectory:
    found = {key: array for key, array in arrays.items() if array is not None}
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
    action, reward = checks.squeeze(found["actions"], spec.action), checks.squeeze(found["rewards"], spec.reward)
    return d4rl.of_rows(found["observations"], action, reward, bool(found["terminated"].any()))
