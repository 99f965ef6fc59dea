"""An experiment's dataset is read as its fields say, and its actions as its environment takes them."""

import dataclasses
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from acme_agents import datasets
from acme_agents.agents import r2d2
from acme_agents.core import amounts
from acme_agents.experiments import Experiment, making
from acme_agents.launch import commands, parsing
from acme_agents.replay import chunks, sizes
from acme_agents.replay.device_replay import FixedRing
from acme_agents.replay.rotating_ring import RotatingRing
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


_LEARN = """
import dataclasses, resource, sys
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.experiments import Experiment
from acme_agents.replay.transport import NoReceiver
from acme_agents.runtime import replays
import jax.numpy as jnp

experiment = Experiment(
    "bc", "gym:Pendulum-v1", dataset=sys.argv[1], dataset_memory=sys.argv[2], max_steps=0, max_updates=1
)
steps, replay = replays.specs(experiment)
replay = dataclasses.replace(replay, batch_size=4096)
core = LearnerCore(
    lambda key: jnp.zeros(()), lambda state, batch: (state, UpdateOutput({"reward": batch.reward.mean()})), lambda s: s
)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
held = replays.on_device(experiment, steps, replay, core, NoReceiver(), lambda new: None)
held.recover()
done, state = 0, jnp.zeros(())
while done < 1200:
    number = int(min(held.ingest(), 16))
    state, metrics, _ = held.update(state, done, number)
    done += number
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10, held.size)
"""


@pytest.mark.slow
def test_memory_stays_within_what_was_asked_for(tmp_path):
    """4 million rows of 25 bytes in memory: 95 MiB, and thrice that while they are loaded."""
    num_rows, length = 4_000_000, 200
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["observations"] = np.random.default_rng(0).random((num_rows, 3), np.float32)
        file["actions"], file["rewards"] = np.zeros((num_rows, 1), np.float32), np.zeros(num_rows, np.float32)
        file["terminals"], file["timeouts"] = np.zeros(num_rows, bool), np.arange(num_rows) % length == length - 1
    command = [sys.executable, "-c", _LEARN, str(tmp_path / "a.hdf5"), "10%"]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=True)
    mebibytes, size = map(float, result.stdout.split())
    assert 0.08 * num_rows < size < 0.1 * num_rows
    assert mebibytes < 9.5 + 80  # 32 MB of the file are read at once, and some is JAX's, for what it compiles.


def test_flags_say_so_too(experiment):
    train = commands.Train(
        env="gym:Pendulum-v1", dataset=experiment.dataset, updates=1, bad_episodes="skip", clip_actions=True
    )
    made = parsing.to_experiment("bc", train)
    assert (made.bad_episodes, made.clip_actions) == ("skip", True)


def _source(experiment, monkeypatch, tmp_path, **changes):
    """What a learner draws the dataset's items from."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    experiment = dataclasses.replace(experiment, **changes)
    return replays._dataset_source(experiment, *replays.specs(experiment))


@pytest.fixture
def large(experiment, tmp_path):
    """5,000 rows of 29 bytes with where their items begin, in episodes of 50."""
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        file["observations"], file["actions"] = np.zeros((5000, 3), np.float32), np.ones((5000, 1), np.float32)
        file["rewards"], file["terminals"] = np.zeros(5000), np.arange(5000) % 50 == 49
        file["timeouts"] = np.zeros(5000)
    return dataclasses.replace(experiment, dataset=str(tmp_path / "b.hdf5"))


def test_a_part_is_in_memory_where_that_is_asked_for_or_where_not_all_fits(large, monkeypatch, tmp_path):
    assert isinstance(_source(large, monkeypatch, tmp_path), FixedRing)
    part = _source(large, monkeypatch, tmp_path, dataset_memory="40%")
    assert isinstance(part, RotatingRing) and not part.is_whole and part.num_items == 5000
    assert _source(large, monkeypatch, tmp_path, dataset_memory="1GiB").is_whole
    monkeypatch.setattr(sizes, "free_memory", lambda: 100_000)
    part = _source(large, monkeypatch, tmp_path)
    assert isinstance(part, RotatingRing) and not part.is_whole
    part.recover()
    assert 0 < part.size * 29 < 50_000  # half of what is free


def test_the_replay_server_takes_a_dataset_whole(large):
    changes = {"agent": "r2d2", "config": r2d2.Config(), "environment": "probe:memory", "max_steps": 10}
    experiment = dataclasses.replace(large, dataset_memory="40%", **changes)
    with pytest.raises(ValueError, match=r"holds the whole dataset: leave --dataset-memory out, or .*--replay learner"):
        replays.specs(experiment)
    replays.specs(dataclasses.replace(experiment, replay="learner"))


@pytest.mark.parametrize("amount", ["20", "0%", "101%", "1TB", "-1GiB", "1.2.3MiB", ""])
def test_what_is_no_amount_of_memory_is_refused(experiment, amount):
    with pytest.raises(
        ValueError, match=r"--dataset-memory is a part of the dataset or an amount, such as 20% or 4GiB"
    ):
        dataclasses.replace(experiment, dataset_memory=amount)


def test_amounts():
    assert amounts.num_bytes("20%", 1000) == 200
    assert amounts.num_bytes("1.5 GiB", 0) == 3 * 2**29
    assert amounts.num_bytes("8mib", 0) == 2**23
    with pytest.raises(ValueError, match="is for a dataset"):
        Experiment("bc", "probe:sign", dataset_memory="20%")
