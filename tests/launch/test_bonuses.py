"""Bonuses on the command line: their options, those of the agent that they go around, and their curves."""

import dataclasses
import importlib
import json
import sys

import pytest

from acme_agents.core import errors
from acme_agents.experiments import Base, Experiment, registry
from acme_agents.launch import main, plot, run_dir
from acme_agents.launch.options import Options


def test_a_run_continues_with_the_base_that_it_had(tmp_path):
    def opened(config=None, *, base="dqn", resume):
        around = Base(base, registry.load(base).Config(**config or {}))
        experiment = Experiment("rnd", "probe:choice", base=around)
        with run_dir.opened(tmp_path, experiment, "in-process", Options(), resume=resume):
            pass

    opened(resume=False)
    with pytest.raises(errors.UserError, match=r"is a run with learning_rate 0\.0005, not 1\.0: leave that, or begin"):
        opened({"learning_rate": 1.0}, resume=True)
    with pytest.raises(errors.UserError, match="is a run with agent 'dqn', not 'ppo': leave that, or begin"):
        opened(base="ppo", resume=True)


def test_options_of_a_bonus_and_of_its_base(tmp_path, monkeypatch, capsys):
    seen = []
    launch_run = importlib.import_module("acme_agents.launch.run")
    monkeypatch.setattr(launch_run, "run", lambda experiment, **_: seen.append(experiment) or sys.exit(0))

    def train(*flags):
        with pytest.raises(SystemExit):
            main.main(["train", "rnd", *flags])
        return seen[-1]

    given = ("--base.agent", "dqn", "--base.config.n-step", "2", "--config.weight", "0.5", "--env", "probe:choice")
    experiment = train(*given)
    assert experiment.base == Base("dqn", registry.load("dqn").Config(n_step=2)) and type(experiment.base) is Base
    assert experiment.config.weight == 0.5 and experiment.agent == "rnd"
    with run_dir.opened(tmp_path, experiment, "in-process", Options(), resume=False):
        pass
    again = train("--base.agent=dqn", "--run-dir", str(tmp_path), "--resume", "--steps", "9")
    assert again == dataclasses.replace(experiment, max_steps=9)
    assert train("--run-dir", str(tmp_path), "--resume", "--steps", "9") == again
    with pytest.raises(SystemExit):
        main.main(["resume", str(tmp_path), "--steps", "8"])
    assert seen[-1] == dataclasses.replace(experiment, max_steps=8)
    capsys.readouterr()
    main.main(["train", "rnd", "--help"])
    assert "usage: acme-agents train rnd --base.agent AGENT --env ENVIRONMENT [OPTIONS]" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main.main(["train", "rnd", "--base.agent", "ppo", "--run-dir", str(tmp_path), "--resume"])
    assert "is a run with base.agent 'dqn', not 'ppo'" in capsys.readouterr().err
    main.main(["list"])
    assert "bonuses, which go around an agent:\n" in capsys.readouterr().out


def test_curves_are_told_apart_by_bonus_and_base(tmp_path):
    labels = []
    for agent, base in (("rnd", Base("dqn")), ("rnd", Base("ppo")), ("dqn", None)):
        directory = tmp_path / f"{agent}-{base and base.agent}"
        directory.mkdir()
        (directory / "config.json").write_text(Experiment(agent, "probe:choice", base=base).to_json())
        (directory / "evaluator.csv").write_text("actor_steps,learner_steps,walltime,episode_return\n1,1,1.0,0.5\n")
        labels.append(plot.load(directory, metric="episode_return", table="evaluator", x="actor_steps").agent)
    assert labels == ["rnd around dqn", "rnd around ppo", "dqn"]
    assert json.loads((tmp_path / "rnd-dqn" / "config.json").read_text())["base"]["config"]["n_step"] == 5
