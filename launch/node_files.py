"""The files of a program's nodes: their logs, how they ended, and the record of all of them while they run."""

import dataclasses
import json
import os
import pathlib
import signal
import time
from typing import Any, NamedTuple

from acme_agents.core import files
from acme_agents.experiments.experiment import from_dict
from acme_agents.launch.options import Launcher, Options
from acme_agents.runtime.nodes import Node

# What asks a run to stop; the last is what a batch system sends before the time that it has given is over.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

_RECORD = "nodes.json"  # within a run directory, while its program runs


@dataclasses.dataclass(frozen=True)
class Record:
    """What `nodes.json` says of a program while it runs: enough to watch it from another process."""

    launcher: Launcher
    options: Options
    place: dict[str, Any]  # what the launcher must know to find the workers again
    nodes: list[dict[str, Any]]  # of each worker its role, index, host, pid ...

    def write(self, run_dir: pathlib.Path) -> None:
        """Writes the record, atomically."""
        files.write_whole(run_dir / _RECORD, json.dumps(dataclasses.asdict(self), indent=2) + "\n")


def read_record(run_dir: pathlib.Path) -> Record | None:
    """The record of the program that runs there, or that was killed; None where there is none."""
    try:
        fields = json.loads((run_dir / _RECORD).read_text())
    except FileNotFoundError:
        return None
    return Record(**{**fields, "options": from_dict(Options, fields["options"])})


def remove_record(run_dir: pathlib.Path) -> None:
    """Removes the record: the program has ended."""
    (run_dir / _RECORD).unlink(missing_ok=True)


def log_path(run_dir: pathlib.Path, node: Node) -> pathlib.Path:
    """Where a worker's log is."""
    return run_dir / "logs" / f"{node.name}.log"


class Ending(NamedTuple):
    """How a worker ended, in its own words: for a launcher that is not its parent, and for a person."""

    code: int  # its exit code
    report: str = ""  # what a person is told of the exception that ended it; see `faults`
    place: str = ""  # what the exception was and where it came from: the same fault has the same


def begin_log(run_dir: pathlib.Path, node: Node) -> int:
    """Opens a worker's log to append to, marked with the time; returns the descriptor."""
    path = log_path(run_dir, node)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    now = time.time()  # of this host, which the file system's may not be
    os.utime(path, (now, now))
    return log


def has_begun(run_dir: pathlib.Path, node: Node, started_at: float) -> bool:
    """Whether a worker that was started at that time, in seconds since the epoch, has begun its log."""
    try:
        return log_path(run_dir, node).stat().st_mtime >= started_at
    except FileNotFoundError:
        return False


def exit_path(run_dir: pathlib.Path, node: Node) -> pathlib.Path:
    """Where a worker leaves its `Ending` when it ends by itself."""
    return run_dir / "logs" / f"{node.name}.exit"


def write_ending(run_dir: pathlib.Path, node: Node, ending: Ending) -> None:
    """Writes how a worker ends, for its launcher."""
    exit_path(run_dir, node).write_text(json.dumps(ending._asdict()) + "\n")


def read_ending(path: pathlib.Path) -> Ending | None:
    """How the worker with this `exit_path` ended; None where it left nothing, as after a kill."""
    try:
        return Ending(**json.loads(path.read_text()))
    except (OSError, ValueError):
        return None


def log_lines(run_dir: pathlib.Path, node: Node) -> list[str]:
    """The lines of a worker's log; a line that says so where there is none."""
    try:
        text = log_path(run_dir, node).read_text(errors="replace")
    except FileNotFoundError:
        text = "(There is none: it died before it could begin.)"
    return text.splitlines() or ["(empty)"]
