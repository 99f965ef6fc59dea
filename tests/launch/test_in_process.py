"""One process: equal seeds give equal bytes, and a stopped run goes on."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from acme_agents.agents import dqn, mpo, r2d2
from acme_agents.core import checkpoint
from acme_agents.experiments import Base, Experiment, registry
from acme_agents.exploration import rnd
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


_SEQUENCES = dataclasses.replace(
    _EXPERIMENT,
    agent="r2d2",
    environment="probe:memory",
    config=r2d2.Config(
        torso_layers=(8,), lstm_size=8, head_layers=(8,), burn_in_length=2, trace_length=8, sequence_period=4,
        batch_size=16, min_replay_size=50, max_replay_size=200, samples_per_insert=16.0,
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


@pytest.mark.parametrize("experiment", [_PRIORITISED, _SEQUENCES])
def test_equal_seeds_give_equal_bytes_with_priorities_and_sequences_too(
    tmp_path: pathlib.Path, experiment: Experiment
) -> None:
    run(experiment, run_dir=tmp_path / "first")
    _assert_repeats(experiment, tmp_path / "first", tmp_path)


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


def test_update_budget_and_a_line_where_several_actors_are_asked_for(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    experiment = dataclasses.replace(_EXPERIMENT, max_steps=None, max_updates=37, num_actors=2)
    run(experiment, run_dir=tmp_path / "run")
    assert "one process has one actor, not 2: --launcher processes has more" in "".join(capfd.readouterr())
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


_BLOCKED = """
import importlib.abc, json, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "reverb", "launchpad", "courier", "acme"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
from acme_agents.launch import main
for arguments in json.loads(sys.argv[1]):
    main.main(arguments)
"""


_BATCH = ("--config.min-replay-size", "20", "--config.batch-size", "4", "--config.samples-per-insert", "2")
_POLICY = ("--config.policy-layers", "4")
_CRITIC = (*_BATCH, *_POLICY, "--config.critic-layers", "4")
_RECURRENT = (
    *(*_BATCH, "--config.torso-layers", "4", "--config.head-layers", "4", "--config.lstm-size", "4"),
    *("--config.trace-length", "4", "--config.burn-in-length", "1", "--config.sequence-period", "2"),
)
# What each agent is trained with, the agents before those that learn from what these recorded.
_SMALLEST = {
    "mpo": ("--env", "probe:reach", *_CRITIC, "--config.critic", "scalar", "--record", "data/mpo"),
    "r2d2": ("--env", "probe:memory", *_RECURRENT, "--record", "data/r2d2"),
    "bc": ("--env", "probe:reach", "--dataset", "data/mpo", *_BATCH, *_POLICY),
    "crr": ("--env", "probe:reach", "--dataset", "data/mpo", *_CRITIC),
    "r2d3": ("--env", "probe:memory", "--dataset", "data/r2d2", *_RECURRENT),
    "cca": ("--env", "probe:choice", "--config.torso-layers", "4", "--config.batch-size", "2"),
    "d4pg": ("--env", "probe:reach", *_CRITIC),
    "ddpg": ("--env", "probe:reach", *_CRITIC),
    "dime": ("--env", "probe:reach", *_CRITIC),
    "dqn": ("--env", "probe:choice", *_BATCH, "--config.torso-layers", "4", "--config.head-layers", "4"),
    "fma-pg": ("--env", "probe:choice", *_POLICY, "--config.unroll-length", "16", "--config.batch-size", "2"),
    "hca": ("--env", "probe:choice", "--config.torso-layers", "4", "--config.batch-size", "2"),
    "impala": ("--env", "probe:choice", "--config.torso-layers", "4", "--config.batch-size", "2"),
    "pmpo": ("--env", "probe:reach", *_CRITIC),
    "ppo": ("--env", "probe:choice", *_POLICY, "--config.unroll-length", "16", "--config.batch-size", "2"),
    "qsarsa": ("--env", "probe:reach", "--dataset", "data/mpo", *_CRITIC),
    "sac": ("--env", "probe:reach", *_CRITIC),
    "td3": ("--env", "probe:reach", *_CRITIC),
    "vmpo": (
        "--env",
        "probe:choice",
        "--config.torso-layers",
        "4",
        "--config.unroll-length",
        "16",
        "--config.batch-size",
        "2",
    ),
}


# Bonuses, each around an agent of another kind of experience, and their layers and sizes.
_BYOL = ("encoder-layers", "embedding-size", "memory-size")
_BONUSES = {
    "byol-explore": ("r2d2", (*_BYOL, "predictor-layers")),
    "byol-hindsight": ("impala", (*_BYOL, "generator-layers", "reconstructor-layers", "critic-layers")),
    "gem": ("sac", ("rarity-layers", "embedding-layers", "contrast-size")),
    "rnd": ("ppo", ("target-layers", "predictor-layers", "embedding-size")),
}


def _around(bonus: str) -> tuple[str, ...]:
    """The arguments that train a bonus around its agent, both of the smallest configuration."""
    base, its_sizes = _BONUSES[bonus]
    arguments = [argument.replace("--config.", "--base.config.") for argument in _SMALLEST[base]]
    sizes = [word for size in its_sizes for word in (f"--config.{size}", "4")]
    return bonus, "--base.agent", base, *arguments, *sizes


def _train_without_the_others(directory: pathlib.Path, runs: dict[str, tuple[str, ...]]) -> None:
    """Trains, in one process and by these arguments after `train`, each run to a checkpoint; resumes the first."""
    first = next(iter(runs))
    commands = [["train", *arguments, "--eval-every", "0", "--run-dir", name] for name, arguments in runs.items()]
    commands += [["resume", first, "--steps", "300"], ["evaluate", first, "--episodes", "1"]]
    blocked = [sys.executable, "-c", _BLOCKED, json.dumps(commands)]
    env = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "true"}  # Each program is compiled once, and runs a moment.
    ended = subprocess.run(blocked, cwd=directory, env=env, capture_output=True, text=True, timeout=580)
    assert ended.returncode == 0, (ended.returncode, ended.stdout[-2000:], ended.stderr[-4000:])
    for name in runs:
        assert checkpoint.steps(directory / name / "checkpoints")[-1] > 0
    assert loggers.read_csv(directory / first / "actor.csv")["actor_steps"][-1] == 300


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_agent_needs_tensorflow_reverb_or_launchpad(tmp_path: pathlib.Path) -> None:
    assert set(_SMALLEST) == set(registry.AGENTS)
    offline = ("bc", "crr", "qsarsa")
    budgets = {agent: ("--updates", "20") if agent in offline else ("--steps", "200") for agent in _SMALLEST}
    _train_without_the_others(tmp_path, {a: (a, *arguments, *budgets[a]) for a, arguments in _SMALLEST.items()})
    assert loggers.read_csv(tmp_path / "r2d2" / "actor.csv")["actor_steps"][-1] == 200


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_bonus_needs_tensorflow_reverb_or_launchpad(tmp_path: pathlib.Path) -> None:
    assert set(_BONUSES) == set(registry.BONUSES)
    _train_without_the_others(tmp_path, {bonus: (*_around(bonus), "--steps", "200") for bonus in _BONUSES})


# The second with a bonus around it, whose state goes along.
_AROUND = dataclasses.replace(
    _SEQUENCES, agent="rnd", config=rnd.Config(), base=Base(_SEQUENCES.agent, _SEQUENCES.config)
)


@pytest.mark.parametrize(("experiment", "held"), [(_EXPERIMENT, 2000), (_AROUND, 200)])
def test_a_run_continues_as_several_processes_and_as_one_again(
    tmp_path: pathlib.Path, experiment: Experiment, held: int
) -> None:
    """What replay held comes along each way: the updates of the next part begin at once."""
    run_dir, updates = tmp_path / "run", []
    for steps, launcher in ((1000, "in-process"), (1500, "processes"), (2000, "in-process")):
        part = dataclasses.replace(experiment, max_steps=steps, eval_every=0)
        assert run(part, launcher=launcher, run_dir=run_dir, resume=run_dir.exists()).finished  # type: ignore[arg-type]
        updates.append(checkpoint.steps(run_dir / "checkpoints")[-1])
    actor = loggers.read_csv(run_dir / "actor.csv")
    assert actor["actor_steps"][-1] == 2000
    config = (experiment.base or experiment).config
    items = 2000 if held == 2000 else 400  # Episodes of five steps are one sequence each.
    expected = (items - config.min_replay_size) * config.samples_per_insert / config.batch_size
    assert updates == sorted(set(updates)) and updates[-1] == pytest.approx(expected, rel=0.1)
