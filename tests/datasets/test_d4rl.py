"""HDF5 files as D4RL writes them: where episodes end, and which of their steps can be used."""

import dataclasses
import gzip

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
    path = _write(tmp_path / "a.hdf5", timeouts=ROWS["terminals"])
    assert [discount[-1] for _, _, discount in _summary(path)] == [0, 1]


def test_the_last_row_ends_an_episode_however_it_is_marked(tmp_path):
    path = _write(tmp_path / "a.hdf5", terminals=np.isin(np.arange(N), [2, 8]))
    assert _summary(path)[-1] == ([12, 14, 16, 16], [6, 7, 8], [1, 1, 0])
    path = _write(tmp_path / "b.hdf5", timeouts=np.isin(np.arange(N), [5, 8]))
    assert _summary(path)[-1] == ([12, 14, 16], [6, 7], [1, 1])


@pytest.mark.parametrize("key", ["terminals", "timeouts"])
def test_where_one_kind_of_end_is_not_said_episodes_would_be_joined(tmp_path, key):
    path = _write(tmp_path / "a.hdf5", without=[key])
    with pytest.raises(datasets.DatasetError, match=rf"a\.hdf5 has no {key}, so .*: add {key} to it, all 0 if no row"):
        datasets.load(path, toys.SPEC)
    path = _write(tmp_path / "b.hdf5", **{key: np.zeros(N)})
    assert len(_summary(path)) == 2


def test_a_file_that_marks_no_end_is_refused_unless_next_observations_show_that_there_is_none(tmp_path):
    nowhere = {"terminals": np.zeros(N), "timeouts": np.zeros(N)}
    with pytest.raises(datasets.DatasetError, match="marks no row as an episode's last"):
        datasets.load(_write(tmp_path / "a.hdf5", **nowhere), toys.SPEC)
    following = np.roll(ROWS["observations"], -1, axis=0)
    assert len(_summary(_write(tmp_path / "b.hdf5", **nowhere, next_observations=following))) == 1


def test_actions_are_mapped_by_the_environments_bounds(tmp_path):
    """0.3 of a Box of 0.4 is what the environment makes of 0.75, and of [0, 1] what it makes of -0.4."""
    path = _write(tmp_path / "a.hdf5", actions=np.full((N, 2), 0.3))
    spec = dataclasses.replace(toys.SPEC, action=ArraySpec((2,)), action_bounds=((-0.4, 0.0), (0.4, 1.0)))
    np.testing.assert_allclose(datasets.load(path, spec)[0].action, [[0.75, -0.4]] * 3, rtol=1e-6)


def test_discrete_actions_may_begin_elsewhere_and_be_stored_as_columns_or_floats(tmp_path):
    spec = dataclasses.replace(toys.SPEC, action=ArraySpec((), "int32", 3), action_bounds=((-1,), (1,)))
    actions = np.arange(N)[:, None] % 3 - 1
    for dtype in (np.int64, np.float32, np.int8):
        path = _write(tmp_path / "a.hdf5", actions=actions.astype(dtype), rewards=ROWS["rewards"][:, None])
        np.testing.assert_array_equal(datasets.load(path, spec)[0].action, np.int32([0, 1, 2]), strict=True)
    for wrong, message in ((actions + 1, r"not -1 to 1: actions\[2\] is 2"), (np.eye(N, 3, dtype=int), r"int64 \[3\]")):
        with pytest.raises(datasets.DatasetError, match=message):
            datasets.load(_write(tmp_path / "b.hdf5", actions=wrong), spec)


NOISY = np.where(np.arange(N)[:, None] == 4, 1.05, 0.5)


def test_an_action_out_of_bounds_is_refused_skipped_or_clipped(tmp_path, caplog):
    path = _write(tmp_path / "a.hdf5", actions=NOISY)
    with pytest.raises(
        datasets.DatasetError,
        match=r"episode 1 has actions that are outside \[-1, 1\]: actions\[1, 0\] is 1\.04.* Of 3 episodes 1 is bad: "
        r"--bad-episodes skip leaves them out, --clip-actions clips what is out of bounds\.$",
    ):
        datasets.load(path, toys.SPEC)
    assert len(datasets.load(path, toys.SPEC, bad_episodes="skip")) == 2
    assert "1 of 3 episodes are bad and left out; the first: " in caplog.text and "clipped" not in caplog.text
    clipped = datasets.load(path, toys.SPEC, clip_actions=True)
    assert [episode.action.ravel().tolist() for episode in clipped] == [[0.5, 0.5, 0.5], [0.5, 1], [0.5, 0.5]]
    assert "1 actions were out of bounds and are clipped." in caplog.text


def test_what_is_left_out_is_not_counted_as_clipped_too(tmp_path, caplog):
    path = _write(tmp_path / "a.hdf5", actions=NOISY, rewards=np.where(np.arange(N) == 4, np.inf, 0))
    assert len(datasets.load(path, toys.SPEC, bad_episodes="skip", clip_actions=True)) == 2
    assert "1 of 3 episodes" in caplog.text and "clipped" not in caplog.text


@pytest.mark.parametrize("options", [{}, {"bad_episodes": "skip"}])
def test_where_all_are_bad_nothing_is_left(tmp_path, options):
    path = _write(tmp_path / "a.hdf5", rewards=np.full(N, np.inf))
    with pytest.raises(datasets.DatasetError, match=r"episode 0 has rewards that are NaN or infinite: .* is inf\.$"):
        datasets.load(path, toys.SPEC, **options)


def test_a_choice_that_there_is_not(tmp_path):
    with pytest.raises(datasets.DatasetError, match="bad_episodes is refuse or skip, not 'ignore'"):
        datasets.load(_write(tmp_path / "a.hdf5"), toys.SPEC, bad_episodes="ignore")


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
        (
            {"without": ["actions", "rewards"]},
            r"a\.hdf5 is no D4RL file: it has no actions and no rewards, but infos, metadata, obs",
        ),
        ({"without": ["terminals", "timeouts"]}, r"a\.hdf5 has neither terminals nor timeouts, so where"),
        ({"terminals": np.arange(N) / 8}, "has terminals that are not one 0 or 1 for each row"),
        ({"timeouts": np.zeros((N, 2))}, "has timeouts that are not one 0 or 1 for each row"),
        ({"rewards": np.zeros(8)}, "arrays of different lengths: observations 9, actions 9, rewards 8, terminals 9"),
        ({"actions": np.linspace(-2, 2, N)[:, None]}, r"episode 0 has actions that are outside \[-1, 1\]"),
        ({"rewards": np.where(np.arange(N) == 4, np.nan, 0)}, r"episode 1 has rewards that are NaN .*\[1\] is nan"),
        ({"rewards": np.zeros((N, 2))}, r"rewards of float64 \[2\], and the environment's spec says float32 numbers"),
    ],
)
def test_what_is_refused(tmp_path, options, message):
    with pytest.raises(datasets.DatasetError, match=message):
        datasets.load(_write(tmp_path / "a.hdf5", **options), toys.SPEC)


def test_a_compressed_file_is_to_be_decompressed(tmp_path):
    path = tmp_path / "a.hdf5.gz"
    path.write_bytes(gzip.compress(_write(tmp_path / "a.hdf5").read_bytes()))
    with pytest.raises(datasets.DatasetError, match=r"is compressed: decompress it first \(gunzip a\.hdf5\.gz\)"):
        datasets.load(path, toys.SPEC)


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
