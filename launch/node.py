"""The nodes of a program: what they are given, their logs, and the record that a run keeps of them."""

import dataclasses
import importlib.util
import json
import os
import pathlib
import signal
import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from acme_agents.core import errors
from acme_agents.experiments.experiment import from_dict
from acme_agents.runtime.nodes import NODES, Node

# What asks a run to stop; the last is what a batch system sends before the time that it has given is over.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

_RECORD = "nodes.json"  # within a run directory, while its program runs

Launcher = Literal["in-process", "processes", "ray"]


@dataclasses.dataclass(frozen=True)
class Role:
    """What each node of a role is given."""

    cpus: float = 1.0
    """CPU cores that Ray keeps for it."""
    gpus: float = 0.0
    """GPUs that Ray keeps for it."""
    memory_gib: float = 0.0
    """Memory that Ray keeps for it, in GiB; 0 to place it without asking for any."""
    max_restarts: int = 5
    """Deaths in a row that are forgiven, on any launcher; a life of ten minutes forgives those before it."""

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if value < 0:
                raise errors.UserError(f"What a role is given must be at least 0, and its {name} is {value}.")


class _Roles:
    """What the nodes of each role are given."""

    def of(self, node: Node) -> Role:
        """What a node is given."""
        return getattr(self, node.role)


if TYPE_CHECKING:
    Roles = _Roles
else:
    _FIELDS = "\n".join(f"  {kind.role}: {kind.description}" for kind in NODES)
    Roles = dataclasses.make_dataclass(
        "Roles",
        [(kind.role, Role, Role()) for kind in NODES],
        bases=(_Roles,),
        # The command line's help is from the docstring.
        namespace={"__module__": __name__, "__doc__": f"{_Roles.__doc__}\n\nAttributes:\n{_FIELDS}\n"},
        frozen=True,
    )


@dataclasses.dataclass(frozen=True)
class Options:
    """How a program is launched; the same experiment with other options is the same run."""

    ports: tuple[int, int] = (20_000, 29_999)
    """First and last of the ports to choose from: on this machine with --launcher processes, where only it itself can
    reach them, and on each host with --launcher ray."""
    address: str | None = None
    """HOST:PORT of the Ray cluster, with --launcher ray."""
    place_seconds: float = 120.0
    """Seconds that the Ray cluster has to place all workers at the start."""
    roles: Roles = dataclasses.field(default_factory=Roles)
    """What each node is given, by role."""
    wandb: bool = False
    """Log to Weights & Biases too, if it is installed."""
    compilation_cache: str | None = None
    """Directory that keeps what XLA compiles, for restarted workers and later runs; "off" for none (default: one under
    the user's cache directory)."""

    def __post_init__(self) -> None:
        first, last = self.ports
        if not 1 <= first <= last <= 65_535:
            raise errors.UserError(
                f"--ports must be the first and the last of a range within 1 to 65535, not {first} {last}."
            )
        if self.address is not None:
            host, _, port = self.address.rpartition(":")
            if not host or not port.isdigit():
                raise errors.UserError(f"--address must be HOST:PORT, not {self.address}.")
            if importlib.util.find_spec("ray") is None:
                raise errors.UserError("--launcher ray needs Ray, which is not installed: install the extra `cluster`.")


@dataclasses.dataclass(frozen=True)
class Record:
    """What `nodes.json` says of a program while it runs: enough to watch it from another process."""

    launcher: Launcher
    options: Options
    place: dict[str, Any]  # what the launcher must know to find the workers again
    nodes: list[dict[str, Any]]  # of each worker its role, index, host, pid ...

    def write(self, run_dir: pathlib.Path) -> None:
        """Writes the record; it is whole or the one before."""
        partial = run_dir / f"{_RECORD}.partial"
        partial.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n")
        partial.replace(run_dir / _RECORD)


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
