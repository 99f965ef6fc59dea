"""RL Unplugged's dm_control suite: TFRecord files of tf.Examples, https://arxiv.org/abs/2006.13888.

A tf.Example holds some rows of one episode. Its features are float lists, the rows one after another: `action`,
`reward`, `discount`, `step_type`, and `observation/NAME` for each of dm_control's arrays. There are two sets:

- `dm_control_suite_episodes`: whole episodes, which have an `episode_id`. Reward and discount lie in the row of the
  observation that came with them, as TensorFlow Datasets' rlu_control_suite reads them: a_t earned the reward of row
  t + 1, and row 0 has none.
- `dm_control_suite`: windows of episodes, most often of two rows, without an `episode_id`. Here a_t's own row holds
  what it earned, as the official reader (deepmind-research, rl_unplugged/dm_control_suite.py) takes it. A window of n
  rows is read as an episode of n - 1 steps that was cut short, or that ended if its last discount is 0: its
  transitions are the right ones, its return is not an episode's, and so windows cannot be chosen by their returns.

In both, the last row's action is not part of anything. Actions outside the task's bounds, which are [-1, 1] in all of
these, are clipped, because the task does that: MuJoCo clamps each control to its actuator's range, and some of the
policies recorded here (V-MPO's) are Gaussian.
"""

from __future__ import annotations

import glob
import gzip
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from acme_agents.core import types
from acme_agents.datasets import checks
from acme_agents.datasets import rows as rows_lib

NAME = "TFRecord files of RL Unplugged, a window of an episode counting as one"

# The order of dm_control's observation_spec(), in which `environments.control` concatenates the arrays. A file has no
# order, and the official reader's own table of shapes has another one.
_ORDERS = (
    ("position", "velocity"),  # cartpole, cheetah
    ("orientations", "height", "velocity"),  # walker
    ("position", "velocity", "touch", "target_position", "dist_to_target"),  # finger, turning
    ("joint_angles", "upright", "target", "velocity"),  # fish
    ("joint_angles", "head_height", "extremities", "torso_vertical", "com_velocity", "velocity"),  # humanoid
    ("arm_pos", "arm_vel", "touch", "hand_pos", "object_pos", "object_vel", "target_pos"),  # manipulator
)
_TASKS = {
    f"{domain}_{task}": f"control:{domain}:{task}"
    for domain, task in (
        ("cartpole", "swingup"),
        ("cheetah", "run"),
        ("finger", "turn_hard"),
        ("fish", "swim"),
        ("humanoid", "run"),
        ("manipulator", "insert_ball"),
        ("manipulator", "insert_peg"),
        ("walker", "stand"),
        ("walker", "walk"),
    )
}
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")
_NEEDED = ("action", "reward", "discount")
_PREFIX = "observation/"
_GZIP = b"\x1f\x8b"
_HEADER = 12  # bytes before a record: its length and the checksum of that; a checksum of 4 follows it


def find(path: pathlib.Path) -> list[pathlib.Path]:
    """Returns the TFRecord files that a path means: those of a directory, of a pattern, or itself.

    Raises:
      DatasetError: a directory has only some of the files that their names count.
    """
    if path.is_dir():
        candidates = list(path.iterdir())
    else:
        candidates = [path] if path.exists() else [pathlib.Path(name) for name in glob.glob(str(path))]
    files = sorted(filter(_is_tfrecord, candidates))
    if path.is_dir():
        _check_all_there(path, files)
    return files


def environment(files: list[pathlib.Path]) -> str | None:
    """The task after which RL Unplugged names the folder of these files."""
    return _TASKS.get(files[0].absolute().parent.name)


def is_canonical(files: list[pathlib.Path]) -> bool:
    """Their actions are the environment's own, which in these tasks is the same."""
    return False


def read(
    files: list[pathlib.Path], spec: types.EnvironmentSpec, *, whole: bool = False
) -> Iterator[tuple[str, types.Trajectory | checks.DatasetError]]:
    """Yields each episode or window, or what is wrong with it, with its name for messages.

    Args:
      files: as `find` returns them.
      spec: says whether dm_control's arrays become one array or a dict.
      whole: whether windows are refused.
    """
    for file in files:
        for number, features in enumerate(_records(file)):
            where = f"{file}, episode {number}"
            is_episode = "episode_id" in features
            if whole and not is_episode:
                raise checks.DatasetError(
                    f"{where} is a window of an episode, so good episodes cannot be told from others: RL Unplugged has "
                    "the whole episodes in dm_control_suite_episodes."
                )
            try:
                episode = _trajectory(features, spec, where, earned=slice(1, None) if is_episode else slice(0, -1))
            except checks.DatasetError as error:
                yield where, error
            else:
                yield where, episode


def rows(
    files: list[pathlib.Path], spec: types.EnvironmentSpec | None = None
) -> Iterator[tuple[str, rows_lib.Rows | checks.DatasetError]]:
    """Yields what `read` does, by default for an environment with one array of observations."""
    for where, found in read(files, spec or types.EnvironmentSpec(types.ArraySpec(()), types.ArraySpec(()))):
        if isinstance(found, checks.DatasetError):
            yield where, found
        else:
            cut = bool(len(found.discount)) and bool(found.discount[-1] != 0)
            yield where, rows_lib.Rows(*found, truncated=cut)


def unread(files: list[pathlib.Path]) -> list[str]:
    """Nothing worth naming."""
    return []


def _trajectory(
    features: dict[str, np.ndarray], spec: types.EnvironmentSpec, where: str, earned: slice
) -> types.Trajectory:
    """Makes the steps of n rows: n observations, n - 1 actions, and the rewards and discounts of the rows `earned`."""
    names = [key for key in features if key.startswith(_PREFIX)]
    missing = [key for key in _NEEDED if key not in features] + ([] if names else [_PREFIX + "..."])
    if missing:
        raise checks.DatasetError(f"{where} is not of RL Unplugged's dm_control suite: it has no {', '.join(missing)}.")
    num_rows = len(features["discount"])
    rows = {}
    for key in (*_NEEDED, *names):
        values = features[key]
        if values.dtype.kind != "f":
            raise checks.DatasetError(f"{where} has {key} of other than floats: only the dm_control suite is read.")
        if not num_rows or len(values) % num_rows:
            raise checks.DatasetError(f"{where} has {len(values)} numbers of {key} for {num_rows} discounts.")
        rows[key] = values.reshape(num_rows, -1)
    action, reward = rows["action"][:-1], rows["reward"][earned]
    low, high = spec.action_bounds or (-1, 1)
    clipped = np.clip(action, low, high) if np.size(low) in (1, action.shape[1]) else action  # The check refuses these.
    return types.Trajectory(
        observation=_observation({key.removeprefix(_PREFIX): rows[key] for key in names}, spec.observation, where),
        action=np.where(np.isfinite(action), clipped, action),  # The check refuses infinities.
        reward=reward[:, 0] if reward.shape[1] == 1 else reward,
        discount=rows["discount"][earned][:, 0],
    )


def _observation(parts: dict[str, np.ndarray], spec: Any, where: str) -> Any:
    """Makes dm_control's arrays, each [n, size], fit the spec: one array in dm_control's order, or a dict."""
    if isinstance(spec, Mapping):
        return {key: _in_shape(part, spec.get(key)) for key, part in parts.items()}
    if len(parts) == 1:
        return next(iter(parts.values()))
    for order in _ORDERS:
        if set(order) == set(parts):
            return np.concatenate([parts[name] for name in order], axis=1)
    raise checks.DatasetError(
        f"{where} has the observations {', '.join(sorted(parts))}, which are of none of RL Unplugged's tasks, so their "
        "order in the environment's one array is unknown."
    )


def _in_shape(part: np.ndarray, spec: types.ArraySpec | None) -> np.ndarray:
    """The files have [16] and [1] where dm_control has [8, 2] and a number."""
    fits = spec is not None and int(np.prod(spec.shape)) == part.shape[1]
    return part.reshape(len(part), *spec.shape) if spec is not None and fits else part


def _is_tfrecord(file: pathlib.Path) -> bool:
    return file.is_file() and bool(_SHARD.search(file.name) or ".tfrecord" in file.name)


def _check_all_there(directory: pathlib.Path, files: list[pathlib.Path]) -> None:
    """Refuses a directory with an unfinished download."""
    there: dict[tuple[str, str], set[int]] = {}
    for file in files:
        if match := _SHARD.search(file.name):
            there.setdefault((file.name[: match.start()], match[2]), set()).add(int(match[1]))
    for (name, count), numbers in there.items():
        missing = sorted(set(range(int(count))) - numbers)
        if missing:
            raise checks.DatasetError(
                f"{directory} has {len(numbers)} of {int(count)} files, and {name}-{missing[0]:05d}-of-{count} is not "
                f"there: get the others, or give the pattern {directory / name}-* to read those that are."
            )


def _records(file: pathlib.Path) -> Iterator[dict[str, np.ndarray]]:
    """Yields the features of each tf.Example in a file that is whole: float32 [size], int64 [size] or bytes [size]."""
    with checks.reading(file):
        compressed = _check_whole(file)

        import tensorflow as tf

        for record in tf.data.TFRecordDataset(str(file), "GZIP" if compressed else ""):  # checks the checksums
            features = tf.train.Example.FromString(record.numpy()).features.feature
            yield {key: _array(feature) for key, feature in features.items()}


def _array(feature: Any) -> np.ndarray:
    kind = feature.WhichOneof("kind") or "float_list"
    return np.array(getattr(feature, kind).value, np.float32 if kind == "float_list" else None)


def _check_whole(file: pathlib.Path) -> bool:
    """Returns whether the file is compressed.

    TensorFlow takes a file that is cut off near a record's beginning for one that ends there.

    Raises:
      EOFError: the file is cut off.
    """
    with file.open("rb") as raw:
        compressed = raw.read(len(_GZIP)) == _GZIP
    with gzip.open(file) if compressed else file.open("rb") as stream:
        if not file.stat().st_size:
            raise EOFError("it is empty")
        while header := stream.read(_HEADER):
            size = int.from_bytes(header[:8], "little") + 4  # with its checksum
            stream.seek(size - 1, 1)
            if not stream.read(1):  # which a cut within a header leaves nothing of, either
                raise EOFError("it ends within a record")
    return compressed
