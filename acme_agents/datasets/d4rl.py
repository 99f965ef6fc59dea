"""HDF5 files as of D4RL, https://arxiv.org/abs/2004.07219: the rows of all episodes, one after another.

Row t holds o_t, a_t, what a_t earned, and whether it ended the episode: `terminals` for good, `timeouts` by cutting it
short; both at once is a termination. Rows after the last end are an episode that was cut short. As for everyone who
reads these files:

- With `next_observations`, every row is a step.
- Without, an episode that was cut short has no final observation. Its last row's stands for it, and that row's action
  and reward are dropped; a single such row is no episode. One that terminated keeps its last step, with its last
  observation repeated: nothing is learnt from an observation after the end.
- Without `timeouts`, which the oldest files lack, episodes that were cut short are told by `next_observations` only,
  and are refused: joined to their successors they would be wrong. Without that too nothing tells them, and the rows
  between two terminations are one episode.

Actions are taken to lie in [-1, 1] already. D4RL's metadata and `infos` are not read.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import numpy as np

from acme_agents.core import types
from acme_agents.datasets import checks

_MAGIC = b"\x89HDF\r\n\x1a\n"
_NEEDED = ("observations", "actions", "rewards")
_OPTIONAL = ("terminals", "timeouts", "next_observations")


def find(path: pathlib.Path) -> pathlib.Path | None:
    """Returns the path if an HDF5 file is there, by its name or its first bytes."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return path if path.suffix in (".hdf5", ".h5") or file.read(len(_MAGIC)) == _MAGIC else None


def environment(path: pathlib.Path) -> None:
    """D4RL's files do not say."""
    return None


def read(
    path: pathlib.Path, spec: types.EnvironmentSpec, *, whole: bool = False
) -> Iterator[tuple[str, types.Trajectory]]:
    """Yields each episode with its name for messages; neither the spec nor `whole` matters here."""
    rows = _arrays(path)
    terminals = rows.get("terminals", np.zeros(len(rows["rewards"]))).astype(bool)
    timeouts = rows.get("timeouts", np.zeros(len(rows["rewards"]))).astype(bool)
    following = rows.get("next_observations")
    last = terminals | timeouts
    last[-1:] = True
    start = 0
    for number, end in enumerate(np.flatnonzero(last)):
        where = f"{path}, episode {number}"
        observation = rows["observations"][start : end + 1]
        stop = end + 1
        if following is not None:
            if not np.allclose(following[start:end], observation[1:], rtol=1e-4, atol=1e-4, equal_nan=True):
                raise checks.DatasetError(
                    f"{where} has next_observations that are not the next row's observations: its rows are of several "
                    "episodes, whose ends must be marked in timeouts."
                )
            observation = np.concatenate([observation, following[end : end + 1]])
        elif terminals[end]:
            observation = np.concatenate([observation, observation[-1:]])
        else:
            stop = end
        if start < stop:
            discount = np.ones(stop - start, np.float32)
            discount[-1] = 0 if terminals[end] else 1
            yield (
                where,
                types.Trajectory(observation, rows["actions"][start:stop], rows["rewards"][start:stop], discount),
            )
        start = end + 1


def _arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads the file's arrays, all with one row for each reward."""
    import h5py

    with checks.reading(path), h5py.File(path, "r") as file:
        missing = [key for key in _NEEDED if key not in file]
        if missing:
            raise checks.DatasetError(f"{path} is no D4RL file: it has no {' and no '.join(missing)}.")
        if "terminals" not in file and "timeouts" not in file:
            raise checks.DatasetError(
                f"{path} has neither terminals nor timeouts, so where its episodes end is unknown."
            )
        rows = {key: file[key][()] for key in (*_NEEDED, *_OPTIONAL) if key in file}
        lengths = {key: len(array) for key, array in rows.items()}
    if len(set(lengths.values())) > 1:
        raise checks.DatasetError(
            f"{path} has arrays of different lengths: {', '.join(f'{key} {n}' for key, n in lengths.items())}."
        )
    return rows
