"""Minari's format, read: https://minari.farama.org, a directory with `data/` in it.

Observations become canonical as in `environments.gym`, by the dataset's own spaces: Discrete becomes one-hot. Actions
are the environment's own, and become canonical by its bounds; a dataset with other bounds is refused, because the
meaning of its actions is unknown. The actions that `saving` writes are canonical already. Termination gives the last
step discount 0; every other episode was cut short, whether its last step says `truncation` or not.

`saving` adds two things of ours: the metadata `acme_agents_environment`, and for each episode the info `discount`
([T + 1], as Minari's infos are; the first is the reset's), because terminations alone would make it 0 or 1. And since
Minari writes arrays of uint8 with few dimensions as JPEG, which changes pixels, it saves them with leading dimensions
of 1, as [1, 84, 84, 4] or [1, 1, 84, 84]; their shape comes back here.
"""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from acme_agents.core import errors, pictures, types
from acme_agents.datasets import checks
from acme_agents.datasets import rows as rows_lib

NAME = "a Minari dataset"
DATA, METADATA, EPISODES = "data", "metadata.json", "main_data.hdf5"  # Minari's names of a directory and its files
ENVIRONMENT = "acme_agents_environment"
_LEAST_DIMENSIONS = 4  # of uint8 arrays that Minari does not take for pictures


def find(path: pathlib.Path) -> pathlib.Path | None:
    """Returns the data directory of the Minari dataset at a path, or of that id; it may lack some of its files."""
    path = located(path)
    if any((path / name).exists() for name in (METADATA, EPISODES)):
        return path
    return path / DATA if (path / DATA).is_dir() else None


def located(path: pathlib.Path) -> pathlib.Path:
    """A path as it is, if it leads somewhere; else the path in `root()` of the dataset whose id it is taken for."""
    return path if path.is_absolute() or os.path.lexists(path) else root() / path


def root() -> pathlib.Path:
    """The directory in which Minari looks for the datasets of this machine."""
    named = os.environ.get("MINARI_DATASETS_PATH")
    return pathlib.Path.home() / ".minari" / "datasets" if named is None else pathlib.Path(named)


def environment(data: pathlib.Path) -> str | None:
    """Our own name if we saved the dataset, or `gym:ID` if the ID alone describes the environment."""
    metadata = _metadata(data)
    if ENVIRONMENT in metadata or "env_spec" not in metadata:
        return metadata.get(ENVIRONMENT)
    with checks.reading(data):
        made = json.loads(metadata["env_spec"])
        return None if made.get("kwargs") or made.get("additional_wrappers") else f"gym:{made['id']}"


def policy(data: pathlib.Path) -> str:
    """What acted, Minari's `algorithm_name`."""
    return str(_metadata(data).get("algorithm_name", "unknown policy"))


def is_canonical(data: pathlib.Path) -> bool:
    """Whether we saved it."""
    return ENVIRONMENT in _metadata(data)


def read(
    data: pathlib.Path, spec: types.EnvironmentSpec, *, whole: bool = False
) -> Iterator[tuple[str, types.Trajectory | checks.DatasetError]]:
    """Yields each episode, or what is wrong with it, with its name for messages; `whole` does not matter here."""
    for where, found in rows(data, spec):
        yield where, found if isinstance(found, checks.DatasetError) else types.Trajectory(*found[:4])


def rows(
    data: pathlib.Path, spec: types.EnvironmentSpec | None = None
) -> Iterator[tuple[str, rows_lib.Rows | checks.DatasetError]]:
    """Yields the rows of each episode, with its name for messages; one is in memory at a time.

    Args:
      data: as `find` returns it.
      spec: of the environment, whose actions those of another's dataset must be, and whose arrays of uint8 say how many
        of the leading 1s of ours are theirs; None: all of these 1s go.
    """
    ours = is_canonical(data)
    with checks.reading(data):
        from minari.dataset import minari_storage

        storage = minari_storage.MinariStorage.read(data)
        observe = _observation(storage.observation_space, data, ours)
        if not ours and spec is not None:
            _check_actions(storage.action_space, spec, data)
        numbers = _numbers(data, storage.total_episodes)
    num_steps: int | None = 0
    for number in numbers:
        where = f"{data}, episode {number}"
        try:
            with checks.reading(pathlib.Path(where)):
                (episode,) = storage.get_episodes([number])
                reward = np.asarray(episode["rewards"])
                observation, action = observe(episode["observations"]), np.asarray(episode["actions"])
                discount = _discount(episode, where)
                truncated = bool(np.any(episode["truncations"])) and not bool(np.any(episode["terminations"]))
                if ours:
                    observation = (
                        _stripped(observation) if spec is None else _without_ones(observation, spec.observation)
                    )
                    discount = episode["infos"]["discount"][1:]
        except checks.DatasetError as error:
            num_steps = None
            yield where, error
            continue
        num_steps = None if num_steps is None else num_steps + len(reward)
        yield where, rows_lib.Rows(observation, action, reward, discount, truncated)
    if num_steps not in (None, storage.total_steps):
        raise checks.DatasetError(
            f"{data} is damaged or incomplete (its metadata counts {storage.total_steps} steps, its episodes have "
            f"{num_steps})."
        )


def num_steps(path: pathlib.Path) -> int:
    """Returns the steps of a dataset, as its metadata counts them.

    Raises:
      DatasetError: there is none, or it is damaged.
    """
    with checks.reading(path):
        return int(json.loads((path / DATA / METADATA).read_text())["total_steps"])


def unread(data: pathlib.Path) -> list[str]:
    """Returns the names of what is in the first episode and is not read."""
    ours = is_canonical(data)
    with checks.reading(data):
        from minari.dataset import minari_storage

        storage = minari_storage.MinariStorage.read(data)
        numbers = _numbers(data, storage.total_episodes)[:1]
        infos = {key for episode in storage.get_episodes(numbers) for key in episode["infos"] or {}}
        return [f"infos/{key}" for key in sorted(infos - ({"discount"} if ours else set()))]


def _metadata(data: pathlib.Path) -> dict[str, Any]:
    path = data / METADATA
    if not path.is_file():
        raise checks.DatasetError(f"the Minari dataset {data} is incomplete: it has no {METADATA}.")
    with checks.reading(path):
        return dict(json.loads(path.read_text()))


def _numbers(data: pathlib.Path, total_episodes: int) -> list[int]:
    """Returns the episodes' numbers, which have gaps where somebody took episodes out.

    Minari counts after it has written: a kill between them leaves episodes that nothing would read.
    """
    if not (data / EPISODES).exists():
        return list(range(total_episodes))
    import h5py

    with h5py.File(data / EPISODES, "r") as file:
        if len(file) != total_episodes:
            raise errors.UserError(f"its metadata counts {total_episodes} episodes, its file has {len(file)}")
        return sorted(int(name.removeprefix("episode_")) for name in file)


def _observation(space: Any, data: pathlib.Path, ours: bool) -> Callable[[Any], Any]:
    """Returns the function from an episode's observations to canonical ones, by their space; `ours` are so already."""
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        parts = {key: _observation(subspace, data, ours) for key, subspace in space.spaces.items()}
        return lambda found: {key: convert(found[key]) for key, convert in parts.items()}
    if isinstance(space, spaces.Discrete):
        values = np.arange(space.n) + space.start
        return lambda found: (np.asarray(found)[:, None] == values).astype(np.float32)
    if isinstance(space, spaces.Box) and not ours:
        taken = pictures.canonical(space.shape, space.dtype, space.low, space.high)
        return np.asarray if taken.note is None and taken.shape == space.shape else taken.convert
    if isinstance(space, (spaces.Box, spaces.MultiBinary)):
        return np.asarray  # The check makes all but pixels float32.
    raise checks.DatasetError(
        f"{data} has observations in the space {space}, and only Box, Discrete, MultiBinary and Dict of these are read."
    )


def _check_actions(space: Any, spec: types.EnvironmentSpec, data: pathlib.Path) -> None:
    """Refuses a dataset whose action space differs from the environment's; a space without bounds is accepted."""
    from gymnasium import spaces

    discrete, num_values = isinstance(space, spaces.Discrete), spec.action.num_values
    if not discrete and not (isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating)):
        raise checks.DatasetError(
            f"{data} has actions in the space {space}, and only Discrete and Boxes of floats are read."
        )
    if discrete != (num_values is not None) or (not discrete and space.shape != spec.action.shape):
        return  # Which the check of every episode says.
    canonical: tuple[tuple[float, ...], tuple[float, ...]]
    if num_values is not None:
        low, high = np.array([space.start]), np.array([space.start + space.n - 1])
        canonical = (0,), (num_values - 1,)
    else:
        low, high = space.low.ravel(), space.high.ravel()
        canonical = (-1.0,) * low.size, (1.0,) * low.size
    expected = spec.action_bounds or canonical
    for found, bound in zip((low, high), expected):
        says = np.isfinite(found)
        if not np.allclose(found[says], np.array(bound)[says], rtol=1e-5, atol=1e-6):
            raise checks.DatasetError(
                f"{data} says that its actions lie in {_interval((low, high))}, and the environment's lie in "
                f"{_interval(expected)}: name the environment that it was recorded in, or rescale its actions."
            )


def _interval(bounds: tuple[Any, Any]) -> str:
    """`[-2, 2]`, or `[(-2, 0), (2, 10)]` where the dimensions differ."""
    low, high = (tuple(round(float(x), 6) for x in bound) for bound in bounds)
    same = len(set(low)) == len(set(high)) == 1
    return f"[{low[0]:g}, {high[0]:g}]" if same else f"[{low}, {high}]"


def _discount(episode: Mapping[str, Any], where: str) -> np.ndarray:
    """Returns [T] float32: 0 for a termination, which only the last step may be."""
    terminations = np.asarray(episode["terminations"], bool)
    ended = terminations | np.asarray(episode["truncations"], bool)
    if ended[:-1].any():
        raise checks.DatasetError(f"{where} goes on after step {int(np.argmax(ended))}, which ended it.")
    return np.where(terminations, 0, 1).astype(np.float32)


def ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the leading dimensions with which a uint8 array of this shape is saved."""
    return (1,) * (_LEAST_DIMENSIONS - len(shape))


def _without_ones(observation: Any, spec: Any) -> Any:
    """Removes the leading dimensions if that gives the spec's shape; otherwise the later check reports the shape."""
    if isinstance(observation, Mapping) and isinstance(spec, Mapping):
        return {key: _without_ones(value, spec.get(key)) for key, value in observation.items()}
    if isinstance(observation, Mapping) or not isinstance(spec, types.ArraySpec) or observation.dtype != np.uint8:
        return observation
    fits = observation.shape[1:] == ones(spec.shape) + spec.shape
    return observation.reshape(len(observation), *spec.shape) if fits else observation


def _stripped(observation: Any) -> Any:
    """Removes every leading dimension of 1 of the uint8 arrays that were saved with such."""
    if isinstance(observation, Mapping):
        return {key: _stripped(value) for key, value in observation.items()}
    shape = observation.shape[1:]
    while len(shape) > 1 and shape[0] == 1 and observation.dtype == np.uint8:
        shape = shape[1:]
    return observation.reshape(len(observation), *shape)
