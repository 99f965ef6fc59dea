"""Reads a dataset of any known format, and drops good episodes if asked to."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from absl import logging

from acme_agents.core import types
from acme_agents.datasets import checks, d3rlpy, d4rl, minari_dataset, rl_unplugged

# A format is a module with `NAME`; `find`, which finds its files at a path; `read`, which yields episodes; `rows`,
# which yields them as they are in the file; `unread`, which names what neither reads; `environment`; and
# `is_canonical`, whether its actions are canonical or the environment's own. The first that finds something reads it.
_FORMATS: tuple[Any, ...] = (minari_dataset, d3rlpy, d4rl, rl_unplugged)
_GZIP = b"\x1f\x8b"

BadEpisodes = Literal["refuse", "skip"]


class Selection(NamedTuple):
    """Which episodes of a dataset are learned from; the fields are the arguments of `load`."""

    keep_good: float = 1.0
    good_return: float | None = None
    seed: int = 0
    bad_episodes: BadEpisodes = "refuse"
    clip_actions: bool = False


def load(
    path: pathlib.Path | str,
    spec: types.EnvironmentSpec,
    *,
    keep_good: float = 1.0,
    good_return: float | None = None,
    seed: int = 0,
    bad_episodes: BadEpisodes = "refuse",
    clip_actions: bool = False,
    check: Callable[[int], None] = lambda num_rows: None,
) -> list[types.Trajectory]:
    """Reads every episode of a dataset, in its order, and keeps all or some of them.

    Actions become canonical as the environment's do, by its bounds. An episode is bad if it does not fit the spec,
    holds NaN or infinity, lacks a row, or has an action out of bounds. A warning counts what was left out or clipped.

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
      bad_episodes: whether one bad episode is an error, or is left out.
      clip_actions: whether continuous actions out of bounds are clipped, and so not bad.
      check: called after each episode with the rows so far, final observations included; what it raises ends the
        reading.

    Returns:
      The episodes, canonical and of the spec.

    Raises:
      DatasetError: there is no dataset of a known format, it is damaged, an episode is bad (all are, with "skip"), or
        no episode is left.
    """
    selection = Selection(keep_good, good_return, seed, bad_episodes, clip_actions)
    path = pathlib.Path(path)
    episodes, num_rows = [], 0
    for episode in _sound(path, spec, selection):
        episodes.append(episode)
        num_rows += len(episode.discount) + 1
        check(num_rows)
    dropped = _dropped(path, [_return(episode) for episode in episodes], selection)
    return [episode for number, episode in enumerate(episodes) if number not in dropped]


def each(path: pathlib.Path, spec: types.EnvironmentSpec, selection: Selection) -> Iterator[types.Trajectory]:
    """Yields the episodes that `load` returns, one at a time: where some are dropped, the dataset is read twice.

    Raises:
      DatasetError: as `load`; of a bad episode, when all are read and those before it have been yielded.
    """
    dropped: set[int] = set()
    if selection.keep_good < 1:
        dropped = _dropped(path, [_return(episode) for episode in _sound(path, spec, selection)], selection)
    for number, episode in enumerate(_sound(path, spec, selection)):
        if number not in dropped:
            yield episode


def environment(path: pathlib.Path | str) -> str | None:
    """Returns our name for the environment that a dataset says it was recorded in; None if it does not say.

    One that we saved says it. Of another's Minari dataset it is `gym:ID`, unless that environment was made with
    arguments or wrappers, which our name cannot say. RL Unplugged's files lie in a folder with the task's name.

    Raises:
      DatasetError: there is no dataset of a known format, or it is damaged.
    """
    reader, found = find(pathlib.Path(path))
    return reader.environment(found)


def _sound(path: pathlib.Path, spec: types.EnvironmentSpec, selection: Selection) -> Iterator[types.Trajectory]:
    """Yields the episodes that are not bad, canonical, and then warns of what was left out or clipped."""
    if not 0 <= selection.keep_good <= 1:
        raise checks.DatasetError(
            f"keep_good is the fraction of the good episodes to keep, 0 to 1, not {selection.keep_good}."
        )
    if selection.bad_episodes not in ("refuse", "skip"):
        raise checks.DatasetError(f"bad_episodes is refuse or skip, not {selection.bad_episodes!r}.")
    reader, found = find(path)
    bounds = None if reader.is_canonical(found) else spec.action_bounds
    actions = checks.Actions(spec.action, bounds, clip=selection.clip_actions)
    refuses = selection.bad_episodes == "refuse"
    num_sound, bad = 0, []
    for where, episode in reader.read(found, spec, whole=selection.keep_good < 1):
        num_clipped = actions.num_clipped
        try:
            if isinstance(episode, checks.DatasetError):
                raise episode
            sound = checks.canonical(episode, spec, where, actions)
        except checks.DatasetError as error:
            actions.num_clipped = num_clipped  # Actions of an episode that is left out do not count as clipped.
            bad.append(type(error)(str(error)))  # without its trace, which would hold the episode's arrays
        else:
            num_sound += 1
            if not (bad and refuses):  # Then the others are only counted.
                yield sound
    total = len(bad) + num_sound
    if not total:
        raise checks.DatasetError(f"{path} holds no episodes.")
    if bad and refuses:
        raise checks.DatasetError(f"{bad[0]}{_way_past(bad, total)}")
    if not num_sound:
        raise checks.DatasetError(f"all {total} episodes of {path} are bad; the first: {bad[0]}")
    if bad:
        logging.warning("%s: %d of %d episodes are bad and left out; the first: %s", path, len(bad), total, bad[0])
    if actions.num_clipped:
        logging.warning("%s: %d actions were out of bounds and are clipped.", path, actions.num_clipped)


def _dropped(path: pathlib.Path, returns: Sequence[float], selection: Selection) -> set[int]:
    """Returns the numbers of the good episodes that are not kept, of episodes with these returns."""
    keep_good = selection.keep_good
    if keep_good == 1:
        return set()
    least = (min(returns) + max(returns)) / 2 if selection.good_return is None else selection.good_return
    good = np.flatnonzero(np.array(returns) >= least)
    kept = np.random.default_rng(selection.seed).choice(good, round(keep_good * len(good)), replace=False)
    dropped = set(good) - set(kept)
    if len(dropped) == len(returns):
        raise checks.DatasetError(
            f"every episode of {path} returns at least {least:g}, and keeping {keep_good:g} of these leaves none."
        )
    return dropped


def _way_past(bad: list[checks.DatasetError], total: int) -> str:
    """What the user can do about bad episodes; empty if all are bad, as with a wrong environment."""
    ways = ["--bad-episodes skip leaves them out"] if len(bad) < total else []
    if any(isinstance(error, checks.OutOfBoundsError) for error in bad):
        ways.append("--clip-actions clips what is out of bounds")
    are = "is" if len(bad) == 1 else "are"
    return f" Of {total} episodes {len(bad)} {are} bad: {', '.join(ways)}." if ways else ""


def locate(path: pathlib.Path) -> pathlib.Path:
    """The absolute path of a dataset, also of one that is named by Minari's id: the same from any directory."""
    known = minari_dataset.located(path)
    return (known if known.exists() else path).absolute()


def find(path: pathlib.Path) -> tuple[Any, Any]:
    """Returns the module of the format at a path, and what its functions want.

    Raises:
      DatasetError: there is no dataset of a known format, or it is damaged.
    """
    for reader in _FORMATS:
        with checks.reading(path):
            found = reader.find(path)
        if found:
            return reader, found
    if not path.exists():
        raise checks.DatasetError(
            f"there is no dataset {path}: give the path of one, or of one of its files, or the id of one that Minari "
            f"has in {minari_dataset.root()}."
        )
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(_GZIP)) == _GZIP:
                raise checks.DatasetError(f"{path} is compressed: decompress it first (gunzip {path.name}).")
    raise checks.DatasetError(
        f"{path} is no dataset that is known here: neither a Minari dataset (a directory with data/ in it), nor a D4RL "
        "or d3rlpy file (.hdf5, .h5), nor RL Unplugged's TFRecord files (train-00000-of-00100 ...)."
    )


def _return(episode: types.Trajectory) -> float:
    rewards = episode.reward if episode.reward.ndim == 1 else episode.reward[:, 0]
    return float(rewards.sum(dtype=np.float64))
