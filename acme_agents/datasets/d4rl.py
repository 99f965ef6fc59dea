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

Actions are the environment's own. D4RL's metadata and `infos` are not read.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import numpy as np
from absl import logging

from acme_agents.core import types
from acme_agents.datasets import checks

_MAGIC = b"\x89HDF\r\n\x1a\n"
_NEEDED = ("observations", "actions", "rewards")
_ENDS = ("terminals", "timeouts", "episode_terminals")


def find(path: pathlib.Path) -> pathlib.Path | None:
    """Returns the path if an HDF5 file is there, by its name or its first bytes."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return path if path.suffix in (".hdf5", ".h5") or file.read(len(_MAGIC)) == _MAGIC else None


def environment(path: pathlib.Path) -> None:
    """None: D4RL's files do not name their environment."""
    return None


def is_canonical(path: pathlib.Path) -> bool:
    """False: the actions are the environment's own."""
    return False


def read(
    path: pathlib.Path, spec: types.EnvironmentSpec, *, whole: bool = False
) -> Iterator[tuple[str, types.Trajectory | checks.DatasetError]]:
    """Yields each episode, or what is wrong with it, with its name for messages; `whole` does not matter here."""
    rows = _arrays(path, spec)
    terminals, ends = _ends(path, rows)
    following = rows.get("next_observations")
    start = num_single = 0
    for number, end in enumerate(np.flatnonzero(ends)):
        where = f"{path}, episode {number}"
        part = slice(start, end + 1)
        observation, start = rows["observations"][part], end + 1
        final = None
        if following is not None:
            final = following[end : end + 1]
            if not np.allclose(following[part][:-1], observation[1:], rtol=1e-4, atol=1e-4, equal_nan=True):
                yield (
                    where,
                    checks.DatasetError(
                        f"{where} has next_observations that are not the next row's observations: its rows are of "
                        "several episodes, whose ends must be marked in timeouts."
                    ),
                )
                continue
        episode = of_rows(observation, rows["actions"][part], rows["rewards"][part], bool(terminals[end]), final)
        if len(episode.reward):
            yield where, episode
        else:
            num_single += 1
    if num_single:
        logging.info("%s: %d episodes of one row, cut short, hold no transition and are left out.", path, num_single)


def of_rows(
    observation: np.ndarray, action: np.ndarray, reward: np.ndarray, terminated: bool, final: np.ndarray | None = None
) -> types.Trajectory:
    """Makes an episode of T rows: of T steps, or of T - 1 where it was cut short and its final observation is unknown.

    Args:
      observation: [T, *O]. action: [T, *A]. reward: [T] or [T, K].
      terminated: whether the last action ended it for good.
      final: [1, *O], the observation after the last action, if it is known.
    """
    if final is None and not terminated:
        action, reward = action[:-1], reward[:-1]
    elif final is None:
        final = observation[-1:]
    if final is not None:
        observation = np.concatenate([observation, final])
    discount = np.ones(len(reward), np.float32)
    discount[-1:] = 0 if terminated else 1
    return types.Trajectory(observation, action, reward, discount)


def _arrays(path: pathlib.Path, spec: types.EnvironmentSpec) -> dict[str, np.ndarray]:
    """Reads the file's arrays, all with one row for each reward."""
    import h5py

    with checks.reading(path), h5py.File(path, "r") as file:
        missing = [key for key in _NEEDED if key not in file]
        if missing:
            raise checks.DatasetError(
                f"{path} is no D4RL file: it has no {' and no '.join(missing)}, but {', '.join(file) or 'nothing'}."
            )
        rows = {key: file[key][()] for key in (*_NEEDED, *_ENDS, "next_observations") if key in file}
        if "discrete_action" in file:
            check_discrete(path, bool(file["discrete_action"][()]), spec)
        lengths = {key: len(array) for key, array in rows.items()}
    if len(set(lengths.values())) > 1:
        raise checks.DatasetError(
            f"{path} has arrays of different lengths: {', '.join(f'{key} {n}' for key, n in lengths.items())}."
        )
    rows["actions"] = checks.squeeze(rows["actions"], spec.action)
    rows["rewards"] = checks.squeeze(rows["rewards"], spec.reward)
    return rows


def check_discrete(path: pathlib.Path, discrete: bool, spec: types.EnvironmentSpec) -> None:
    """Refuses what d3rlpy says of its actions where the environment's are of the other kind."""
    if discrete != (spec.action.num_values is not None):
        kinds = ("continuous", "discrete") if spec.action.num_values is None else ("discrete", "continuous")
        raise checks.DatasetError(f"{path} has {kinds[1]} actions, and the environment's are {kinds[0]}.")


def _ends(path: pathlib.Path, rows: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns which rows ended their episode for good, and which ended it either way, each [N] bool."""
    found = {}
    for key in _ENDS:
        if key not in rows:
            continue
        marks = rows[key].ravel()
        if len(marks) != len(rows[key]) or not np.isin(marks, (0, 1)).all():
            raise checks.DatasetError(f"{path} has {key} that are not one 0 or 1 for each row.")
        found[key] = marks.astype(bool)
    nowhere = np.zeros(len(rows["rewards"]), bool)
    terminals = found.get("terminals", nowhere)
    ends = terminals | found.get("timeouts", nowhere) | found.get("episode_terminals", nowhere)
    if not found:
        raise checks.DatasetError(f"{path} has neither terminals nor timeouts, so where its episodes end is unknown.")
    if "next_observations" not in rows and len(ends):
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
    return terminals, ends
