"""`acme-agents runs`: what there is below a directory, and how far each has come."""

import json
import os
import pathlib

import pytest

from acme_agents.core import errors
from acme_agents.launch import main as cli
from acme_agents.launch import run_dir, runs
from acme_agents.runtime import loggers


def _make(path: pathlib.Path, changed: float, rows: int, *, checkpoint: bool = True, **fields) -> pathlib.Path:
    """A run directory whose actor has ended an episode of 100 steps every two seconds."""
    path.mkdir(parents=True)
    config = {"agent": "mpo", "environment": "probe:reach", "base": None, "max_steps": 1_000, "max_updates": None}
    (path / "config.json").write_text(json.dumps(config | fields))
    actor, evaluator = (loggers.CsvTable(path / f"{name}.csv") for name in ("actor", "evaluator"))
    for i in range(1, rows + 1):
        common = {"actor_steps": 100 * i, "learner_steps": 25 * i, "walltime": 2.0 * i}
        actor.write(common | {"episode_return": 1.0})
        evaluator.write(common | {"episode_return": 10.0 * i})
    for table in path.glob("*.csv"):
        os.utime(table, (changed, changed))
    if checkpoint:
        (path / "checkpoints").mkdir()
        (path / "checkpoints" / f"{25 * rows:012d}.npz").touch()
    return path


def test_runs_are_found_at_any_depth_with_state_progress_return_and_speed(tmp_path):
    _make(tmp_path / "done", 900.0, 10)
    _make(tmp_path / "deep" / "stopped", 800.0, 4)
    _make(tmp_path / "begun", 700.0, 0, checkpoint=False)
    held = _make(tmp_path / "going", 990.0, 2, agent="rnd", base={"agent": "ppo", "config": {}})
    _make(tmp_path / "seeds", 0.0, 0, checkpoint=False)
    _make(tmp_path / "seeds" / "seed-3", 600.0, 1)
    cycles = {"cycles": 3, "cycle_updates": 40, "offline_updates": 5, "max_steps": None}
    _make(tmp_path / "in cycles", 550.0, 5, **cycles)
    broken = _make(tmp_path / "broken", 500.0, 1)
    (broken / "actor.csv").write_text("actor_steps,learner_steps\n1\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"name": "another program"}')
    with run_dir.held(held):
        found = runs.find(tmp_path)
    assert [(run.path.relative_to(tmp_path).as_posix(), run.state) for run in found] == [
        ("going", "running"),
        ("done", "finished"),
        ("deep/stopped", "stopped"),
        ("seeds/seed-3", "stopped"),
        ("in cycles", "finished"),
        ("begun", "begun"),
        ("broken", "damaged"),
    ]
    table = list(runs.lines(found, tmp_path, now=1_000.0))
    words = "going rnd around ppo probe:reach running 200/1,000 20% 50 20.0 50 steps/s 10 s ago"
    assert table[1].split() == words.split()
    assert table[2].split()[3:] == [
        "finished",
        "1,000/1,000",
        "100%",
        "250",
        "100.0",
        "50",
        "steps/s",
        "2",
        "min",
        "ago",
    ]


def test_the_command_prints_them_and_says_that_there_are_none(tmp_path, capsys):
    cli.main(["runs", str(tmp_path)])
    assert capsys.readouterr().out == f"There is no run below {tmp_path}.\n"
    _make(tmp_path / "one", 900.0, 2)
    cli.main(["runs", str(tmp_path)])
    assert capsys.readouterr().out.splitlines()[1].startswith("one  mpo    probe:reach  stopped  200/1,000  20%")
    with pytest.raises(errors.UserError, match="There is no directory"):
        runs.find(tmp_path / "nothing")
