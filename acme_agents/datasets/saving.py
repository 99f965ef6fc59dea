"""Writes a dataset in Minari's format, whole or not at all; `minari_dataset` says what is in it."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from absl import logging

from acme_agents.core import types
from acme_agents.datasets import checks, minari_dataset

_SET_HERE = frozenset(
    {"total_episodes", "total_steps", "dataset_size", "data_format", "observation_space", "action_space", "env_spec"}
    | {"eval_env_spec", "dataset_id", "minari_version", "algorithm_name", minari_dataset.ENVIRONMENT}
)  # metadata that is written here, or that would be false of this dataset


def save(
    path: pathlib.Path | str,
    trajectories: Iterable[types.Trajectory],
    spec: types.EnvironmentSpec,
    *,
    environment: str,
    policy: str,
    metadata: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    skip_bad: bool = False,
) -> None:
    """Writes a Minari dataset that is either whole or not there.

    It is written in a hidden directory beside its path, flushed to the disk and renamed. Replacing a dataset takes two
    renames: a kill between them leaves the old one in that hidden directory, `.NAME.*.partial/old`.

    Args:
      path: of a directory, made by this; its name is the dataset's id, which is NAME-v0 where Minari is to list it.
      trajectories: canonical; as many as memory holds.
      spec: of the environment they are of.
      environment: our name for it, such as `control:cartpole:swingup`.
      policy: what acted: Minari's `algorithm_name`.
      metadata: more of it, JSON: Minari's `author`, `author_email`, `code_permalink`, `description`, or your own.
      overwrite: whether a Minari dataset that is at the path is replaced.
      skip_bad: whether trajectories that are not of the spec, or hold NaN or infinity, are left out with a warning that
        counts them.

    Raises:
      DatasetError: the path holds something (that is not a Minari dataset, with `overwrite`), there are no
        trajectories, one of them (with `skip_bad`, all) is not of the spec, or the disk did not take them; the path is
        then unchanged.
    """
    path = pathlib.Path(path).absolute()  # Minari computes a relative one's size wrongly.
    _check_free(path, overwrite)
    _checked_metadata({} if metadata is None else metadata)
    episodes, bad = [], []
    for number, trajectory in enumerate(trajectories):
        try:
            episodes.append(checks.canonical(trajectory, spec, f"the dataset to save, episode {number}"))
        except checks.DatasetError as error:
            if not skip_bad:
                raise
            bad.append(error)
    if bad:
        total = len(bad) + len(episodes)
        logging.warning("%s: %d of %d episodes are bad and left out; the first: %s", path, len(bad), total, bad[0])
    if not episodes:
        raise checks.DatasetError(f"there are no episodes to save as {path}.")
    described: dict[str, Any] = {"environment": environment, "policy": policy, "metadata": metadata}
    write(path, episodes, spec, **described, num_bytes=_num_bytes(episodes), overwrite=overwrite)


def write(
    path: pathlib.Path,
    episodes: Iterable[types.Trajectory],
    spec: types.EnvironmentSpec,
    *,
    environment: str,
    policy: str,
    num_bytes: int,
    metadata: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Does what `save` does for episodes that are canonical and at least one, with one of them in memory at a time.

    Args:
      path: absolute; it and the others are those of `save`.
      episodes: an error that getting one raises leaves the path unchanged.
      num_bytes: at least what the dataset takes on disk, by `room`.
    """
    _check_free(path, overwrite)
    extra = _checked_metadata({} if metadata is None else metadata)
    described = {
        "description": f"{policy} in {environment}, recorded by acme_agents.",
        **extra,
        "dataset_id": path.name,
        "algorithm_name": policy,
        minari_dataset.ENVIRONMENT: environment,
    }
    with written(path, num_bytes) as partial:
        new, old = partial / "new", partial / "old"
        _write(new, episodes, spec, described)
        _check_free(path, overwrite)  # It may have come into being meanwhile.
        _replace(new, path, old)


@contextlib.contextmanager
def written(path: pathlib.Path, num_bytes: int) -> Iterator[pathlib.Path]:
    """Makes a hidden directory beside a path, in which a dataset is written before it is renamed.

    Raises:
      DatasetError: the disk has less room than `num_bytes`, or does not take what is written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_space(path, num_bytes)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", suffix=".partial") as partial:
            yield pathlib.Path(partial)
    except (OSError, RuntimeError) as error:  # HDF5 raises either
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise checks.DatasetError(f"cannot write the dataset {path}: {reason}.") from error


def _checked_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the user's metadata in a form that Minari and JSON can write, or raises for what they cannot."""
    clash = sorted(_SET_HERE & set(metadata))
    if clash:
        raise checks.DatasetError(f"metadata may not set {', '.join(clash)}: a dataset's own are written.")
    checked = dict(metadata)
    try:
        for key in {"author", "author_email"} & set(metadata):  # Minari wants sets.
            people = metadata[key]
            checked[key] = {people} if isinstance(people, str) else set(people)
        json.dumps(checked, default=list)
    except (TypeError, ValueError) as error:
        raise checks.DatasetError(f"metadata must be what JSON can say: {error}.") from error
    return checked


def _check_free(path: pathlib.Path, overwrite: bool) -> None:
    """Refuses to overwrite anything but a replaceable Minari dataset or an empty directory."""
    if not os.path.lexists(path) or (path.is_dir() and not any(path.iterdir())):
        return
    if overwrite and not (path / minari_dataset.DATA / minari_dataset.METADATA).is_file():
        raise checks.DatasetError(f"{path} is not a Minari dataset, so it is not replaced: choose another path.")
    if not overwrite:
        raise checks.DatasetError(f"{path} already holds something: choose another path, or overwrite it.")


def _check_space(path: pathlib.Path, needed: int) -> None:
    """Refuses to begin what the disk has no room for, because HDF5 crashes the process when it meets a full disk."""
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise checks.DatasetError(
            f"cannot write the dataset {path}: it takes up to {needed / 1e6:.0f} MB, and {free / 1e6:.0f} MB are free."
        )


def _num_bytes(episodes: list[types.Trajectory]) -> int:
    """Returns at least the bytes that these take on disk as a dataset."""
    arrays = jax.tree.leaves(episodes)
    return room(sum(array.nbytes for array in arrays), len(arrays))


def room(num_bytes: int, num_arrays: int) -> int:
    """Returns at least the bytes on disk of arrays that have `num_bytes`, with HDF5's overhead for each."""
    return num_bytes * 5 // 4 + 12_000 * num_arrays


def _write(
    directory: pathlib.Path, episodes: Iterable[types.Trajectory], spec: types.EnvironmentSpec, metadata: dict[str, Any]
) -> None:
    """Writes a whole dataset and flushes it to the disk."""
    import minari
    from minari.data_collector import EpisodeBuffer
    from minari.dataset import minari_storage

    directory.mkdir()
    storage = minari_storage.MinariStorage.new(
        directory / minari_dataset.DATA,
        observation_space=_space(spec.observation),
        action_space=_space(spec.action, 1.0),
    )
    storage.update_metadata({**metadata, "minari_version": minari.__version__})

    def buffer(episode: types.Trajectory) -> Any:
        terminations = np.zeros(len(episode.reward), bool)
        terminations[-1] = episode.discount[-1] == 0
        truncations = np.zeros(len(episode.reward), bool)
        truncations[-1] = not terminations[-1]
        return EpisodeBuffer(
            observations=_with_ones(episode.observation),
            actions=episode.action,
            rewards=episode.reward,
            terminations=terminations,
            truncations=truncations,
            infos={"discount": np.append(np.float32(1), episode.discount)},
        )

    storage.update_episodes(buffer(episode) for episode in episodes)
    for each in (*storage.data_path.iterdir(), storage.data_path, directory):
        sync(each)


def _replace(new: pathlib.Path, path: pathlib.Path, old: pathlib.Path) -> None:
    """Puts `new` at `path`; what was there before goes to `old`, or back if `new` cannot be put there."""
    if path.exists():
        path.rename(old)
    try:
        new.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    sync(path.parent)


def sync(path: pathlib.Path) -> None:
    """Flushes a file or a directory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _space(spec: Any, bound: float = np.inf) -> Any:
    """Returns the Gymnasium space of a spec's canonical values; floats lie in [-bound, bound]."""
    from gymnasium import spaces

    if isinstance(spec, Mapping):
        for key in spec:
            if "/" in key:  # HDF5 takes it for a path.
                raise checks.DatasetError(f"an observation named {key!r} cannot be saved: Minari allows no slash.")
        return spaces.Dict({key: _space(value) for key, value in spec.items()})
    if spec.num_values is not None:
        return spaces.Discrete(spec.num_values)
    if spec.dtype == "uint8":
        return spaces.Box(0, 255, minari_dataset.ones(spec.shape) + spec.shape, np.uint8)
    return spaces.Box(-bound, bound, spec.shape, np.float32)


def _with_ones(observation: Any) -> Any:
    """Gives every uint8 array the dimensions that keep Minari from writing it as JPEG."""
    if isinstance(observation, Mapping):
        return {key: _with_ones(value) for key, value in observation.items()}
    if observation.dtype != np.uint8:
        return observation
    length, *shape = observation.shape
    return observation.reshape(length, *minari_dataset.ones(tuple(shape)), *shape)
