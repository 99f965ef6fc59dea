"""An agent of a user's with a bug, one that is stopped while it compiles, and learning that diverges: from outside."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from acme_agents.core import checkpoint
from tests.launch.running import started, wait

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# To trace it takes longer than anyone waits; so it is with XLA, which takes its time where Python hears of no signal.
_AGENT = """\
import os, time
import jax.numpy as jnp
from acme_agents.agents import mpo

Config = mpo.Config

class Agent:
    def __init__(self, config):
        self.agent = mpo.make(config)

    def learner(self, spec):
        core = self.agent.learner(spec)

        def update(state, batch):
            if os.environ["HOW"] == "slow":
                time.sleep(300)
            return core.update(state, batch._replace(reward=batch.reward + jnp.ones(3)))

        return core._replace(update=update)

    def replay(self, spec):
        return self.agent.replay(spec)

    def actor(self, spec, context):
        return self.agent.actor(spec, context)

make = Agent
"""
_ARGUMENTS = (
    *("train", "users_agent", "--env", "probe:reach", "--steps", "100000", "--eval-every", "0"),
    *("--config.policy-layers", "4", "--config.critic-layers", "4", "--config.min-replay-size", "100"),
)


@pytest.fixture
def users(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A directory with an agent of a user's, on the path."""
    (tmp_path / "users_agent.py").write_text(_AGENT)
    root = str(pathlib.Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, str(tmp_path)]))
    return tmp_path


@pytest.mark.parametrize("launcher", ["in-process", "processes"])
def test_a_stop_while_it_compiles_is_like_any_other(
    users: pathlib.Path, monkeypatch: pytest.MonkeyPatch, launcher: str
) -> None:
    monkeypatch.setenv("HOW", "slow")
    run_dir, out = users / "run", users / "run.out"
    with started(run_dir, *_ARGUMENTS, "--launcher", launcher) as process:
        wait(lambda: "compiling" in out.read_text() and (run_dir / "learner.lease").exists(), 180, "the compilation")
        time.sleep(2.0)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
        assert time.monotonic() - began < 55  # The compilation takes 300 s.
    assert f"resume {run_dir}\n" in out.read_text()
    assert checkpoint.steps(run_dir / "checkpoints") == [0]


@pytest.mark.parametrize("launcher", ["in-process", "processes"])
def test_a_bug_in_an_update_is_shown_at_once(
    users: pathlib.Path, monkeypatch: pytest.MonkeyPatch, launcher: str
) -> None:
    monkeypatch.setenv("HOW", "wrong")
    command = [sys.executable, "-m", "acme_agents.launch.main", *_ARGUMENTS, "--launcher", launcher, "--run-dir", "run"]
    ended = subprocess.run(command, cwd=users, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 1, ended.stderr
    lines = ended.stderr.splitlines()
    told = "error: learner.update raises TypeError: add got incompatible shapes for broadcasting: (256,), (3,)"
    assert lines[0].startswith(told)
    assert lines[1] == f"  {users / 'users_agent.py'}:17, in update" and "jnp.ones(3)" in lines[2]
    log = "run/logs/in-process.log" if launcher == "in-process" else "run/logs/learner-0.log"
    assert lines[-1].endswith(f"he full trace is in {log}.")
    assert "Traceback" in (users / log).read_text() and "restart 1" not in ended.stdout


def test_learning_that_diverges_ends_the_program_at_once(users: pathlib.Path) -> None:
    command = [
        sys.executable,
        "-m",
        "acme_agents.launch.main",
        *_ARGUMENTS,
        "--launcher",
        "processes",
        "--run-dir",
        "run",
    ]
    command[command.index("users_agent")] = "mpo"
    command += ["--config.learning-rate", "1e30", "--checkpoint-seconds", "0"]
    ended = subprocess.run(command, cwd=users, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 2, ended.stderr
    sentence = (
        r"error: Learning has diverged: [\w, ]*loss_\w+[\w, ]* no longer finite at update \d:"
        r".*; (the newest checkpoint is of update \d|there is no checkpoint yet)\. \[run/logs/learner-0\.log\]\n"
    )
    assert re.fullmatch(sentence, ended.stderr), ended.stderr
    assert "restart" not in ended.stdout
    for file in (users / "run" / "checkpoints").glob("*.npz"):
        with np.load(file) as arrays:
            numbers = [array for array in arrays.values() if array.dtype.kind == "f"]
        assert numbers and all(np.isfinite(array).all() for array in numbers)
