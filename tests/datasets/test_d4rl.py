"""HDF5 files as D4RL writes them: where episodes end, and which of their steps can be used."""

import dataclasses

import h5py
import numpy as np
import pytest

from acme_agents import datasets
from acme_agents.core.types import ArraySpec
from tests.datasets import toys

N = 9
ROWS = {
    "observations": np.arange(2 * N, dtype=np.float32).reshape(N, 2),
    "actions": np.linspace(-1, 1, N, dtype=np.float32)[:, None],
    "rewards": np.arange(N, dtype=np.float32),
    "terminals": np.arange(N) == 2,  # rows 0 1 2 | 3 4 5 | 6 7 8
    "timeouts": np.arange(N) == 5,
}


def _write(path, rows=ROWS, without=(), **changes):
    with h5py.File(path, "w") as file:
        for key, value in (rows | changes).items():
            if key not in without:
                file[key] = value
        file["infos/qpos"] = np.zeros((N, 5))
        file["metadata/algorithm"] = "SAC"
    return path


def _following(rows=ROWS):
    """The next row's observations; after the rows 2, 5 and 8, which end episodes, others."""
    following = np.roll(rows["observations"], -1, axis=0)
    following[[2, 5, 8]] = [[102, 2], [105, 5], [108, 8]]
    return following


def _summary(path, spec=toys.SPEC):
    return [
        (episode.observation[:, 0].tolist(), episode.reward.tolist(), episode.discount.tolist())
        for episode in datasets.load(path, spec)
    ]


def test_without_next_observations_a_timed_out_episode_lacks_its_last_step(tmp_path):
    assert _summary(_write(tmp_path / "a.hdf5")) == [
        ([0, 2, 4, 4], [0, 1, 2], [1, 1, 0]),  # terminated: its last observation twice
        ([6, 8, 10], [3, 4], [1, 1]),
        ([12, 14, 16], [6, 7], [1, 1]),  # the rows after the last end
    ]


def test_with_next_observations_every_row_is_a_step(tmp_path):
    path = _write(tmp_path / "a.hdf5", next_observations=_following())
    assert _summary(path) == [
        ([0, 2, 4, 102], [0, 1, 2], [1, 1, 0]),
        ([6, 8, 10, 105], [3, 4, 5], [1, 1, 1]),
        ([12, 14, 16, 108], [6, 7, 8], [1, 1, 1]),
    ]
    np.testing.assert_array_equal(datasets.load(path, toys.SPEC)[1].action, ROWS["actions"][3:6], strict=True)


def test_a_row_that_both_terminated_and_timed_out_terminated(tmp_path):
    path = _write(tmp_path / "a.hdf5", timeouts=ROWS["terminals"], without=["terminals"])
    assert [discount[-1] for _, _, discount in _summary(path)] == [1, 1]
    path = _write(tmp_path / "b.hdf5", timeouts=ROWS["terminals"])
    assert [discount[-1] for _, _, discount in _summary(path)] == [0, 1]


def test_the_last_row_ends_an_episode_however_it_is_marked(tmp_path):
    path = _write(tmp_path / "a.hdf5", terminals=np.isin(np.arange(N), [2, 8]))
    assert _summary(path)[-1] == ([12, 14, 16, 16], [6, 7, 8], [1, 1, 0])
    path = _write(tmp_path / "b.hdf5", timeouts=np.isin(np.arange(N), [5, 8]))
    assert _summary(path)[-1] == ([12, 14, 16], [6, 7], [1, 1])


def test_without_timeouts_the_rows_between_terminations_are_one_episode(tmp_path):
    assert _summary(_write(tmp_path / "a.hdf5", without=["timeouts"])) == [
        ([0, 2, 4, 4], [0, 1, 2], [1, 1, 0]),
        ([6, 8, 10, 12, 14, 16], [3, 4, 5, 6, 7], [1, 1, 1, 1, 1]),
    ]


def test_an_end_that_only_next_observations_tell_is_refused(tmp_path):
    path = _write(tmp_path / "a.hdf5", without=["timeouts"], next_observations=_following())
    with pytest.raises(datasets.DatasetError, match=r"a\.hdf5, episode 1 has next_observations that are not the next"):
        datasets.load(path, toys.SPEC)


def test_one_row_that_timed_out_is_no_episode(tmp_path):
    path = _write(tmp_path / "a.hdf5", timeouts=np.isin(np.arange(N), [3, 5]))
    assert [reward for _, reward, _ in _summary(path)] == [[0, 1, 2], [4], [6, 7]]


def test_other_dtypes_become_canonical(tmp_path):
    spec = dataclasses.replace(toys.SPEC, action=ArraySpec((), "int32", 4))
    path = _write(
        tmp_path / "a.h5",
        observations=ROWS["observations"].astype(np.float64),
        actions=np.arange(N, dtype=np.int64) % 4,
        rewards=ROWS["rewards"].astype(np.float16),
        terminals=ROWS["terminals"].astype(np.float32),
    )
    episode = datasets.load(path, spec)[1]
    assert (episode.observation.dtype, episode.action.dtype, episode.reward.dtype) == (np.float32, np.int32, np.float32)
    np.testing.assert_array_equal(episode.action, [3, 0])


def test_vector_rewards(tmp_path):
    spec = dataclasses.replace(toys.SPEC, reward=ArraySpec((2,)))
    rewards = np.stack([ROWS["rewards"], -ROWS["rewards"]], axis=1)
    path = _write(tmp_path / "a.hdf5", rewards=rewards)
    np.testing.assert_array_equal(datasets.load(path, spec)[0].reward, [[0, 0], [1, -1], [2, -2]])


def test_a_file_is_known_by_its_content_too_and_says_no_environment(tmp_path):
    path = _write(tmp_path / "halfcheetah")
    assert len(datasets.load(path, toys.SPEC)) == 3
    assert datasets.environment(path) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"without": ["actions", "rewards"]}, r"a\.hdf5 is no D4RL file: it has no actions and no rewards\.$"),
        ({"without": ["terminals", "timeouts"]}, r"a\.hdf5 has neither terminals nor timeouts, so where"),
        ({"rewards": np.zeros(8)}, "arrays of different lengths: observations 9, actions 9, rewards 8, terminals 9"),
        ({"actions": np.linspace(-2, 2, N)[:, None]}, r"episode 0 has actions that are outside \[-1, 1\]"),
        ({"rewards": np.where(np.arange(N) == 4, np.nan, 0)}, r"episode 1 has rewards that are NaN .*\[1\] is nan"),
        ({"rewards": np.zeros((N, 2))}, r"rewards of float64 \[2\], and the environment's spec says float32 numbers"),
    ],
)
def test_what_is_refused(tmp_path, options, message):
    with pytest.raises(datasets.DatasetError, match=message):
        datasets.load(_write(tmp_path / "a.hdf5", **options), toys.SPEC)


def test_no_rows_are_no_episodes(tmp_path):
    path = _write(tmp_path / "a.hdf5", **{key: value[:0] for key, value in ROWS.items()})
    with pytest.raises(datasets.DatasetError, match=r"a\.hdf5 holds no episodes"):
        datasets.load(path, toys.SPEC)


def test_wherever_it_is_cut_off_nothing_is_read(tmp_path):
    path = _write(tmp_path / "a.hdf5")
    whole = path.read_bytes()
    for size in {*range(0, len(whole), 397), len(whole) - 1}:
        path.write_bytes(whole[:size])
        with pytest.raises(datasets.DatasetError, match=r"a\.hdf5 is damaged or incomplete \(OSError: "):
            datasets.load(path, toys.SPEC)
