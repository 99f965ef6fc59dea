"""An experiment's dataset is read as its fields say, and its actions as its environment takes them."""

import dataclasses

import h5py
import numpy as np
import pytest

from acme_agents import datasets
from acme_agents.experiments import Experiment, making
from acme_agents.launch import commands, main
from acme_agents.replay import chunks
from acme_agents.runtime import replays


@pytest.fixture
def experiment(tmp_path):
    """Pendulum's actions lie in [-2, 2]; of two episodes of three rows one has an action of 2.5."""
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["observations"] = np.zeros((6, 3), np.float32)
        file["actions"] = np.float32([[1], [1], [1], [2.5], [1], [1]])
        file["rewards"], file["terminals"] = np.zeros(6), np.arange(6) % 3 == 2
        file["timeouts"] = np.zeros(6)
    return Experiment("bc", "gym:Pendulum-v1", dataset=str(tmp_path / "a.hdf5"), max_steps=0, max_updates=1)


def _load(experiment, **changes):
    experiment = dataclasses.replace(experiment, **changes)
    spec = experiment.environment_spec()
    steps = chunks.step_spec(making.make_agent(experiment), spec)
    found = replays.load_dataset(experiment, steps, making.replay_spec(experiment, spec))
    return [episode.action.ravel().tolist() for episode in found]


def test_bad_episodes_are_refused_skipped_or_clipped(experiment):
    with pytest.raises(
        datasets.DatasetError, match=r"outside \[-2, 2\]: actions\[0, 0\] is 2.5\. Of 2 episodes 1 is bad"
    ):
        _load(experiment)
    assert _load(experiment, bad_episodes="skip") == [[0.5, 0.5, 0.5]]
    assert _load(experiment, clip_actions=True) == [[0.5, 0.5, 0.5], [1, 0.5, 0.5]]


def test_flags_say_so_too(experiment):
    train = commands.Train(
        env="gym:Pendulum-v1", dataset=experiment.dataset, updates=1, bad_episodes="skip", clip_actions=True
    )
    made = main._experiment("bc", train)
    assert (made.bad_episodes, made.clip_actions) == ("skip", True)
