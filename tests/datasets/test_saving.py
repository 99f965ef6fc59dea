"""What is saved comes back to the bit, from here and from Minari; what was there survives a failure."""

import dataclasses
import json
import os
import shutil
import types as python_types

import minari
import numpy as np
import pytest
from minari.dataset._storages import hdf5_storage

from acme_agents import datasets
from acme_agents.core.types import ArraySpec, EnvironmentSpec
from acme_agents.datasets import saving
from tests.datasets import toys

DISCRETE = dataclasses.replace(toys.SPEC, action=ArraySpec((), "int32", 5))
VECTOR = dataclasses.replace(toys.SPEC, reward=ArraySpec((3,)))
NESTED = dataclasses.replace(
    toys.SPEC, observation={"joints": ArraySpec((4,)), "eyes": {"left": ArraySpec((2, 3)), "height": ArraySpec(())}}
)
PIXELS = dataclasses.replace(
    toys.SPEC,
    observation={
        "gray": ArraySpec((40, 36), "uint8"),
        "small": ArraySpec((5, 4, 3), "uint8"),
        "stacked": ArraySpec((40, 36, 4), "uint8"),
        "ram": ArraySpec((128,), "uint8"),
        "byte": ArraySpec((), "uint8"),
        "volume": ArraySpec((2, 3, 4, 3), "uint8"),
    },
)


def _save(path, trajectories, spec=toys.SPEC, **options):
    datasets.save(path, trajectories, spec, **({"environment": "probe:reach", "policy": "random"} | options))


def _files(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("spec", [toys.SPEC, DISCRETE, VECTOR, NESTED, PIXELS], ids=lambda spec: str(spec)[:60])
def test_every_bit_comes_back(tmp_path, spec):
    episodes = toys.episodes(spec)
    _save(tmp_path / "a-v0", episodes, spec)
    toys.assert_same(datasets.load(tmp_path / "a-v0", spec), episodes)
    toys.assert_same(datasets.load(tmp_path / "a-v0" / "data", spec), episodes)
    assert sorted(os.listdir(tmp_path)) == ["a-v0"]


def test_the_exact_discounts_come_back(tmp_path):
    discount = np.array([0.25, 1, 0.5], np.float32)
    episodes = [toys.episode(length=3)._replace(discount=discount)]
    _save(tmp_path / "a", episodes)
    np.testing.assert_array_equal(datasets.load(tmp_path / "a", toys.SPEC)[0].discount, discount)


def test_termination_and_truncation_are_minaris(tmp_path):
    _save(tmp_path / "a", [toys.episode(final_discount=0), toys.episode(final_discount=1)])
    ended, cut = minari.MinariDataset(tmp_path / "a" / "data").iterate_episodes()
    np.testing.assert_array_equal(ended.terminations, [False, False, True])
    np.testing.assert_array_equal(ended.truncations, [False, False, False])
    np.testing.assert_array_equal(cut.terminations, [False, False, False])
    np.testing.assert_array_equal(cut.truncations, [False, False, True])


def test_minari_loads_it_by_its_id_and_finds_it_complete(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    episodes = toys.episodes(NESTED)
    _save(tmp_path / "walk-v3", episodes, NESTED, metadata={"author": "Ada", "gamma": 0.9})
    dataset = minari.load_dataset("walk-v3")
    assert (dataset.total_episodes, dataset.total_steps) == (4, 1 + 2 + 3 + 4)
    assert (dataset.spec.dataset_name, dataset.spec.version) == ("walk", 3)
    assert dataset.action_space.low == -1 and dataset.action_space.high == 1
    for found, expected in zip(dataset.iterate_episodes(), episodes):
        np.testing.assert_array_equal(
            found.observations["eyes"]["left"], expected.observation["eyes"]["left"], strict=True
        )
        np.testing.assert_array_equal(found.actions, expected.action, strict=True)
        np.testing.assert_array_equal(found.rewards, expected.reward, strict=True)
        assert len(found.infos["discount"]) == len(found) + 1
    metadata = minari.list_local_datasets()["walk-v3"]
    assert metadata["algorithm_name"] == "random"
    assert metadata["acme_agents_environment"] == "probe:reach"
    assert metadata["description"] == "random in probe:reach, recorded by acme_agents."
    assert metadata["minari_version"] == minari.__version__
    assert (metadata["author"], metadata["gamma"]) == (["Ada"], 0.9)


def test_a_relative_path_and_a_new_folder_will_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _save("new/a", toys.episodes())
    toys.assert_same(datasets.load("new/a", toys.SPEC), toys.episodes())


def test_it_says_its_environment(tmp_path):
    _save(tmp_path / "a", toys.episodes(), environment="control:cartpole:swingup")
    assert datasets.environment(tmp_path / "a") == "control:cartpole:swingup"


def test_what_is_at_the_path_stays_unless_it_is_a_dataset_to_replace(tmp_path):
    path = tmp_path / "a"
    path.mkdir()  # empty: it holds nothing
    _save(path, toys.episodes(num=2))
    before = _files(path)
    with pytest.raises(datasets.DatasetError, match="already holds something: choose another path, or overwrite it"):
        _save(path, toys.episodes(num=3))
    assert _files(path) == before
    _save(path, toys.episodes(num=3), overwrite=True)
    toys.assert_same(datasets.load(path, toys.SPEC), toys.episodes(num=3))
    assert os.listdir(tmp_path) == ["a"]

    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.tex").write_text("years")
    (tmp_path / "file").write_text("years")
    for name in ("notes", "file"):
        with pytest.raises(datasets.DatasetError, match="is not a Minari dataset, so it is not replaced"):
            _save(tmp_path / name, toys.episodes(), overwrite=True)
    assert (tmp_path / "notes" / "thesis.tex").read_text() == (tmp_path / "file").read_text() == "years"


def test_the_path_is_looked_at_before_the_episodes_are_made(tmp_path):
    (tmp_path / "a").write_text("")

    def never():
        raise AssertionError
        yield

    with pytest.raises(datasets.DatasetError, match="already holds"):
        _save(tmp_path / "a", never())


def test_what_comes_to_the_path_meanwhile_stays(tmp_path):
    def slowly():
        yield from toys.episodes()
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "thesis.tex").write_text("years")

    for overwrite in (False, True):
        shutil.rmtree(tmp_path / "a", ignore_errors=True)
        with pytest.raises(datasets.DatasetError, match=r"already holds|is not a Minari dataset"):
            _save(tmp_path / "a", slowly(), overwrite=overwrite)
        assert _files(tmp_path) == {"a/thesis.tex": b"years"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_failure_half_way_leaves_what_was_there(tmp_path, monkeypatch, overwrite):
    path = tmp_path / "a"
    if overwrite:
        _save(path, toys.episodes(num=2))
    before = _files(tmp_path)
    update = hdf5_storage.HDF5Storage.update_episodes

    def fail(self, buffers):
        update(self, [next(iter(buffers))])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hdf5_storage.HDF5Storage, "update_episodes", fail)
    with pytest.raises(datasets.DatasetError, match=r"^cannot write the dataset .*a: No space left on device\.$"):
        _save(path, toys.episodes(num=3), overwrite=overwrite)
    assert _files(tmp_path) == before
    assert os.listdir(tmp_path) == (["a"] if overwrite else [])


def test_if_the_new_one_cannot_be_put_in_place_the_old_one_is(tmp_path, monkeypatch):
    path = tmp_path / "a"
    _save(path, toys.episodes(num=2))
    before = _files(tmp_path)
    rename = type(path).rename

    def fail(self, target):
        if self.name == "new":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(type(path), "rename", fail)
    with pytest.raises(datasets.DatasetError, match="Input/output error"):
        _save(path, toys.episodes(num=3), overwrite=True)
    assert _files(tmp_path) == before


def test_a_disk_without_room_is_told_before_hdf5_crashes_on_it(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: python_types.SimpleNamespace(free=10_000))
    with pytest.raises(datasets.DatasetError, match=r"takes up to \d MB, and 0 MB are free"):
        _save(tmp_path / "a", toys.episodes(num=30))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("num", "length"), [(100, 2), (10, 1000), (2, 20_000)])
def test_a_dataset_takes_no_more_room_than_was_asked_for(tmp_path, num, length):
    episodes = [toys.episode(length=length, seed=number) for number in range(num)]
    _save(tmp_path / "a", episodes)
    taken = sum(len(content) for content in _files(tmp_path / "a").values())
    assert taken < saving._num_bytes(episodes) < 4 * taken


@pytest.mark.parametrize(
    ("trajectories", "options", "message"),
    [
        ([], {}, "there are no episodes to save as"),
        ([toys.episode(VECTOR)], {}, r"the dataset to save, episode 0 has rewards of float32 \[3\]"),
        (toys.episodes(), {"metadata": {"total_steps": 5}}, "metadata may not set total_steps"),
        (toys.episodes(), {"metadata": {"x": object()}}, "metadata must be what JSON can say"),
        (toys.episodes(), {"metadata": {"author": 5}}, "metadata must be what JSON can say"),
    ],
)
def test_what_cannot_be_saved_is_told(tmp_path, trajectories, options, message):
    with pytest.raises(datasets.DatasetError, match=message):
        _save(tmp_path / "a", trajectories, **options)
    assert os.listdir(tmp_path) == []


def test_a_slash_in_a_name_is_refused_because_hdf5_would_make_it_a_group(tmp_path):
    spec = EnvironmentSpec({"walker/height": ArraySpec((1,))}, ArraySpec((1,)))
    with pytest.raises(datasets.DatasetError, match="'walker/height' cannot be saved"):
        _save(tmp_path / "a", toys.episodes(spec), spec)
    assert os.listdir(tmp_path) == []


def test_metadata_is_json(tmp_path):
    _save(tmp_path / "a", toys.episodes(), metadata={"author": {"Ada", "Bob"}, "description": "mine"})
    metadata = json.loads((tmp_path / "a" / "data" / "metadata.json").read_text())
    assert (sorted(metadata["author"]), metadata["description"]) == (["Ada", "Bob"], "mine")
    assert (metadata["dataset_id"], metadata["total_episodes"], metadata["total_steps"]) == ("a", 4, 10)
