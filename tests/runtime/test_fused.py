"""One compiled program gives the numbers of one process, continues where it was, and runs seeds side by side."""

import csv
import dataclasses
import pathlib
import shutil
import threading

import numpy as np
import pytest

from acme_agents.core import checkpoint, errors
from acme_agents.experiments import Base, Experiment, registry
from acme_agents.runtime import fused, in_process

_SMALL = {
    "dqn": {"torso_layers": (8,), "head_layers": (8,), "batch_size": 8, "samples_per_insert": 2.0, "n_step": 3},
    "r2d2": {
        **{"torso_layers": (8,), "head_layers": (8,), "lstm_size": 8, "trace_length": 6, "burn_in_length": 2},
        **{"sequence_period": 3, "batch_size": 4},
    },
    "ppo": {
        **{"policy_layers": (8,), "value_layers": (8,), "unroll_length": 16, "batch_size": 2, "num_minibatches": 4},
        "num_epochs": 2,
    },
}


def _experiment(agent: str, environment: str, **fields: object) -> Experiment:
    bonus, _, agent = agent.rpartition(" around ")
    replay = {} if agent == "ppo" else {"min_replay_size": 20, "max_replay_size": 150}
    values = {**_SMALL[agent], **replay, **fields.pop("config", {})}
    config = registry.load(agent).Config(**values)
    fields = {"eval_every": 0, "max_steps": 700, "seed": 3, **fields}
    if bonus:
        return Experiment(bonus, environment, base=Base(agent, config), **fields)
    return Experiment(agent, environment, config=config, **fields)


def _run_fused(
    run_dir: pathlib.Path, *experiments: Experiment, stop: threading.Event | None = None
) -> list[pathlib.Path]:
    run_dirs = [run_dir / str(i) for i in range(len(experiments))]
    for each in run_dirs:
        each.mkdir(parents=True, exist_ok=True)
    fused.run(experiments, run_dirs, stop=stop or threading.Event(), on_status=lambda status: None)
    return run_dirs


def _arrays(run_dir: pathlib.Path) -> dict[str, np.ndarray]:
    """The training state of the newest checkpoint."""
    newest = sorted((run_dir / "checkpoints").glob("*.npz"))[-1]
    with np.load(newest) as archive:
        return {name: array for name, array in archive.items() if array.dtype != np.uint8 and array.dtype.kind in "fiu"}


def _rows(run_dir: pathlib.Path, table: str) -> list[dict[str, str]]:
    with (run_dir / f"{table}.csv").open() as file:
        return [{name: x for name, x in row.items() if name != "walltime"} for row in csv.DictReader(file)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("agent", "environment"),
    [
        ("dqn", "jax:cartpole"),
        ("r2d2", "jax:cartpole"),
        ("dqn", "jax:grid-3"),
        ("ppo", "jax:cartpole"),
        ("rnd around dqn", "jax:grid-3"),
        ("byol-explore around ppo", "jax:grid-3"),
    ],
)
def test_numbers_are_those_of_one_process(tmp_path: pathlib.Path, agent: str, environment: str) -> None:
    """More steps than replay holds, prioritised: bit for bit the same training state and log."""
    experiment = _experiment(agent, environment)
    (run_dir,) = _run_fused(tmp_path / "fused", experiment)
    (other := tmp_path / "in-process").mkdir()
    in_process.run(experiment, other, stop=threading.Event(), on_status=lambda status: None)
    mine, theirs = _arrays(run_dir), _arrays(other)
    assert mine.keys() == theirs.keys() and len(mine) > 3
    for name in mine:
        np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)
    assert _rows(run_dir, "actor")[-20:] == _rows(other, "actor")[-20:]
    if (other / "learner.csv").exists():
        assert _rows(run_dir, "learner") == _rows(other, "learner")


@pytest.mark.slow
@pytest.mark.parametrize(("agent", "environment"), [("dqn", "jax:grid-3"), ("ppo", "jax:cartpole")])
def test_a_bonus_of_no_weight_changes_nothing(tmp_path: pathlib.Path, agent: str, environment: str) -> None:
    alone = _experiment(agent, environment)
    around = _experiment(f"rnd around {agent}", environment)
    around = dataclasses.replace(around, config=dataclasses.replace(around.config, weight=0.0))
    run_dirs = [_run_fused(tmp_path / each.agent, each)[0] for each in (alone, around)]
    assert _rows(run_dirs[0], "actor") == _rows(run_dirs[1], "actor")
    mine, theirs = (_rows(run_dir, "learner") for run_dir in run_dirs)
    assert mine and "bonus_loss" in theirs[0] and len(mine) == len(theirs)
    for name in mine[0]:  # XLA fuses the sums of metrics otherwise in a larger program, and so rounds them otherwise.
        values = [[float(row[name]) for row in table] for table in (mine, theirs)]
        np.testing.assert_allclose(*values, rtol=1e-5, err_msg=name)


@pytest.mark.slow
def test_a_run_of_many_calls_logs_every_update_and_episode(tmp_path: pathlib.Path) -> None:
    """Its program keeps a record of 1,024 rounds for each call."""
    (run_dir,) = _run_fused(tmp_path / "run", _experiment("ppo", "jax:cartpole", max_steps=3_000))
    updates = [int(row["learner_steps"]) for row in _rows(run_dir, "learner")]
    assert updates == list(range(1, len(updates) + 1)) and int(_rows(run_dir, "learner")[-1]["actor_steps"]) > 2_900
    lengths = [int(float(row["episode_length"])) for row in _rows(run_dir, "actor")]
    assert 2_500 < sum(lengths) <= 3_000


@pytest.mark.slow
def test_a_stopped_run_goes_on_as_one_process_would(tmp_path: pathlib.Path) -> None:
    """A fused run and one process continue the same fused checkpoint: equal counts, and equal numbers at the end."""
    first = _experiment("dqn", "jax:grid-3", max_steps=300)
    (run_dir,) = _run_fused(tmp_path / "fused", first)
    shutil.copytree(run_dir, other := tmp_path / "copy")
    more = dataclasses.replace(first, max_steps=600)
    _run_fused(tmp_path / "fused", more)
    in_process.run(more, other, stop=threading.Event(), on_status=lambda status: None)
    mine, theirs = _arrays(run_dir), _arrays(other)
    for name in mine:
        np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)
    steps = [int(row["actor_steps"]) for row in _rows(run_dir, "actor")]
    assert steps == sorted(steps) and 500 < steps[-1] <= 600


@pytest.mark.slow
def test_seeds_side_by_side_are_the_runs_alone(tmp_path: pathlib.Path) -> None:
    """Two seeds in one program: each takes its whole budget and has its own episodes, those that it has alone."""
    one, two = (_experiment("dqn", "jax:grid-3", seed=seed, max_steps=400) for seed in (1, 2))
    both = _run_fused(tmp_path / "both", one, two)
    (alone,) = _run_fused(tmp_path / "alone", two)
    assert _rows(both[0], "actor") != _rows(both[1], "actor")
    mine, theirs = _rows(both[1], "actor"), _rows(alone, "actor")
    num_same = 20  # Before the first updates, whose rounding a batch of seeds may change.
    assert mine[:num_same] == theirs[:num_same]
    for each in both:
        assert 390 < int(_rows(each, "actor")[-1]["actor_steps"]) <= 400


@pytest.mark.slow
def test_many_environments_keep_the_budget_and_the_ratio(tmp_path: pathlib.Path) -> None:
    experiment = _experiment("dqn", "jax:grid-3", environments_per_actor=5, max_steps=703)
    (run_dir,) = _run_fused(tmp_path, experiment)
    meta = checkpoint.read_meta(run_dir / "checkpoints")
    assert meta is not None
    replay = meta["learner"]["replay"]["replay"]
    assert 698 < sum(steps for steps, _ in meta["coordinator"]["lives"].values()) <= 703
    assert 600 < replay["inserted"] <= 703
    owed = 2.0 * (replay["inserted"] - 20) - replay["sampled"]
    assert 0 <= owed < 8 and replay["sampled"] == 8 * meta["learner"]["learner_steps"]


@pytest.mark.parametrize(
    ("environment", "fields", "said"),
    [
        ("gym:Pendulum-v1", {}, "not written in JAX"),
        ("jax:cartpole", {"num_actors": 2}, "has one actor"),
        ("jax:cartpole", {"record": "there"}, "records no dataset"),
        ("jax:cartpole", {"dataset": "there", "max_updates": 1}, "learns from no dataset"),
        ("jax:cartpole", {"replay": "server"}, "has no replay server"),
    ],
)
def test_what_cannot_be_fused_is_refused(environment: str, fields: dict[str, object], said: str) -> None:
    with pytest.raises(errors.UserError, match=said):
        fused.check(_experiment("dqn", environment, **fields))


def test_environments_that_do_not_divide_a_batch_of_unrolls_are_refused() -> None:
    with pytest.raises(errors.UserError, match="batches of 2 unrolls, and 3 environments do not divide that"):
        fused.check(_experiment("ppo", "jax:cartpole", environments_per_actor=3))
