"""What is known of each run of a benchmark beside its run directory: how it ended, and what it took."""

import functools
import json
import os
import pathlib
import platform
import shutil
import subprocess
from typing import Any, NamedTuple

import psutil

from acme_agents.core import errors, files
from acme_agents.launch.benchmark.plan import Run

FINISHED, FAILED, STOPPED, RUNNING = "finished", "failed", "stopped", "running"
_SMI_SECONDS = 10.0


class Outcome(NamedTuple):
    """How a run stands. One that was killed stands as running."""

    state: str
    reason: str | None = None  # of a failure, in a sentence or a few lines
    peak_memory: int = 0  # bytes of all its processes on this machine; 0 where they were never looked at
    lives: int = 0  # processes that the run took: more than one where it was continued
    load: float = 0.0  # the machine's, over the minute before it was first started
    parallel: int = 1  # runs side by side, at most
    hardware: str = ""

    def write(self, directory: pathlib.Path, run: Run) -> None:
        """Writes it into the benchmark's directory, atomically."""
        files.write_whole(_path(directory, run), json.dumps(self._asdict(), indent=2) + "\n")


def read(directory: pathlib.Path, run: Run) -> Outcome | None:
    """How a run stands; None for one that was never started, or had finished and is deleted.

    Raises:
      UserError: it cannot be read.
    """
    path = _path(directory, run)
    try:
        outcome = Outcome(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise errors.UserError(f"{path} cannot be read ({error}): delete it, and the run is taken up again.") from error
    return None if outcome.state == FINISHED and not run_dir(directory, run).exists() else outcome


def run_dir(directory: pathlib.Path, run: Run) -> pathlib.Path:
    """The run directory of a run."""
    return directory / "runs" / run.name


def run_dirs(directory: pathlib.Path, run: Run) -> dict[int, pathlib.Path]:
    """The run directory of each of a run's seeds: one within it where several run side by side."""
    whole = run_dir(directory, run)
    return {seed: whole if run.num_seeds == 1 else whole / f"seed-{seed}" for seed in run.seeds}


def log(directory: pathlib.Path, run: Run) -> pathlib.Path:
    """What a run's processes print."""
    return directory / "logs" / f"{run.name}.log"


def make_directories(directory: pathlib.Path) -> None:
    """Makes what all of these lie in."""
    for name in ("runs", "logs", "outcomes"):
        (directory / name).mkdir(exist_ok=True)


@functools.cache
def hardware() -> str:
    """What this machine is, on one line."""
    memory = psutil.virtual_memory().total / 2**30
    described = f"{_processor()}, {_cores()} cores, {memory:.0f} GiB"
    return ", ".join([described, *_accelerators()])


def _path(directory: pathlib.Path, run: Run) -> pathlib.Path:
    return directory / "outcomes" / f"{run.name}.json"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _accelerators() -> list[str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command: list[Any] = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=_SMI_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return listed.stdout.split("\n")[:-1] if listed.returncode == 0 else []
