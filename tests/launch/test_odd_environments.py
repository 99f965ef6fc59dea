"""Runs in environments that fail or draw from global generators: what is left is whole, and all are closed."""

import dataclasses
import math
import threading

import jax
import numpy as np
import pytest

from acme_agents import datasets
from acme_agents.agents import mpo
from acme_agents.core import checkpoint, errors
from acme_agents.experiments import Experiment, making
from acme_agents.launch import run
from acme_agents.runtime import in_process, loggers
from tests.environments import odd

_EXPERIMENT = Experiment(
    agent="mpo",
    environment=odd.name("GlobalRandom"),
    config=mpo.Config(
        critic="scalar", policy_layers=(8,), critic_layers=(8,), num_actions=2, batch_size=8, min_replay_size=30,
        samples_per_insert=1.0,
    ),
    max_steps=160,
    eval_every=40,
    eval_episodes=1,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _fresh_log():
    odd.LOG.clear()


def _assert_closed():
    assert odd.LOG["made"] == odd.LOG["closed"]
    assert odd.LOG["open"] <= 2  # the actor's and the evaluator's


def _table(run_dir, name):
    table = loggers.read_csv(run_dir / f"{name}.csv")
    return {column: values.tolist() for column, values in table.items() if column != "walltime"}


@pytest.mark.slow
def test_one_process_is_reproducible_whatever_its_environment_draws_from(tmp_path):
    for name in ("a", "b"):
        np.random.seed(ord(name))
        run(_EXPERIMENT, run_dir=tmp_path / name)
        _assert_closed()
    for table in loggers.TABLES:
        first = _table(tmp_path / "a", table)
        assert len(first["actor_steps"]) >= 1
        assert first == _table(tmp_path / "b", table)
    evaluations = _table(tmp_path / "a", "evaluator")
    assert evaluations["actor_steps"][-1] == 160 and len(evaluations["actor_steps"]) >= 4
    assert odd.LOG["made"] <= 2 * 4  # Evaluations make none of their own.


@pytest.mark.slow
def test_a_run_that_is_stopped_closes_its_environments(tmp_path):
    stop = threading.Event()
    in_process.run(_EXPERIMENT, tmp_path, stop=stop, on_status=lambda status: status.evaluations and stop.set())
    assert odd.LOG["made"] >= 3
    _assert_closed()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "NanObservation",
            r"^the environment returned an observation\[1\] that is nan, in step 10 of its episode 4\.$",
        ),
        ("Raises", r"^the environment raised ConnectionResetError: .* peer, in step 10 of its episode 4\.$"),
    ],
)
def test_an_environment_that_fails_leaves_a_checkpoint_and_the_recording(tmp_path, name, sentence):
    record = tmp_path / "recorded"
    experiment = dataclasses.replace(_EXPERIMENT, environment=odd.name(name), eval_every=0, record=str(record))
    with pytest.raises(errors.EnvironmentFault, match=sentence):
        run(experiment, run_dir=tmp_path / "run")
    _assert_closed()
    (*_, updates) = checkpoint.steps(tmp_path / "run" / checkpoint.DIRECTORY)
    assert updates == math.floor((60 - 30) / 8)
    _, params = making.load_run(tmp_path / "run")
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))
    episodes = datasets.load(record, experiment.environment_spec())
    assert [len(episode.reward) for episode in episodes] == [20, 20, 20]
