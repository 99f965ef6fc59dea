"""HDF5 files as d3rlpy 1 and 2 write them, line by line after its `MDPDataset.dump` and `dataset/io.py`."""

import dataclasses

import h5py
import numpy as np
import pytest

from acme_agents import datasets
from acme_agents.core.types import ArraySpec
from tests.datasets import toys

DISCRETE = dataclasses.replace(toys.SPEC, action=ArraySpec((), "int32", 2))
LENGTHS = [3, 1, 2, 4]  # the first and the third terminated, the others were cut short


def _episodes(discrete=False):
    for number, length in enumerate(LENGTHS):
        observations = 10.0 * number + np.arange(2 * length, dtype=np.float32).reshape(length, 2)
        actions = np.arange(length, dtype=np.int32) % 2 if discrete else np.full((length, 1), 0.3, np.float32)
        yield observations, actions, np.arange(1.0, length + 1, dtype=np.float32), number % 2 == 0


def _write_v1(path, discrete=False, **changes):
    observations, actions, rewards, terminated = zip(*_episodes(discrete))
    ends = np.cumsum(LENGTHS) - 1
    fields = {
        "observations": np.concatenate(observations),
        "actions": np.concatenate(actions),
        "rewards": np.concatenate(rewards),
        "terminals": np.isin(np.arange(sum(LENGTHS)), ends[np.array(terminated)]).astype(np.float32),
        "episode_terminals": np.isin(np.arange(sum(LENGTHS)), ends).astype(np.float32),
        "discrete_action": discrete,
        "version": "1.0",
    }
    with h5py.File(path, "w") as file:
        for key, value in (fields | changes).items():
            file.create_dataset(key, data=value)
    return path


def _write_v2(path, discrete=False, without=()):
    with h5py.File(path, "w") as file:
        file.create_dataset("columns", data=["observations", "actions", "rewards", "terminated"])
        file.create_dataset("num_episodes", data=len(LENGTHS))
        for i, (observations, actions, rewards, terminated) in enumerate(_episodes(discrete)):
            fields = (observations, actions.reshape(-1, 1), rewards.reshape(-1, 1), terminated)
            for key, value in zip(("observations", "actions", "rewards", "terminated"), fields):
                if f"{key}_{i}" not in without:
                    file.create_dataset(f"{key}_{i}", data=value)
        file.create_dataset("version", data="2.1")
    return path


@pytest.mark.parametrize("write", [_write_v1, _write_v2])
def test_episodes_end_where_they_ended(tmp_path, write):
    """One that was cut short lacks its last observation, and so its last step; of one row nothing is left."""
    episodes = datasets.load(write(tmp_path / "a.h5"), toys.SPEC)
    firsts = [episode.observation[:, 0].tolist() for episode in episodes]
    assert firsts == [[0, 2, 4, 4], [20, 22, 22], [30, 32, 34, 36]]
    assert [episode.reward.tolist() for episode in episodes] == [[1, 2, 3], [1, 2], [1, 2, 3]]
    assert [episode.discount.tolist() for episode in episodes] == [[1, 1, 0], [1, 0], [1, 1, 1]]


@pytest.mark.parametrize("write", [_write_v1, _write_v2])
def test_actions_are_the_environments_own(tmp_path, write):
    spec = dataclasses.replace(toys.SPEC, action_bounds=((-0.4,), (0.4,)))
    np.testing.assert_allclose(datasets.load(write(tmp_path / "a.h5"), spec)[0].action, [[0.75]] * 3, rtol=1e-6)
    episodes = datasets.load(write(tmp_path / "b.h5", discrete=True), DISCRETE)
    np.testing.assert_array_equal(episodes[0].action, np.int32([0, 1, 0]), strict=True)


def test_version_1_says_whether_its_actions_are_discrete(tmp_path):
    path = _write_v1(tmp_path / "a.h5", discrete=True)
    with pytest.raises(datasets.DatasetError, match=r"a\.h5 has discrete actions, and the environment's are cont"):
        datasets.load(path, toys.SPEC)


def test_version_2_must_be_whole(tmp_path):
    path = _write_v2(tmp_path / "a.h5", without=["actions_2"])
    with pytest.raises(datasets.DatasetError, match=r"a\.h5 is damaged: it counts 4 episodes, and has 3"):
        datasets.load(path, toys.SPEC)
    path = _write_v2(tmp_path / "b.h5", without=["observations_2"])
    with pytest.raises(datasets.DatasetError, match=r"episode 2 has no observations in one array"):
        datasets.load(path, toys.SPEC)
    assert [len(episode.reward) for episode in datasets.load(path, toys.SPEC, bad_episodes="skip")] == [3, 3]


def test_they_do_not_say_their_environment(tmp_path):
    assert datasets.environment(_write_v1(tmp_path / "a.h5")) is None
    assert datasets.environment(_write_v2(tmp_path / "b.h5")) is None


@pytest.mark.parametrize(("shape", "found"), [((9, 8, 3), (3, 9, 8)), ((9, 8, 4), (4, 9, 8)), ((9, 8, 1), (9, 8))])
def test_pictures_come_in_the_environments_layout_and_stay_bytes(tmp_path, shape, found):
    """d3rlpy's pictures have their channels first."""
    spec = dataclasses.replace(toys.SPEC, observation=ArraySpec(shape, "uint8"))
    pictures = np.random.default_rng(0).integers(256, size=(sum(LENGTHS), *shape), dtype=np.uint8)
    theirs = np.moveaxis(pictures, -1, 1).reshape(-1, *found)
    (first, *_) = datasets.load(_write_v1(tmp_path / "a.h5", observations=theirs), spec)
    np.testing.assert_array_equal(first.observation, pictures[[0, 1, 2, 2]], strict=True)
    other = dataclasses.replace(toys.SPEC, observation=ArraySpec((8, 9, 5), "uint8"))
    with pytest.raises(datasets.DatasetError, match=r"observations of uint8 \[.*\], and the environment's spec says"):
        datasets.load(tmp_path / "a.h5", other)
