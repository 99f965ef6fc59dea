"""One process: equal seeds give equal bytes, and a stopped run goes on."""

import dataclasses
import os
import pathlib
import signal
import threading
import time

import numpy as np
import pytest

from acme_agents.agents import dqn, mpo
from acme_agents.core import checkpoint
from acme_agents.experiments import Experiment
from acme_agents.launch import run
from acme_agents.runtime import loggers

pytestmark = pytest.mark.slow

_CONFIG = mpo.Config(
    policy_layers=(32,), critic_layers=(32,), num_actions=4, batch_size=16, min_replay_size=100, samples_per_insert=4.0
)
_EXPERIMENT = Experiment(
    agent="mpo", environment="probe:reach", config=_CONFIG, max_steps=2000, eval_every=500, eval_episodes=2, seed=3
)


def _without_time(path: pathlib.Path) -> list[str]:
    """The lines of a table, its time column left out."""
    lines = [line.split(",") for line in path.read_text().splitlines()]
    time_column = lines[0].index("walltime")
    return [",".join(cell for i, cell in enumerate(line) if i != time_column) for line in lines]


_PRIORITISED = dataclasses.replace(
    _EXPERIMENT,
    agent="dqn",
    environment="gym:CartPole-v1",
    config=dqn.Config(
        torso_layers=(32,), head_layers=(32,), batch_size=16, min_replay_size=100, max_replay_size=500,
        samples_per_insert=4.0,
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The run directory of `_EXPERIMENT`, which has run to its end."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    result = run(_EXPERIMENT, run_dir=run_dir)
    evaluations = loggers.read_csv(run_dir / "evaluator.csv")
    assert result.finished and result.evaluation_return == evaluations["episode_return"][-1]
    return run_dir


def test_equal_seeds_give_equal_bytes(tmp_path: pathlib.Path, whole: pathlib.Path) -> None:
    _assert_repeats(_EXPERIMENT, whole, tmp_path)


def test_equal_seeds_give_equal_bytes_with_priorities_too(tmp_path: pathlib.Path) -> None:
    run(_PRIORITISED, run_dir=tmp_path / "first")
    _assert_repeats(_PRIORITISED, tmp_path / "first", tmp_path)


def _assert_repeats(experiment: Experiment, first_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run(experiment, run_dir=tmp_path / "second")
    run(dataclasses.replace(experiment, seed=4), run_dir=tmp_path / "other")
    for table in loggers.TABLES:
        first, second, other = (
            _without_time(run_dir / f"{table}.csv") for run_dir in (first_dir, tmp_path / "second", tmp_path / "other")
        )
        assert len(first) >= 3
        assert first == second
        assert first != other


def test_budget_samples_and_evaluations_are_exact(whole: pathlib.Path) -> None:
    actor, learner, evaluator = (loggers.read_csv(whole / f"{name}.csv") for name in loggers.TABLES)
    # Forty episodes of fifty steps; the evaluations come with the chunk that passes their step, and at the end.
    np.testing.assert_array_equal(actor["actor_steps"], np.arange(50, 2001, 50))
    assert np.all(evaluator["actor_steps"] - [500, 1000, 1500, 2000, 2000] < 50)
    assert evaluator["actor_steps"][-1] == 2000
    # 1,900 transitions after the first hundred, four samples of each, sixteen in an update.
    assert evaluator["learner_steps"][-1] == 1900 * 4 // 16
    assert np.all(learner["learner_steps"] - [200, 400, 475] < 16) and learner["learner_steps"][-1] == 475


def test_update_budget(tmp_path: pathlib.Path) -> None:
    experiment = dataclasses.replace(_EXPERIMENT, max_steps=None, max_updates=37)
    run(experiment, run_dir=tmp_path / "run")
    assert loggers.read_csv(tmp_path / "run" / "evaluator.csv")["learner_steps"][-1] == 37
    assert checkpoint.steps(tmp_path / "run" / "checkpoints")[-1] == 37


def test_a_stopped_run_goes_on(tmp_path: pathlib.Path) -> None:
    run_dir = tmp_path / "run"
    experiment = dataclasses.replace(_EXPERIMENT, max_steps=200_000)
    episodes = 20
    for signum in (signal.SIGINT, signal.SIGTERM):
        killer = threading.Thread(target=_signal_once_learning, args=(run_dir, episodes, signum), daemon=True)
        killer.start()
        stopped = run(experiment, run_dir=run_dir, resume=run_dir.exists())
        killer.join()
        assert not stopped.finished
        (*_, updates) = checkpoint.steps(run_dir / "checkpoints")
        before = loggers.read_csv(run_dir / "actor.csv")
        assert updates > 0 and len(before["actor_steps"]) >= episodes - 1
        episodes = len(before["actor_steps"]) + 20

    budget = int(before["actor_steps"][-1]) + 1000
    resumed = run(dataclasses.replace(experiment, max_steps=budget), run_dir=run_dir, resume=True)
    after = loggers.read_csv(run_dir / "actor.csv")
    assert resumed.finished
    assert checkpoint.steps(run_dir / "checkpoints")[-1] > updates
    # The log goes on where it was, and nothing is counted twice.
    np.testing.assert_array_equal(after["actor_steps"][: len(before["actor_steps"])], before["actor_steps"])
    assert np.all(np.diff(after["actor_steps"]) > 0) and np.all(np.diff(after["learner_steps"]) >= 0)
    assert budget - 50 <= after["actor_steps"][-1] <= budget
    # The restored replay counts: samples per insert is held over all parts, but for the steps of two cut-off chunks.
    assert after["learner_steps"][-1] == pytest.approx((budget - 100) * 4 / 16, abs=2 * 4 * 70 / 16)


def _signal_once_learning(run_dir: pathlib.Path, episodes: int, signum: int) -> None:
    """Sends this process a signal when so many episodes have been logged, of which the first two are all random."""
    table = run_dir / "actor.csv"
    while not table.exists() or len(table.read_text().splitlines()) < episodes:
        time.sleep(0.05)
    os.kill(os.getpid(), signum)
