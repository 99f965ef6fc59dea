"""A benchmark's runs: side by side, failing, stopped and killed; its directory; the command."""

import contextlib
import errno
import fcntl
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import psutil
import pytest

from acme_agents.core import errors
from acme_agents.launch import commands
from acme_agents.launch import main as cli
from acme_agents.launch import run_dir as run_dir_lib
from acme_agents.launch.benchmark import command, outcomes, plan, report, scheduling, validation
from acme_agents.runtime import loggers
from tests.launch.benchmark import made
from tests.launch.running import wait

# Stands for the command line: does what the agent's name says; leaves when it began and ended beside the run directory.
_PROGRAM = """
import os, pathlib, signal, sys, time
agent, run_dir = sys.argv[2], pathlib.Path(sys.argv[sys.argv.index("--run-dir") + 1])
if agent != "ppo":
    signal.signal(signal.SIGTERM, lambda *_: (print("stopped; continue with: ...", flush=True), os._exit(0)))
run_dir.mkdir()
began = time.monotonic()
time.sleep({"sac": 60, "ppo": 60, "impala": 3}.get(agent, 0.3))
(run_dir / "times").write_text(f"{began} {time.monotonic()}")
if agent == "ddpg":
    print("error: The disk is full of cats: free some space.", file=sys.stderr)
    sys.exit(2)
if agent == "d4pg":
    os.kill(os.getpid(), signal.SIGKILL)
print("final evaluation return 3.0; run directory x")
"""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are the program above, and need no check."""
    monkeypatch.setattr(scheduling, "_PROGRAM", (sys.executable, "-c", _PROGRAM))
    monkeypatch.setattr(scheduling, "_POLL_SECONDS", 0.02)
    monkeypatch.setattr(validation, "check", lambda *_: None)


def _run_all(directory: pathlib.Path, planned: plan.Plan, parallel: int = 1, stop: threading.Event | None = None):
    directory.mkdir(exist_ok=True)
    outcomes.make_directories(directory)
    said: list[str] = []
    stop = stop or threading.Event()
    scheduling.run_all(planned, directory, planned.runs(), parallel=parallel, flags=(), stop=stop, say=said.append)
    return said


def test_a_run_that_fails_keeps_no_other_from_running(tmp_path: pathlib.Path, fake: None) -> None:
    planned = made.make_plan({"all": ["probe:sign"]}, ["ddpg", "d4pg", "td3"], seeds=[0])
    said = _run_all(tmp_path, planned)
    found = [outcomes.read(tmp_path, run) for run in planned.runs()]
    assert [outcome.state for outcome in found] == ["failed", "failed", "finished"]
    assert [outcome.reason for outcome in found] == [
        "The disk is full of cats: free some space",
        "killed by SIGKILL",
        None,
    ]
    assert any(
        line.startswith("failed after 0.0 minutes: ddpg on probe:sign, seed 0: The disk is full") for line in said
    )
    assert "started 3/3: td3 on probe:sign, seed 0" in said
    assert found[2].peak_memory > 2**20 and found[2].hardware == outcomes.hardware()


def test_as_many_runs_go_on_side_by_side_as_are_asked_for(tmp_path: pathlib.Path, fake: None) -> None:
    planned = made.make_plan({"all": ["probe:sign"]}, ["impala"], seeds=[0, 1, 2])
    _run_all(tmp_path, planned, parallel=2)
    spans = []
    for run in planned.runs():
        assert outcomes.read(tmp_path, run).parallel == 2
        spans.append([float(word) for word in (outcomes.run_dir(tmp_path, run) / "times").read_text().split()])
    (_, end_0), (begin_1, end_1), (begin_2, _) = spans
    assert begin_1 < end_0 and begin_2 >= min(end_0, end_1)


def test_a_stop_is_passed_on_and_no_further_run_begins(tmp_path: pathlib.Path, fake: None) -> None:
    planned = made.make_plan({"all": ["probe:sign"]}, ["sac", "ppo"], seeds=[0, 1])
    stop = threading.Event()
    timer = threading.Timer(1.0, stop.set)
    timer.start()
    began = time.monotonic()
    _run_all(tmp_path, planned, parallel=2, stop=stop)
    assert time.monotonic() - began < 30
    found = [outcomes.read(tmp_path, run) for run in planned.runs()]  # `ppo` does not heed the signal yet.
    assert [outcome and outcome.state for outcome in found] == ["stopped", "stopped", None, None]


def test_a_directory_that_another_process_works_in_is_waited_for(tmp_path: pathlib.Path, fake: None) -> None:
    planned = made.make_plan({"all": ["probe:sign"]}, ["td3"], seeds=[0, 1])
    (tmp_path / "runs").mkdir()
    busy = outcomes.run_dir(tmp_path, planned.runs()[0])
    busy.mkdir()
    with (busy / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        timer = threading.Timer(1.0, lambda: fcntl.flock(lock, fcntl.LOCK_UN))
        timer.start()
        said = _run_all(tmp_path, planned)
        timer.join()
    assert said[0].startswith("td3 on probe:sign, seed 0: another process works in ")
    assert said[1] == "started 1/2: td3 on probe:sign, seed 1"
    assert [outcomes.read(tmp_path, run).state for run in planned.runs()] == ["finished", "finished"]


def _benchmark(directory: pathlib.Path, **fields) -> tuple[bool, list[str]]:
    said: list[str] = []
    given = {"tasks": ("probe:sign",), "agents": ("td3", "ddpg"), "seeds": 1, "steps": 1000} | fields
    return command.benchmark(commands.Benchmark(output=directory, **given), say=said.append), said


def test_what_has_finished_is_not_repeated_and_a_failure_is_reported(tmp_path: pathlib.Path, fake: None) -> None:
    directory = tmp_path / "deep" / "b"
    failed, said = _benchmark(directory)
    assert failed and said[-1].startswith("1 of 2 runs have finished; report ")
    assert "1 of 2 runs have failed: ddpg on probe:sign, seed 0. The same command tries them again." in said
    assert "- ddpg on probe:sign, seed 0: failed: The disk is full of cats" in (directory / "report.md").read_text()
    times = (directory / "runs" / "probe-sign--td3--seed-0" / "times").read_text()
    failed, said = _benchmark(directory, tasks=(), agents=(), seeds=None, steps=None)
    assert failed and f"{directory}: 1 of 2 runs have finished, 1 to do" in said
    assert (directory / "runs" / "probe-sign--td3--seed-0" / "times").read_text() == times
    first, second = plan.Plan.read(directory).runs()
    assert outcomes.read(directory, first).lives == 1 and outcomes.read(directory, second).lives == 2
    shutil.rmtree(directory / "runs" / "probe-sign--td3--seed-0")  # Whoever wants it again deletes it.
    _, said = _benchmark(directory, agents=("td3",))
    assert f"{directory}: 0 of 2 runs have finished, 2 to do" in said and outcomes.read(directory, first).lives == 1
    (directory / "report.md").unlink()
    assert _benchmark(directory, report_only=True) == (False, [str(directory / "report.html")])
    assert (directory / "report.md").exists()


def test_the_command_exits_with_1_where_a_run_has_failed(
    tmp_path: pathlib.Path, fake: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "write", lambda planned, directory: directory / "report.html")
    options = ("--tasks", "probe:sign", "--seeds", "1", "--budget", "1000", "-o", str(tmp_path / "b"))
    with pytest.raises(SystemExit) as ended:
        cli.main(("benchmark", "--agents", "ddpg", *options))
    assert ended.value.code == 1
    with pytest.raises(SystemExit) as ended:
        cli.main(("benchmark", "controll", "--agents", "ddpg", "-o", str(tmp_path / "c")))
    assert ended.value.code == 2 and not (tmp_path / "c").exists()
    assert "error: Unknown suite 'controll': did you mean 'control'?" in capsys.readouterr().err


def test_a_directory_that_cannot_be_used_is_one_sentence(
    tmp_path: pathlib.Path, fake: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for directory in (tmp_path / "file", tmp_path / "file" / "b"):
        with pytest.raises(errors.UserError, match=r"^The directory .*file.* cannot be used \(.*\): free some space"):
            _benchmark(directory)
    with pytest.raises(errors.UserError, match="There is no benchmark in"):
        _benchmark(tmp_path / "none", report_only=True)
    with pytest.raises(errors.UserError, match="Name the directory of the benchmark: --output DIR"):
        command.benchmark(commands.Benchmark(), say=print)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "benchmark.json")

    monkeypatch.setattr(plan.Plan, "write", full)
    with pytest.raises(errors.UserError, match=r"No space left on device: benchmark.json\): free some space or choose"):
        _benchmark(tmp_path / "b")


def test_two_benchmarks_in_one_directory_do_not_meet(tmp_path: pathlib.Path, fake: None) -> None:
    with run_dir_lib.held(tmp_path), pytest.raises(errors.UserError, match=r"in use by another process.*--output"):
        _benchmark(tmp_path)


_TINY = "policy_layers=8,critic_layers=8,min_replay_size=50,batch_size=8,samples_per_insert=8"
_AGENT = '''
"""Never begins: it fails where `acme-agents train` makes it, and not where a benchmark checks it."""
import sys
from acme_agents.agents.td3 import Config, make as _make

def make(config):
    if "--run-dir" in sys.argv:
        raise RuntimeError("no milk")
    return _make(config)
'''


@contextlib.contextmanager
def _started(directory: pathlib.Path) -> Iterator[subprocess.Popen]:
    words = ["benchmark", "--tasks", "delayed:4:probe:sign", "--agents", f"tiny=td3:{_TINY}", f"bad=my_bad:{_TINY}"]
    words += ["--seeds", "2", "--steps", "1500", "--eval-every", "150", "--eval-episodes", "1"]
    words += ["--checkpoint-seconds", "1", "--output", str(directory)]
    with (directory.parent / "out").open("a") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "acme_agents.launch.main", *words],
            cwd=directory.parent,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                for each in (*psutil.Process(process.pid).children(recursive=True), process):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        each.kill()
                process.wait()


@pytest.mark.slow
def test_killed_at_any_point_it_repeats_nothing_and_goes_on(tmp_path: pathlib.Path) -> None:
    """Killed alone, its run stops with a checkpoint; then killed with its run; then it ends. One agent fails."""
    (tmp_path / "my_bad.py").write_text(_AGENT)
    directory = tmp_path / "b"

    def steps(seed: int) -> np.ndarray:
        path = directory / "runs" / f"delayed-4-probe-sign--tiny--seed-{seed}" / "evaluator.csv"
        table = loggers.read_csv(path) if path.exists() else {}
        return table.get("actor_steps", np.zeros(1))

    def checkpoints(seed: int) -> set[str]:
        found = (directory / "runs" / f"delayed-4-probe-sign--tiny--seed-{seed}" / "checkpoints").glob("*.npz")
        return {path.name for path in found}

    with _started(directory) as process:
        wait(lambda: steps(1)[-1:].sum() >= 300, 240, "evaluations of the second seed")
        process.send_signal(signal.SIGKILL)
        process.wait()
    first = (directory / "runs" / "delayed-4-probe-sign--tiny--seed-0" / "evaluator.csv").read_bytes()
    assert steps(0)[-1] == 1500
    reached = steps(1)[-1]
    with _started(directory) as process:
        wait(lambda: steps(1)[-1] >= reached + 300, 240, "further evaluations of the second seed")
        before = checkpoints(1)
        wait(lambda: checkpoints(1) != before, 60, "a checkpoint")
        for each in (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()
    assert steps(1)[-1] < 1500, "too late: it had finished"
    with _started(directory) as process:
        assert process.wait(240) == 1  # An agent has failed, each time.
    found = {run.name: outcomes.read(directory, run) for run in plan.Plan.read(directory).runs()}
    tiny = [found[f"delayed-4-probe-sign--tiny--seed-{seed}"] for seed in (0, 1)]
    assert [(outcome.state, outcome.lives) for outcome in tiny] == [("finished", 1), ("finished", 3)]
    for seed in (0, 1):
        bad = found[f"delayed-4-probe-sign--bad--seed-{seed}"]
        assert bad.state == "failed" and bad.reason.startswith("RuntimeError: no milk")
    assert (directory / "runs" / "delayed-4-probe-sign--tiny--seed-0" / "evaluator.csv").read_bytes() == first
    np.testing.assert_array_equal(np.unique(steps(1)), np.arange(150, 1501, 150))
    assert np.all(np.diff(steps(1)[:-1]) > 0)  # The final evaluation comes after the one at the last step.
    text = (directory / "report.md").read_text()
    assert "2 of 4 runs have finished** (2 failed)" in text and "1 run of 4 were" not in text
    said = (tmp_path / "out").read_text()
    assert "2 of 4 runs have failed: bad on delayed:4:probe:sign, seed 0; bad on" in said
