"""A dataset's rows on the disk are those in memory, of the dataset as it is now, and whole or not there."""

import dataclasses
import errno
import os
import shutil

import h5py
import jax
import numpy as np
import pytest

from acme_agents import datasets
from acme_agents.core import experience
from acme_agents.core.types import ArraySpec, Step
from acme_agents.datasets import loading
from tests.datasets import toys

SPECS = {
    "plain": toys.SPEC,
    "pictures": dataclasses.replace(toys.SPEC, observation=ArraySpec((8, 8, 3), "uint8")),
    "several": dataclasses.replace(
        toys.SPEC,
        observation={"a": ArraySpec((2, 3)), "b": ArraySpec(()), "c": ArraySpec((9, 9, 1), "uint8")},
        action=ArraySpec((), "int32", 3),
        reward=ArraySpec((2,)),
    ),
}


def _save(path, spec=toys.SPEC, num=5):
    datasets.save(path, toys.episodes(spec, num), spec, environment="probe:reach", policy="random")
    return path


def _store(path, directory, spec=toys.SPEC, **selection):
    return datasets.store(path, spec, datasets.Selection(**selection), directory)


@pytest.mark.parametrize("name", SPECS)
def test_the_rows_are_those_in_memory(name, tmp_path):
    spec = SPECS[name]
    path = _save(tmp_path / "a", spec)
    steps = Step(spec.observation, spec.action, spec.reward, ArraySpec(()), ArraySpec((), "bool"))
    expected = experience.of_trajectories(steps, datasets.load(path, spec), experience.Windows(1)).steps
    stored = _store(path, tmp_path / "cache", spec)
    assert stored.lengths.tolist() == [1, 2, 3, 4, 5] and stored.num_rows == 20
    for first, stop in ((0, 20), (3, 11), (19, 20)):
        found = stored.read(first, stop)
        assert jax.tree.structure(found) == jax.tree.structure(expected)
        for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
            np.testing.assert_array_equal(x, y[first:stop], strict=True)


def test_a_selection_is_that_of_load(tmp_path):
    episodes = [toys.episode(length=3, seed=number, reward=value) for number, value in enumerate([0, 10, 4, 5, 9, 6])]
    datasets.save(tmp_path / "a", episodes, toys.SPEC, environment="probe:reach", policy="random")
    for seed in (0, 1):
        expected = datasets.load(tmp_path / "a", toys.SPEC, keep_good=0.5, seed=seed)
        stored = _store(tmp_path / "a", tmp_path / "cache", keep_good=0.5, seed=seed)
        found = stored.read(0, stored.num_rows).reward.reshape(-1, 4)[:, 2]
        np.testing.assert_array_equal(found, [episode.reward[-1] for episode in expected])


def _count_readings(monkeypatch):
    """A list that gets an entry for each time that a dataset is read."""
    readings, each = [], loading.each
    monkeypatch.setattr(loading, "each", lambda *args: readings.append(args) or each(*args))
    return readings


def test_what_is_stored_is_read_once_and_again_where_the_dataset_has_changed(tmp_path, monkeypatch):
    readings = _count_readings(monkeypatch)
    path, cache = _save(tmp_path / "a"), tmp_path / "cache"
    for seed in (0, 1):  # which chooses nothing as long as all is kept
        assert _store(path, cache, seed=seed).num_rows == 20
    assert len(readings) == 1
    before = _store(path, cache)
    shutil.rmtree(path)
    _save(path, num=6)
    assert _store(path, cache).num_rows == 27 and len(readings) == 2
    assert before.read(0, 20).last.sum() == 5  # Whoever reads the old one can go on.
    assert sum(child.is_dir() for child in cache.iterdir()) == 1


@pytest.mark.parametrize("damage", ["half-written", "truncated", "gone"])
def test_what_is_not_whole_is_made_again(damage, tmp_path, monkeypatch):
    readings = _count_readings(monkeypatch)
    path, cache = _save(tmp_path / "a"), tmp_path / "cache"
    _store(path, cache)
    (directory,) = (child for child in cache.iterdir() if child.is_dir())
    if damage == "half-written":  # by a process that was killed
        directory.rename(directory.with_name(directory.name + ".partial"))
    elif damage == "truncated":
        os.truncate(directory / "1.bin", 10)
    else:
        (directory / "lengths.bin").unlink()
    stored = _store(path, cache)
    assert len(readings) == 2
    assert stored.read(0, 20).last.sum() == 5
    assert [child for child in cache.iterdir() if child.is_dir()] == [directory]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    path, cache = _save(tmp_path / "a"), tmp_path / "cache"

    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(datasets.DatasetError, match=r"cannot write the rows of .* \(No space left on device\): free"):
        _store(path, cache)
    assert not [child for child in cache.iterdir() if child.is_dir()]


def test_a_bad_episode_is_refused_as_by_load_and_leaves_nothing(tmp_path):
    path, cache = tmp_path / "a.hdf5", tmp_path / "cache"
    with h5py.File(path, "w") as file:
        file["observations"], file["actions"] = np.zeros((6, 2), np.float32), np.zeros((6, 1), np.float32)
        file["rewards"] = np.float32([0, 0, np.nan, 0, 0, 0])
        file["terminals"], file["timeouts"] = np.arange(6) % 2 == 1, np.zeros(6)
    for read in (lambda: datasets.load(path, toys.SPEC), lambda: _store(path, cache)):
        with pytest.raises(datasets.DatasetError, match=r"episode 1 has rewards .* Of 3 episodes 1 is bad"):
            read()
    assert not [child for child in cache.iterdir() if child.is_dir()]
    assert _store(path, cache, bad_episodes="skip").lengths.tolist() == [2, 2]


def test_rows_that_the_disk_has_lost_are_one_sentence(tmp_path):
    stored = _store(_save(tmp_path / "a"), tmp_path / "cache")
    (directory,) = (child for child in (tmp_path / "cache").iterdir() if child.is_dir())
    os.truncate(directory / "0.bin", 10)
    with pytest.raises(datasets.DatasetError, match=r"cannot be read \(it ends too early\): remove that directory"):
        stored.read(0, 20)


def test_by_default_it_is_under_the_users_cache_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    datasets.store(_save(tmp_path / "a*b"), toys.SPEC, datasets.Selection())
    (directory,) = (child for child in (tmp_path / "cache/acme_agents/datasets").iterdir() if child.is_dir())
    assert directory.name.startswith("a_b-")
