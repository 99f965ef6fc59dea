"""HDF5 files as of D4RL, https://arxiv.org/abs/2004.07219: the rows of all episodes, one after another.

Row t holds o_t, a_t, what a_t earned, and whether it ended the episode: `terminals` for good, `timeouts` by cutting it
short; both at once is a termination. d3rlpy 1 (`MDPDataset.dump`) writes the same rows, with `episode_terminals` for
both kinds of end. Rows after the last end are an episode that was cut short. As in other readers of these files:

- With `next_observations`, every row is a step.
- Without, an episode that was cut short has no final observation. Its last row's stands for it, and that row's action
  and reward are dropped; a single such row is no episode. One that terminated keeps its last step, with its last
  observation repeated: nothing is learnt from an observation after the end.
- A file must say of both kinds of end which rows are one, because episodes that are joined are wrong without a sign.
  Where `next_observations` are there they show it: a row whose next observation is not the next row's is refused.

Actions are the environment's own. Pictures may have their channels first. D4RL's metadata and `infos` are not read.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from absl import logging

from acme_agents.core import types
from acme_agents.datasets import checks
from acme_agents.datasets import rows as rows_lib

NAME = "a D4RL HDF5 file"
ENVIRONMENT = "acme_agents_environment"  # an attribute of the file
_MAGIC = b"\x89HDF\r\n\x1a\n"
_NEEDED = ("observations", "actions", "rewards")
_BLOCK = (*_NEEDED, "next_observations")
_BLOCK_BYTES = 1 << 25  # that are read at once
_ENDS = ("terminals", "timeouts", "episode_terminals")


def find(path: pathlib.Path) -> pathlib.Path | None:
    """Returns the path if an HDF5 file is there, by its name or its first bytes."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return path if path.suffix in (".hdf5", ".h5") or file.read(len(_MAGIC)) == _MAGIC else None


def environment(path: pathlib.Path) -> str | None:
    """Our name for the environment, which only files that `converting` wrote have."""
    import h5py

    with checks.reading(path), h5py.File(path, "r") as file:
        return file.attrs.get(ENVIRONMENT)


def is_canonical(path: pathlib.Path) -> bool:
    """False: the actions are the environment's own."""
    return False


def read(
    path: pathlib.Path, spec: types.EnvironmentSpec, *, whole: bool = False
) -> Iterator[tuple[str, types.Trajectory | checks.DatasetError]]:
    """Yields each episode, or what is wrong with it, with its name for messages; `whole` does not matter here."""
    import h5py

    with checks.reading(path), h5py.File(path, "r") as file:
        if "discrete_action" in file:
            check_discrete(path, bool(file["discrete_action"][()]), spec)
    num_single = 0
    for where, found in rows(path):
        if isinstance(found, checks.DatasetError):
            yield where, found
            continue
        episode = of_spec(found, spec)
        if len(episode.reward):
            yield where, episode
        else:
            num_single += 1
    if num_single:
        logging.info("%s: %d episodes of one row, cut short, hold no transition and are left out.", path, num_single)


def rows(
    path: pathlib.Path, spec: types.EnvironmentSpec | None = None
) -> Iterator[tuple[str, rows_lib.Rows | checks.DatasetError]]:
    """Yields each episode's rows and name for messages; `spec` does not matter here.

    About `_BLOCK_BYTES` of the file are in memory, or one episode.
    """
    import h5py

    with checks.reading(path), h5py.File(path, "r") as file:
        arrays = _arrays(path, file)
        terminals, truncated, ends = _ends(path, arrays)
        row_bytes = sum(array.dtype.itemsize * int(np.prod(array.shape[1:])) for array in arrays.values()) or 1
        last = np.flatnonzero(ends)
        first = np.append(0, last[:-1] + 1)
        number = 0
        while number < len(last):
            start = first[number]
            fits = last[number:] < start + _BLOCK_BYTES // row_bytes
            stop = number + max(int(fits.sum()), 1)  # Episodes of this block, one at least.
            block = {key: arrays[key][start : last[stop - 1] + 1] for key in _BLOCK if key in arrays}
            for each in range(number, stop):
                where = f"{path}, episode {each}"
                part = {key: array[first[each] - start : last[each] + 1 - start] for key, array in block.items()}
                yield where, _rows(part, bool(terminals[last[each]]), bool(truncated[last[each]]), where)
            number = stop


def _rows(
    part: dict[str, np.ndarray], terminated: bool, truncated: bool, where: str
) -> rows_lib.Rows | checks.DatasetError:
    observation = part["observations"]
    following = part.get("next_observations")
    if following is not None:
        if not np.allclose(following[:-1], observation[1:], rtol=1e-4, atol=1e-4, equal_nan=True):
            return checks.DatasetError(
                f"{where} has next_observations that are not the next row's observations: its rows are of several "
                "episodes, whose ends must be marked in timeouts."
            )
        observation = np.concatenate([observation, following[-1:]])
    discount = rows_lib.discounts(len(part["rewards"]), terminated)
    return rows_lib.Rows(observation, part["actions"], part["rewards"], discount, truncated)


def of_spec(found: rows_lib.Rows, spec: types.EnvironmentSpec) -> types.Trajectory:
    """Returns the steps that can be learned from, with columns of numbers, and pictures, in the spec's shape."""
    observation = checks.picture(found.observation, spec.observation)
    action, reward = checks.squeeze(found.action, spec.action), checks.squeeze(found.reward, spec.reward)
    return rows_lib.trajectory(found._replace(observation=observation, action=action, reward=reward))


def unread(path: pathlib.Path) -> list[str]:
    """Returns the names of what is in the file and is not read."""
    import h5py

    with checks.reading(path), h5py.File(path, "r") as file:
        known = (*_BLOCK, *_ENDS, "discrete_action", "version")
        return [key for key in file if key not in known]


def _arrays(path: pathlib.Path, file: Any) -> dict[str, Any]:
    """Returns the file's arrays, unread, all with one row for each reward."""
    missing = [key for key in _NEEDED if key not in file]
    if missing:
        raise checks.DatasetError(
            f"{path} is no D4RL file: it has no {' and no '.join(missing)}, but {', '.join(file) or 'nothing'}."
        )
    arrays = {key: file[key] for key in (*_BLOCK, *_ENDS) if key in file}
    lengths = {key: len(array) for key, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise checks.DatasetError(
            f"{path} has arrays of different lengths: {', '.join(f'{key} {n}' for key, n in lengths.items())}."
        )
    return arrays


def check_discrete(path: pathlib.Path, discrete: bool, spec: types.EnvironmentSpec) -> None:
    """Refuses what d3rlpy says of its actions where the environment's are of the other kind."""
    if discrete != (spec.action.num_values is not None):
        kinds = ("continuous", "discrete") if spec.action.num_values is None else ("discrete", "continuous")
        raise checks.DatasetError(f"{path} has {kinds[1]} actions, and the environment's are {kinds[0]}.")


def _ends(path: pathlib.Path, arrays: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns which rows ended their episode for good, which are said to have cut it short, and which ended it.

    All are [N] bool; an episode is cut short by the file's end too, which does not say so.
    """
    found = {}
    for key in _ENDS:
        if key not in arrays:
            continue
        marks = arrays[key][()].ravel()
        if len(marks) != len(arrays[key]) or not np.isin(marks, (0, 1)).all():
            raise checks.DatasetError(f"{path} has {key} that are not one 0 or 1 for each row.")
        found[key] = marks.astype(bool)
    nowhere = np.zeros(len(arrays["rewards"]), bool)
    terminals = found.get("terminals", nowhere)
    truncated = (found.get("timeouts", nowhere) | found.get("episode_terminals", nowhere)) & ~terminals
    ends = terminals | truncated
    if not found:
        raise checks.DatasetError(f"{path} has neither terminals nor timeouts, so where its episodes end is unknown.")
    if "next_observations" not in arrays and len(ends):
        if "terminals" not in found or len(found) == 1:
            missing = "terminals" if "terminals" not in found else "timeouts"
            raise checks.DatasetError(
                f"{path} has no {missing}, so where its episodes end is not known for sure: add {missing} to it, all 0 "
                "if no row ended an episode so."
            )
        if not ends.any():
            raise checks.DatasetError(
                f"{path} marks no row as an episode's last, neither in terminals nor in timeouts: mark them, or at "
                "least the last row."
            )
    ends[-1:] = True
    return terminals, truncated, ends
