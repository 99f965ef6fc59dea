"""A run of the command line in processes of its own, watched and killed from a test."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import psutil

from acme_agents.core import checkpoint
from acme_agents.runtime import loggers
from acme_agents.runtime.nodes import NODES

ROUNDS = int(os.environ.get("SOAK_ROUNDS", "1"))  # of kills, cuts and stops in a test; `make soak` does many


def started(run_dir: pathlib.Path, *command: str) -> contextlib.AbstractContextManager[subprocess.Popen]:
    """The process of the command line, for a run directory; whatever is left of it at the end is killed."""
    return _started(run_dir, (*command, "--run-dir", str(run_dir)))


def attached(run_dir: pathlib.Path) -> contextlib.AbstractContextManager[subprocess.Popen]:
    """The process of `acme-agents attach`, as `started`."""
    return _started(run_dir, ("attach", str(run_dir)))


@contextlib.contextmanager
def _started(run_dir: pathlib.Path, command: Sequence[str]) -> Iterator[subprocess.Popen]:
    with (run_dir.parent / f"{run_dir.name}.out").open("a") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "acme_agents.launch.main", *command], stdout=out, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                for child in (*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        child.kill()
                process.wait()


@contextlib.contextmanager
def disturbed(run_dir: pathlib.Path, what: str, note: Callable[[str, object], None]) -> Iterator[None]:
    """Disturbs a run in its context, which lasts until the run is seen to go on; notes it for the report of a soak.

    Noted are the seconds that this took and, where the learner is killed, the logged updates that no checkpoint had.

    Args:
      run_dir: the run's directory.
      what: is killed, cut off or stopped.
      note: pytest's `record_property`.
    """
    logged, saved = rows(run_dir, "learner", "learner_steps"), checkpoint.steps(run_dir / checkpoint.DIRECTORY)
    lost = max(0, int(logged[-1]) - saved[-1]) if what.startswith("learner") and len(logged) and saved else 0
    began = time.monotonic()
    yield
    note("disturbance", json.dumps([what, time.monotonic() - began, lost]))


def max_restarts(number: int) -> tuple[str, ...]:
    """Options: how often each worker may be started again."""
    return tuple(word for kind in NODES for word in (f"--roles.{kind.role}.max-restarts", str(number)))


def wait(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds} s")


def nodes(run_dir: pathlib.Path) -> dict[str, dict[str, Any]]:
    return {f"{n['role']}-{n['index']}": n for n in record(run_dir)["nodes"]}


def record(run_dir: pathlib.Path) -> dict[str, Any]:
    return json.loads((run_dir / "nodes.json").read_text())


def rows(run_dir: pathlib.Path, table: str, column: str) -> np.ndarray:
    path = run_dir / f"{table}.csv"
    return loggers.read_csv(path).get(column, np.zeros(0)) if path.exists() else np.zeros(0)
