"""Which format is at a path, and which good episodes are kept."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from acme_agents import datasets
from acme_agents.core.types import ArraySpec
from tests.datasets import toys

RETURNS = [0, 10, 4, 5, 9, 6, 1, 8, 7]  # at least halfway, 5: those numbered 1, 3, 4, 5, 7, 8


@pytest.fixture
def path(tmp_path):
    return _save(tmp_path / "a", RETURNS)


def _save(path, returns, spec=toys.SPEC):
    episodes = [toys.episode(spec, 3, seed=number, reward=value) for number, value in enumerate(returns)]
    datasets.save(path, episodes, spec, environment="probe:reach", policy="random")
    return path


def _returns(path, spec=toys.SPEC, **options):
    return [episode.reward.sum() for episode in datasets.load(path, spec, **options)]


def test_all_are_kept_by_default(path):
    assert _returns(path) == RETURNS


def test_a_fraction_of_the_good_ones_is_kept_and_all_others_in_their_order(path):
    assert _returns(path, keep_good=1 / 3, seed=0) == [0, 4, 6, 1, 8]
    assert _returns(path, keep_good=1 / 3, seed=1) == [0, 4, 9, 6, 1]
    assert _returns(path, keep_good=0.5, good_return=9) in ([0, 10, 4, 5, 6, 1, 8, 7], [0, 4, 5, 9, 6, 1, 8, 7])
    assert len(_returns(path, keep_good=0.3)) == 3 + 2  # of 6: 1.8, rounded
    assert _returns(path, keep_good=0) == [0, 4, 1]
    assert _returns(path, keep_good=0, good_return=4.5) == [0, 4, 1]
    assert _returns(path, keep_good=0, good_return=4) == [0, 1]
    assert _returns(path, keep_good=0, good_return=11) == RETURNS


@pytest.mark.long
def test_the_kept_ones_are_chosen_uniformly(tmp_path):
    path = _save(tmp_path / "b", [0, 1, 1, 1])
    draws = [tuple(np.flatnonzero(_which(path, keep_good=2 / 3, seed=seed))) for seed in range(60)]
    counts = [draws.count(pair) for pair in [(0, 1), (0, 2), (1, 2)]]
    assert sum(counts) == 60 and min(counts) >= 10


def _which(path, **options):
    """Whether each of the episodes 1, 2, 3 was kept, by their first actions."""
    kept = {episode.action.tobytes() for episode in datasets.load(path, toys.SPEC, **options)}
    return [episode.action.tobytes() in kept for episode in datasets.load(path, toys.SPEC)[1:]]


def test_of_vector_rewards_the_first_counts(tmp_path):
    spec = dataclasses.replace(toys.SPEC, reward=ArraySpec((2,)))
    rewards = np.zeros((3, 1, 2), np.float32)
    rewards[:, 0] = [[0, 9], [1, 0], [2, 5]]
    episodes = [toys.episode(spec, 1, seed=number)._replace(reward=reward) for number, reward in enumerate(rewards)]
    datasets.save(tmp_path / "a", episodes, spec, environment="probe:reach", policy="random")
    toys.assert_same(datasets.load(tmp_path / "a", spec, keep_good=0), episodes[:1])


def test_a_choice_that_leaves_nothing_is_refused(tmp_path):
    path = _save(tmp_path / "b", [3, 3])
    with pytest.raises(
        datasets.DatasetError, match=r"every episode of .*b returns at least 3, and keeping 0 of these leaves none\.$"
    ):
        datasets.load(path, toys.SPEC, keep_good=0)
    assert _returns(path, keep_good=0.5) == [3]


@pytest.mark.parametrize("keep_good", [-0.1, 1.1, float("nan")])
def test_a_fraction_lies_from_0_to_1(path, keep_good):
    with pytest.raises(datasets.DatasetError, match=r"keep_good is the fraction .*, 0 to 1, not"):
        datasets.load(path, toys.SPEC, keep_good=keep_good)


def test_what_is_no_dataset_is_told_what_would_be(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    for name in ("folder", "notes.txt"):
        for read in (lambda path: datasets.load(path, toys.SPEC), datasets.environment):
            with pytest.raises(
                datasets.DatasetError, match=r"is no dataset that is known here: neither a Minari .* RL Unplugged's"
            ):
                read(str(tmp_path / name))
    for name in ("missing", "missing-*"):
        with pytest.raises(datasets.DatasetError, match=r"there is no dataset .*missing"):
            datasets.load(tmp_path / name, toys.SPEC)
    assert issubclass(datasets.DatasetError, ValueError)


def test_importing_it_imports_no_library_of_a_format():
    code = "import acme_agents.datasets, sys; print(*{'tensorflow', 'minari', 'gymnasium', 'h5py'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.strip() == ""
