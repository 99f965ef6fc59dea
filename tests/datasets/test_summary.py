"""What a summary says of datasets whose numbers are known, in every format, and how much memory it takes."""

import tracemalloc

import h5py
import numpy as np
import pytest

from acme_agents import datasets
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Trajectory
from acme_agents.datasets import converting, d4rl
from acme_agents.datasets import summary as summary_lib
from tests.datasets import test_d3rlpy, test_d4rl, test_minari_dataset, toys

SPEC = EnvironmentSpec({"arm": ArraySpec((2,)), "eye": ArraySpec((40, 36), "uint8")}, ArraySpec((1,)))


def _fields(summary):
    return {field.name: field for field in summary.fields}


def _dataset(path):
    """Two steps, terminated, and four, cut short; the arm's first number is 7 throughout."""
    episodes = []
    for length, final in ((2, 0.0), (4, 1.0)):
        episode = toys.episode(SPEC, length, final)
        episode.observation["arm"][:, 0] = 7
        rewards = np.arange(1, length + 1, dtype=np.float32)
        episodes.append(episode._replace(reward=rewards, action=np.linspace(-1, 1, length)[:, None]))
    datasets.save(path, episodes, SPEC, environment="probe:reach", policy="random")
    return episodes


def test_counts_returns_and_ranges_of_a_dataset_of_ours(tmp_path):
    episodes = _dataset(tmp_path / "a")
    summary = datasets.summarise(tmp_path / "a")
    assert (summary.format, summary.environment, summary.canonical) == ("a Minari dataset", "probe:reach", True)
    assert summary.lengths.tolist() == [2, 4] and summary.returns.tolist() == [[3], [10]]
    assert (summary.num_terminated, summary.num_unsaid, summary.num_without_final) == (1, 0, 0)
    fields = _fields(summary)
    assert list(fields) == ["observation['arm']", "observation['eye']", "action", "reward"]
    arm = np.concatenate([episode.observation["arm"] for episode in episodes]).astype(np.float64)
    found = fields["observation['arm']"]
    assert (found.num_rows, found.dtype, found.constant.tolist()) == (8, "float32", [True, False])
    for values, expected in ((found.low, arm.min(0)), (found.high, arm.max(0))):
        np.testing.assert_array_equal(values, expected)
    np.testing.assert_allclose(found.mean, arm.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.std, arm.std(0), rtol=1e-12, atol=1e-12)
    assert fields["observation['eye']"].low.shape == (40, 36)  # without the dimensions that Minari got
    assert (fields["reward"].mean, fields["reward"].high) == (13 / 6, 4)


def test_moments_are_those_of_all_rows_however_they_are_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(summary_lib, "_BLOCK", 6)  # three rows
    values = np.random.default_rng(0).normal(1e4, 1, (50, 2))
    values[[3, 17], [0, 0]] = np.nan, np.inf
    values[:, 1] = np.inf
    rows = {"observations": values, "actions": np.zeros((50, 1)), "rewards": np.ones(50)}
    ends = {"terminals": np.arange(50) % 7 == 4, "timeouts": np.arange(50) == 49}
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        for key, value in (rows | ends | {"next_observations": np.roll(values, -1, 0)}).items():
            file[key] = value
    with h5py.File(tmp_path / "a.hdf5", "a") as file:
        del file["next_observations"]
    found = _fields(datasets.summarise(tmp_path / "a.hdf5"))["observation"]
    kept = values[:49, 0]  # each terminated episode's last observation stands for its final one too
    kept = np.concatenate([kept, kept[4::7], values[49:, 0]])
    kept = kept[np.isfinite(kept)]
    np.testing.assert_allclose(found.mean[0], kept.mean(), rtol=1e-12)
    np.testing.assert_allclose(found.std[0], kept.std(), rtol=1e-9)
    assert np.isnan([found.low[1], found.mean[1], found.std[1]]).all()
    assert found.num_infinite.tolist() == [1, found.num_rows]
    assert found.num_nan.tolist() == [1, 0] and not found.constant.any()


def test_d4rl_and_d3rlpy_are_summarised_as_they_are_learned_from(tmp_path):
    summary = datasets.summarise(test_d4rl._write(tmp_path / "a.hdf5"))
    assert summary.lengths.tolist() == [3, 2, 2] and summary.returns.ravel().tolist() == [3, 7, 13]
    assert (summary.num_terminated, summary.num_without_final, summary.num_unsaid) == (1, 2, 1)
    for write in (test_d3rlpy._write_v1, test_d3rlpy._write_v2):
        summary = datasets.summarise(write(tmp_path / "b.h5"))
        assert summary.lengths.tolist() == [3, 2, 3] and summary.returns.ravel().tolist() == [6, 3, 6]
        assert (summary.num_terminated, summary.num_without_final, summary.num_single) == (2, 1, 1)
        assert summary.names[2].endswith("episode 3") and _fields(summary)["reward"].low.shape == ()


def test_actions_are_counted_by_value_or_in_bins(tmp_path):
    _dataset(tmp_path / "a")
    ((edges, counts),) = summary_lib.histograms(datasets.summarise(tmp_path / "a"))
    assert len(counts) == 50 and edges[[0, -1]].tolist() == [-1, 1]
    assert (counts.sum(), counts[0], counts[-1]) == (6, 2, 2)
    path = test_d3rlpy._write_v2(tmp_path / "b.h5", discrete=True)
    ((edges, counts),) = summary_lib.histograms(datasets.summarise(path))
    assert edges.tolist() == [-0.5, 0.5, 1.5] and counts.tolist() == [5, 3]


def test_what_cannot_be_read_is_kept_apart(tmp_path):
    buffers = [test_minari_dataset._simple(2, rewards=np.ones(5)), test_minari_dataset._simple(3)]
    summary = datasets.summarise(test_minari_dataset._write(tmp_path / "a", buffers))
    assert summary.lengths.tolist() == [3] and summary.names[0].endswith("episode 1")
    (error,) = summary.bad
    assert str(error).endswith("episode 0 has 3 observations for 5 rewards.")
    short = test_minari_dataset._buffer(
        np.zeros((2, 2)), np.zeros((2, 1))
    )  # a reader of HDF5 files would repeat the last
    path = test_minari_dataset._write(tmp_path / "c", [short, buffers[1]])
    assert str(datasets.summarise(path).bad[0]).endswith("episode 0 has 2 observations for 2 rewards.")
    with pytest.raises(
        datasets.DatasetError, match=r"holds no episodes; the first of 1 that cannot be read: .*episode 0"
    ):
        datasets.summarise(test_minari_dataset._write(tmp_path / "b", buffers[:1]))


@pytest.mark.parametrize("form", ["minari", "d4rl", "d3rlpy"])
def test_a_dataset_is_never_whole_in_memory(tmp_path, form, monkeypatch):
    """10 MB of 50 episodes, of which a quarter is in memory at a time, in reading and in writing."""
    monkeypatch.setattr(d4rl, "_BLOCK_BYTES", 1 << 19)
    monkeypatch.setattr(converting, "_BUFFERED", 1 << 19)
    monkeypatch.setattr(summary_lib, "_BLOCK", 1 << 15)
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.create_dataset("observations", (5_000, 512), np.float32)
        for key in ("rewards", "actions"):
            file[key] = np.zeros((5_000,) if key == "rewards" else (5_000, 1), np.float32)
        file["terminals"], file["timeouts"] = np.arange(5_000) % 100 == 99, np.zeros(5_000)
    spec = EnvironmentSpec(ArraySpec((512,)), ArraySpec((1,)))
    tracemalloc.start()
    try:
        summary = datasets.summarise(tmp_path / "a.hdf5")
        datasets.convert(summary, tmp_path / "b", form, environment="probe:reach", spec=spec)
        datasets.summarise(tmp_path / "b")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert summary.lengths.sum() == 5_000 and peak < 2.5e6


def test_several_objectives_and_discounts_between_0_and_1(tmp_path):
    spec = EnvironmentSpec(ArraySpec(()), ArraySpec(()), ArraySpec((2,)))
    reward = np.float32([[1, 10], [2, 20]])
    episode = Trajectory(np.zeros(3), np.zeros(2), reward, np.float32([1, 0.5]))
    datasets.save(tmp_path / "a", [episode], spec, environment="probe:reach", policy="random")
    summary = datasets.summarise(tmp_path / "a")
    assert summary.returns.tolist() == [[3, 30]]
    assert _fields(summary)["discount"].low == 0.5 and _fields(summary)["reward"].mean.tolist() == [1.5, 15]
