"""A dataset that is converted, and back, is what it was; what a format cannot hold is said."""

import dataclasses
import os
import shutil
import types as python_types

import h5py
import numpy as np
import pytest

from acme_agents import datasets
from acme_agents.core.types import ArraySpec
from acme_agents.datasets import converting
from tests.datasets import test_d3rlpy, test_d4rl, test_minari_dataset, toys

NAME = "probe:reach"
SPECS = {
    "plain": toys.SPEC,
    "bounds": dataclasses.replace(toys.SPEC, action=ArraySpec((2,)), action_bounds=((-2.0, 0.0), (2.0, 4.0))),
    "discrete": dataclasses.replace(toys.SPEC, action=ArraySpec((), "int32", 3), action_bounds=((-1,), (1,))),
    "pictures": dataclasses.replace(toys.SPEC, observation=ArraySpec((1, 40, 36), "uint8")),
    "bytes": dataclasses.replace(toys.SPEC, observation=ArraySpec((128,), "uint8")),
    "objectives": dataclasses.replace(toys.SPEC, reward=ArraySpec((3,))),
}


def _save(path, episodes, spec):
    datasets.save(path, episodes, spec, environment=NAME, policy="random")
    return path


def _convert(path, to, form, spec=None, **options):
    options = {"environment": NAME if spec else None, "spec": spec} | options
    return datasets.convert(datasets.summarise(path), to, form, **options)


def _content(path):
    """Every array of an HDF5 file, with its bits."""
    found = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return {
        name: (np.asarray(value).dtype, np.shape(value), np.asarray(value).tolist()) for name, value in found.items()
    }


@pytest.mark.parametrize("form", ["d4rl", "d3rlpy"])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_ours_comes_back_to_the_bit(tmp_path, form, spec):
    """But for the observation after a termination, which d3rlpy's files do not have."""
    episodes = toys.episodes(spec)
    if spec.action.shape == (2,):  # multiples of 1/64, which the bounds' scale and offset leave exact
        episodes = [each._replace(action=np.round(each.action * 64) / np.float32(64)) for each in episodes]
    _convert(_save(tmp_path / "a", episodes, spec), tmp_path / "b", form, spec)
    assert datasets.environment(tmp_path / "b") == NAME
    _convert(tmp_path / "b", tmp_path / "c", "minari", spec)
    if form == "d3rlpy":
        for episode in episodes:
            if episode.discount[-1] == 0:
                episode.observation[-1] = episode.observation[-2]
    toys.assert_same(datasets.load(tmp_path / "b", spec), episodes)
    toys.assert_same(datasets.load(tmp_path / "c", spec), episodes)
    assert datasets.environment(tmp_path / "c") == NAME


def test_actions_are_the_environments_own_in_hdf5_files(tmp_path):
    spec = SPECS["bounds"]
    episode = toys.episode(spec, 2)._replace(action=np.float32([[-1, -1], [0.5, 1]]))
    for form, key in (("d4rl", "actions"), ("d3rlpy", "actions_0")):
        _convert(_save(tmp_path / f"{form}-v0", [episode], spec), tmp_path / form, form, spec)
        with h5py.File(tmp_path / form, "r") as file:
            np.testing.assert_array_equal(file[key][()], np.float32([[-2, 0], [1, 4]]), strict=True)
    spec = SPECS["discrete"]
    episode = toys.episode(spec, 2)._replace(action=np.int32([0, 2]))
    _convert(_save(tmp_path / "d-v0", [episode], spec), tmp_path / "d", "d3rlpy", spec)
    with h5py.File(tmp_path / "d", "r") as file:
        np.testing.assert_array_equal(file["actions_0"][()], np.int32([[-1], [1]]), strict=True)


def test_d4rl_and_d3rlpy_give_each_other_every_bit(tmp_path):
    rows = {
        key: value.astype(np.float64) if value.dtype.kind == "f" else value for key, value in test_d4rl.ROWS.items()
    }
    first = test_d4rl._write(tmp_path / "a.hdf5", rows, timeouts=np.isin(np.arange(9), [5, 8]))
    notes = _convert(first, tmp_path / "b", "d3rlpy")
    assert notes == ["not kept, because it is not read: infos, metadata."]
    assert _convert(tmp_path / "b", tmp_path / "c", "d4rl") == []
    kept = {key: value for key, value in _content(first).items() if "/" not in key}
    assert _content(tmp_path / "c") == kept
    second = test_d3rlpy._write_v2(tmp_path / "d.h5")
    assert _convert(second, tmp_path / "e", "d4rl") == _convert(tmp_path / "e", tmp_path / "f", "d3rlpy") == []
    assert _content(tmp_path / "f") == _content(second)
    assert datasets.environment(tmp_path / "f") is None


def test_next_observations_come_back_and_go_through_minari(tmp_path):
    first = test_d4rl._write(tmp_path / "a.hdf5", next_observations=test_d4rl._following())
    assert len(_convert(first, tmp_path / "b", "minari", toys.SPEC)) == 2  # what is not read, and the last row's end
    assert len(_convert(tmp_path / "b", tmp_path / "c.hdf5", "d4rl", toys.SPEC)) == 1
    expected = {key: value for key, value in _content(first).items() if "/" not in key}
    expected["timeouts"][2][8] = True
    assert _content(tmp_path / "c.hdf5") == expected


def test_anothers_minari_dataset_needs_no_environment(tmp_path):
    buffers = [test_minari_dataset._simple(3, terminated=True), test_minari_dataset._simple(2, truncated=True)]
    path = test_minari_dataset._write(tmp_path / "a", buffers)
    notes = _convert(path, tmp_path / "b.hdf5", "d4rl")
    assert notes[0] == "not kept, because it is not read: infos/discount." and len(notes) == 2
    content = _content(tmp_path / "b.hdf5")
    assert content["next_observations"] == (np.float64, (5, 2), [[2, 3], [4, 5], [6, 7], [2, 3], [4, 5]])
    assert content["timeouts"][2] == [False, False, False, False, True]
    toys.assert_same(datasets.load(tmp_path / "b.hdf5", toys.SPEC), datasets.load(path, toys.SPEC))


def test_what_a_format_cannot_hold_is_said(tmp_path):
    episodes = [toys.episode(length=3)._replace(discount=np.float32([1, 0.5, 0])), toys.episode(final_discount=1.0)]
    path = _save(tmp_path / "a", episodes, toys.SPEC)
    lost = "1 discounts are neither 0 nor 1"
    assert lost in " ".join(_convert(path, tmp_path / "b", "d4rl", toys.SPEC))
    said = " ".join(_convert(path, tmp_path / "c", "d3rlpy", toys.SPEC))
    assert lost in said and "no observation after a termination: those of 1 episodes" in said
    assert "1 episodes that were cut short have one row more" in said
    said = " ".join(_convert(test_d3rlpy._write_v2(tmp_path / "d.h5"), tmp_path / "e", "minari", toys.SPEC))
    assert "1 episodes that were cut short lack their final observation" in said
    assert "1 episodes of one such row are left out whole" in said
    assert "2 episodes that terminated lack their final observation" in said
    wide = test_d4rl._write(tmp_path / "f.hdf5", observations=np.zeros((9, 2)))
    said = " ".join(_convert(wide, tmp_path / "g", "minari", toys.SPEC))
    assert "observation are kept as float32" in said and "1 episodes end without a sign" in said


def test_what_cannot_be_converted_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    path = _save(tmp_path / "a", toys.episodes(), toys.SPEC)
    (tmp_path / "there").write_text("years")
    nested = dataclasses.replace(toys.SPEC, observation={"x": ArraySpec((2,)), "y": ArraySpec(())})
    two = _save(tmp_path / "two", toys.episodes(nested), nested)
    nan = test_d4rl._write(tmp_path / "nan.hdf5", rewards=np.full(9, np.nan))
    mixed = test_d4rl._write(tmp_path / "mixed.hdf5", next_observations=np.zeros((9, 2)))
    before = sorted(os.listdir(tmp_path))
    for source, form, to, spec, message in (
        (path, "d4rl", "new", None, "does not say which environment it is of"),
        (nan, "minari", "new", None, "does not say which environment it is of"),
        (path, "d4rl", "there", toys.SPEC, "there is there already: write the dataset to another path"),
        (path, "minari", "there", toys.SPEC, "there is there already: write the dataset to another path"),
        (path, "d4rl", "there/new", toys.SPEC, "cannot write the dataset"),
        (
            two,
            "d3rlpy",
            "new",
            nested,
            r"several arrays, observation\['x'\], observation\['y'\], and d3rlpy files hold",
        ),
        (nan, "minari", "new", toys.SPEC, "episode 0 has rewards that are NaN or infinite"),
        (path, "minari", "new", nested, "episode 0 has observations of"),
    ):
        with pytest.raises(datasets.DatasetError, match=message):
            _convert(source, tmp_path / to, form, spec)
    with pytest.raises(datasets.DatasetError, match="next_observations that are not the next row's"):
        datasets.summarise(mixed)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: python_types.SimpleNamespace(free=10_000))
    for form in ("d4rl", "minari"):
        with pytest.raises(datasets.DatasetError, match="and 0 MB are free"):
            _convert(path, tmp_path / "new", form, toys.SPEC)
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("form", ["minari", "d4rl", "d3rlpy"])
@pytest.mark.parametrize(("num", "length"), [(60, 2), (4, 1000)])
def test_it_takes_no_more_room_than_was_asked_for(tmp_path, monkeypatch, form, num, length):
    asked = []
    written = converting.saving.written
    monkeypatch.setattr(converting.saving, "written", lambda path, room: written(path, asked.append(room) or room))
    episodes = [toys.episode(length=length, seed=number) for number in range(num)]
    _convert(_save(tmp_path / "a", episodes, toys.SPEC), tmp_path / "b", form, toys.SPEC)
    files = [tmp_path / "b"] if form != "minari" else (tmp_path / "b").rglob("*.*")
    assert sum(file.stat().st_size for file in files) < asked[-1]
