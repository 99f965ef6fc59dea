"""A run of the command line in processes of its own, watched and killed from a test."""

import contextlib
import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import psutil

from acme_agents.runtime import loggers


@contextlib.contextmanager
def started(run_dir: pathlib.Path, *command: str) -> Iterator[subprocess.Popen]:
    """The command line's process; whatever is left of it at the end is killed."""
    with (run_dir.parent / f"{run_dir.name}.out").open("a") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "launch.main", *command, "--run-dir", str(run_dir)],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                for child in (*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        child.kill()
                process.wait()


def wait(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds} s")


def nodes(run_dir: pathlib.Path) -> dict[str, dict[str, Any]]:
    return {f"{n['role']}-{n['index']}": n for n in json.loads((run_dir / "nodes.json").read_text())}


def rows(run_dir: pathlib.Path, table: str, column: str) -> np.ndarray:
    path = run_dir / f"{table}.csv"
    return loggers.read_csv(path).get(column, np.zeros(0)) if path.exists() else np.zeros(0)
