"""`acme-agents resume`: a run goes on as it was launched, but for what is given anew; and `--version`."""

import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

import acme_agents
from acme_agents.agents import mpo
from acme_agents.experiments import Experiment
from acme_agents.launch import main as cli
from acme_agents.launch import run_dir as run_dir_lib
from acme_agents.launch import versions
from acme_agents.launch.options import Options, Role, Roles
from tests.launch.running import rows, started, wait

_OPTIONS = Options(
    ports=(21_000, 21_999), address="10.0.0.1:6379", roles=Roles(actor=Role(cpus=0.5, max_restarts=2)), wandb=True
)


@pytest.fixture
def run_dir(tmp_path: pathlib.Path) -> pathlib.Path:
    """The directory of a run that was started on Ray with three actors."""
    path = tmp_path / "a run"
    config = mpo.Config(critic="categorical", policy_layers=(4, 3))
    experiment = Experiment(
        "mpo",
        "probe:sign",
        config=config,
        seed=7,
        num_actors=3,
        environments_per_actor=4,
        max_steps=None,
        max_updates=50,
    )
    with run_dir_lib.opened(path, experiment, "ray", _OPTIONS, resume=False):
        pass
    return path


@pytest.fixture
def resumed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict]:
    """Runs the command line; returns what it would have run."""
    asked: list[dict] = []

    def run(experiment: Experiment, **arguments: object) -> object:
        asked.append({"experiment": experiment, **arguments})
        raise SystemExit(0)

    monkeypatch.setattr(sys.modules["acme_agents.launch.run"], "run", run)

    def call(*arguments: str) -> dict:
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 0
        return asked[-1]

    return call


def test_a_run_goes_on_as_it_was(run_dir: pathlib.Path, resumed: Callable[..., dict]) -> None:
    before = Experiment.from_run_dir(run_dir)
    assert (before.num_actors, before.environments_per_actor, before.config.policy_layers) == (3, 4, (4, 3))
    as_it_was = {"experiment": before, "launcher": "ray", "options": _OPTIONS, "run_dir": run_dir, "resume": True}
    assert resumed("resume", str(run_dir)) == as_it_was
    assert resumed("train", "mpo", "--resume", "--run-dir", str(run_dir)) == as_it_was


@pytest.mark.parametrize("command", [("resume",), ("train", "mpo", "--resume", "--run-dir")])
def test_what_is_given_anew_is_taken(
    run_dir: pathlib.Path, resumed: Callable[..., dict], command: tuple[str, ...]
) -> None:
    anew = (
        "--updates",
        "90",
        "--launcher",
        "processes",
        "--actors",
        "5",
        "--environments-per-actor",
        "2",
        "--roles.actor.max-restarts",
        "9",
    )
    asked = resumed(*command, str(run_dir), *anew, "--ports", "30000", "30001")
    assert asked["launcher"] == "processes"
    assert (asked["experiment"].max_updates, asked["experiment"].num_actors) == (90, 5)
    assert asked["experiment"].environments_per_actor == 2
    assert asked["options"] == Options(
        ports=(30_000, 30_001), address="10.0.0.1:6379", roles=Roles(actor=Role(cpus=0.5, max_restarts=9)), wandb=True
    )
    assert (asked["experiment"].seed, asked["experiment"].config.critic) == (7, "categorical")


def test_files_are_found_from_another_working_directory(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, resumed: Callable[..., dict]
) -> None:
    monkeypatch.chdir(tmp_path)
    experiment = Experiment("dime", "probe:sign", dataset="data", teacher="../teacher", record="new", max_steps=50)
    options = Options(compilation_cache="cache")
    with run_dir_lib.opened(pathlib.Path("run"), experiment, "in-process", options, resume=False):
        pass
    monkeypatch.chdir("/")
    asked = resumed("resume", str(tmp_path / "run"))
    again = asked["experiment"]
    assert (again.dataset, again.record) == (str(tmp_path / "data"), str(tmp_path / "new"))
    assert again.teacher == f"{tmp_path}/../teacher"
    assert asked["options"].compilation_cache == str(tmp_path / "cache")
    with run_dir_lib.opened(tmp_path / "off", experiment, "in-process", Options(compilation_cache="off"), resume=False):
        pass
    assert run_dir_lib.read_launch(tmp_path / "off") == ("in-process", Options(compilation_cache="off"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("resume",), "error: Name the directory of a run: acme-agents resume RUN_DIR [OPTIONS].\n"),
        (("resume", "--steps", "9"), "error: Name the directory of a run: acme-agents resume RUN_DIR [OPTIONS].\n"),
        (("resume", "nowhere"), "error: nowhere is not a run directory: it has no config.json.\n"),
        (("train", "dime", "--resume", "--run-dir", "RUN"), "error: RUN is a run with agent 'mpo', not 'dime': "),
    ],
)
def test_one_sentence(
    run_dir: pathlib.Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(run_dir) if argument == "RUN" else argument for argument in arguments])
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err.replace(str(run_dir), "RUN")


def test_config_json_says_when_and_with_what_a_run_was_started(run_dir: pathlib.Path) -> None:
    experiment = Experiment.from_run_dir(run_dir)
    (start,) = json.loads((run_dir / "config.json").read_text())["starts"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", start["date"])
    assert start["acme_agents"] == acme_agents.__version__ and start["jax"].startswith("0.")
    assert start["python"] == ".".join(map(str, sys.version_info[:3]))
    assert start["commit"] == versions.commit()
    run_dir_lib._write_config(run_dir, experiment, "in-process", Options())  # as a resume does, with any other version
    written = json.loads((run_dir / "config.json").read_text())
    assert [said == start for said in written["starts"][:1]] == [True] and len(written["starts"]) == 2
    assert run_dir_lib.read_launch(run_dir) == ("in-process", Options())
    assert Experiment.from_run_dir(run_dir) == experiment


def test_the_commit_is_this_checkouts_and_nobody_elses(
    repository: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (repository / ".git").exists():
        head = subprocess.run(["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, text=True)
        commit = versions.commit()
        assert commit is not None and commit.removesuffix("-dirty") == head.stdout.strip()
    # Installed into an environment within the user's own repository.
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    package = tmp_path / ".venv" / "site-packages" / "acme_agents"
    package.mkdir(parents=True)
    monkeypatch.setattr(acme_agents, "__file__", str(package / "__init__.py"))
    assert versions.commit() is None


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["--version"])
    said = capsys.readouterr().out
    assert re.fullmatch(rf"acme-agents {re.escape(acme_agents.__version__)}( \([0-9a-f]{{40}}(-dirty)?\))?\n", said)


@pytest.mark.slow
def test_what_is_printed_after_a_stop_continues_the_run(tmp_path: pathlib.Path) -> None:
    """Pasted into a shell, with a path that has to be quoted; with the launcher and the actors that the run had."""
    run_dir = tmp_path / "it's a run"
    tiny = "--config.critic scalar --config.num-actions 4 --config.min-replay-size 100 --config.policy-layers 8"
    tiny += " --config.critic-layers 8 --config.batch-size 8 --config.samples-per-insert 8"
    command = f"train mpo --env probe:sign --launcher processes --actors 2 --steps 1000000 --eval-every 0 {tiny}"
    with started(run_dir, *command.split()) as process:
        wait(lambda: (rows(run_dir, "actor", "learner_steps") > 0).any(), 120, "updates")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    said = (tmp_path / f"{run_dir.name}.out").read_text().splitlines()[-1]
    assert said.startswith("stopped; continue with: ")
    pasted = said.partition(": ")[2]
    assert shlex.split(pasted)[-2:] == ["resume", str(run_dir)]
    done = int(rows(run_dir, "actor", "actor_steps")[-1])
    finished = subprocess.run(
        f"{pasted} --steps {done + 1000}", shell=True, capture_output=True, text=True, timeout=120, env={**os.environ}
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert rows(run_dir, "actor", "actor_steps")[-1] >= done
    assert (run_dir / "logs" / "actor-1.log").exists() and run_dir_lib.read_launch(run_dir)[0] == "processes"
    assert Experiment.from_run_dir(run_dir).num_actors == 2
