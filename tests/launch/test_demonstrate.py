"""An environment's expert acts, or chance in its place, and a dataset has what they did."""

import json
import pathlib

import numpy as np
import pytest

from acme_agents import datasets, environments
from acme_agents.core.types import Trajectory
from acme_agents.launch import main as cli


def _demonstrate(environment: str, path: pathlib.Path, *options: str) -> list[Trajectory]:
    """Runs the command; returns what it wrote."""
    cli.main(("demonstrate", environment, "--dataset", str(path), *options))
    return datasets.load(path, environments.spec(environments.make(environment, 0)))


def test_the_expert_of_the_deep_sea_finds_the_treasure(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trajectories = _demonstrate("deep-sea:10", tmp_path / "sea-v0", "--episodes", "2")
    assert capsys.readouterr().out == f"{tmp_path / 'sea-v0'}: 2 episodes, mean return 0.99\n"
    assert [len(trajectory.reward) for trajectory in trajectories] == [10, 10]
    for trajectory in trajectories:
        np.testing.assert_allclose(trajectory.reward.sum(), 0.99, rtol=1e-5)
        np.testing.assert_array_equal(trajectory.discount, [1] * 9 + [0])
        np.testing.assert_array_equal(np.argwhere(trajectory.observation)[:, 2], range(10))  # right, and right again
    assert datasets.environment(tmp_path / "sea-v0") == "deep-sea:10"
    metadata = json.loads((tmp_path / "sea-v0" / "data" / "metadata.json").read_text())
    assert metadata["algorithm_name"] == "scripted expert, 0% random actions"


def test_random_actions_come_with_their_chance(tmp_path: pathlib.Path) -> None:
    expert, same, noisy, again, other = (
        _demonstrate("key-door:6", tmp_path / f"{i}-v0", "--episodes", "30", *options)
        for i, options in enumerate(
            [
                (),
                ("--seed", "0"),
                ("--random-actions", "0.2"),
                ("--random-actions", "0.2"),
                ("--random-actions", "0.2", "--seed", "1"),
            ]
        )
    )
    lengths = [
        [len(trajectory.reward) for trajectory in trajectories] for trajectories in (expert, same, noisy, again, other)
    ]
    assert lengths[0] == lengths[1] and lengths[2] == lengths[3] and lengths[3] != lengths[4]
    # Every episode of the expert ends at the goal. A random action is the best one in a case of five, and any other one
    # costs a step or two, or more where it moved away.
    assert all(trajectory.reward.sum() == 1 for trajectory in expert)
    assert 1.15 < sum(lengths[2]) / sum(lengths[0]) < 1.7


def test_all_random_actions_are_uniform(tmp_path: pathlib.Path) -> None:
    trajectories = _demonstrate("key-door:6", tmp_path / "random-v0", "--episodes", "30", "--random-actions", "1")
    actions = np.concatenate([trajectory.action for trajectory in trajectories])
    np.testing.assert_allclose(np.bincount(actions, minlength=5) / len(actions), 0.2, atol=0.04)
