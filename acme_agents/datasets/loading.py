"""Reads a dataset of any known format, and drops good episodes where it is asked to."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from acme_agents.core import types
from acme_agents.datasets import checks, d4rl, minari_dataset, rl_unplugged

# A format is a module with `find`, what of the format is at a path; `read`, its episodes; and `environment`.
_FORMATS: tuple[Any, ...] = (minari_dataset, d4rl, rl_unplugged)


def load(
    path: pathlib.Path | str,
    spec: types.EnvironmentSpec,
    *,
    keep_good: float = 1.0,
    good_return: float | None = None,
    seed: int = 0,
) -> list[types.Trajectory]:
    """Reads every episode of a dataset, in its order, and keeps all or some of them.

    An episode is good if its return, the plain sum of its rewards (of the first objective, where there are several), is
    at least `good_return`. RL Unplugged makes its tasks harder by dropping two thirds of the good episodes
    (https://arxiv.org/abs/2006.13888, appendix): `keep_good=1/3`.

    Args:
      path: of a dataset in one of the formats that this package's docstring lists.
      spec: of the environment that the agent will act in.
      keep_good: the fraction of the good episodes that is kept, 0 to 1, rounded to whole episodes; the others are all
        kept.
      good_return: the least return of a good episode; None: halfway between the dataset's lowest and its highest.
      seed: chooses which good episodes are kept, uniformly.

    Returns:
      The episodes, canonical and of the spec.

    Raises:
      DatasetError: there is no dataset of a known format, it is damaged, it does not fit the spec, or no episode is
        left.
    """
    if not 0 <= keep_good <= 1:
        raise checks.DatasetError(f"keep_good is the fraction of the good episodes to keep, 0 to 1, not {keep_good}.")
    path = pathlib.Path(path)
    reader, found = _find(path)
    episodes = [
        checks.canonical(episode, spec, where) for where, episode in reader.read(found, spec, whole=keep_good < 1)
    ]
    if not episodes:
        raise checks.DatasetError(f"{path} holds no episodes.")
    if keep_good == 1:
        return episodes
    returns = [_return(episode) for episode in episodes]
    least = (min(returns) + max(returns)) / 2 if good_return is None else good_return
    good = np.flatnonzero(np.array(returns) >= least)
    kept = np.random.default_rng(seed).choice(good, round(keep_good * len(good)), replace=False)
    dropped = set(good) - set(kept)
    if len(dropped) == len(episodes):
        raise checks.DatasetError(
            f"every episode of {path} returns at least {least:g}, and keeping {keep_good:g} of these leaves none."
        )
    return [episode for number, episode in enumerate(episodes) if number not in dropped]


def environment(path: pathlib.Path | str) -> str | None:
    """Returns our name for the environment that a dataset says it was recorded in; None if it does not say.

    One that we saved says it. Of another's Minari dataset it is `gym:ID`, unless that environment was made with
    arguments or wrappers, which our name cannot say. RL Unplugged's files lie in a folder with the task's name.

    Raises:
      DatasetError: there is no dataset of a known format, or it is damaged.
    """
    reader, found = _find(pathlib.Path(path))
    return reader.environment(found)


def _find(path: pathlib.Path) -> tuple[Any, Any]:
    """Returns the module of the format at a path, and what its functions want."""
    for reader in _FORMATS:
        with checks.reading(path):
            found = reader.find(path)
        if found:
            return reader, found
    if not path.exists():
        raise checks.DatasetError(f"there is no dataset {path}: give the path of one, or of one of its files.")
    raise checks.DatasetError(
        f"{path} is no dataset that is known here: neither a Minari dataset (a directory with data/ in it), nor a D4RL "
        "file (.hdf5), nor RL Unplugged's TFRecord files (train-00000-of-00100 ...)."
    )


def _return(episode: types.Trajectory) -> float:
    rewards = episode.reward if episode.reward.ndim == 1 else episode.reward[:, 0]
    return float(rewards.sum(dtype=np.float64))
