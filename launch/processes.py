"""Runs an experiment's Launchpad program as supervised processes of this machine.

Launchpad's own local launcher imports TensorFlow in every process and ends the program with the first that fails.
Here one server process imports everything once and forks the workers; a worker that dies is started again at the
address it had, and its peers reconnect.
"""

import contextlib
import multiprocessing
import os
import pathlib
import random
import socket
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from multiprocessing import forkserver, resource_tracker, util
from typing import Any

import psutil

from acme_agents.core import errors
from acme_agents.experiments import Experiment
from acme_agents.launch import node_files
from acme_agents.launch.options import Launcher, Options
from acme_agents.launch.supervisor import LOST
from acme_agents.launch.work import work
from acme_agents.runtime.nodes import LEARNER, NODES, Node

_UNGUARDED = 64  # exit code of a worker that was about to run the experiment again
_MAX_SOCKET_PATH = 107  # bytes, of a Unix socket's path
_SOCKET = "/pymp-xxxxxxxx/listener-xxxxxxxx"  # what multiprocessing adds to the temporary directory's path
_SHORT_DIRECTORIES = ("/tmp", "/var/tmp", "/dev/shm")


class Processes:
    """The place of a program whose workers are processes of this machine; see `supervisor.Place`."""

    launcher: Launcher = "processes"
    stop_seconds = 7.0

    def __init__(self, experiment: Experiment, run_dir: pathlib.Path, ports: dict[str, int], options: Options):
        """Initialises; nothing is started.

        Args:
          experiment: what to run.
          run_dir: its directory; a checkpoint in it is continued.
          ports: of the servers, by role; `free_ports` finds some.
          options: how the program is launched.

        Raises:
          UserError: no worker could begin, because the script or the temporary directory is out of its reach.
        """
        _check_script()
        _keep_sockets_short()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["acme_agents.launch.preload"])
        self._args = (experiment, run_dir, ports, options.wandb, options.profile)
        self._run_dir = run_dir
        self._ports = ports
        self._children: dict[Node, _Child] = {}
        self.learner_port = ports[LEARNER.role]

    def start(self, node: Node) -> "_Child":
        """Starts a worker; one that is restarted listens where it did before."""
        process = self._context.Process(target=work, args=(node, *self._args), name=node.name)
        began = time.time()
        process.start()
        self._children[node] = _Child(process, began)
        return self._children[node]

    def adopt(self, node: Node, record: dict[str, Any]) -> "_Adopted":
        """A worker that another launcher started."""
        return _Adopted(record, node_files.exit_path(self._run_dir, node))

    def check(self) -> None:
        """Checks that workers can import the script, which each does before it begins.

        Raises:
          UserError: the script raises something there, or would run the experiment again.
        """
        for node, child in self._children.items():
            code = child.exit_code() or 0
            if code == _UNGUARDED:
                raise errors.UserError(
                    f"Every worker imports {_script()} and would run the experiment again: have it do so under "
                    "`if __name__ == '__main__':` only."
                )
            if code > 0 and not node_files.has_begun(self._run_dir, node, child.started_at):
                raise errors.UserError(
                    f"{node.name} ended with exit code {code} before it could begin: every worker imports "
                    f"{_script() or 'the script'}, so have that do nothing else than define things unless "
                    "`__name__ == '__main__'`."
                )

    def record(self) -> dict[str, Any]:
        """The servers' ports."""
        return {"ports": self._ports}

    def close(self) -> None:
        """Ends the two helpers of multiprocessing.

        They would end with this process and stay as zombies in a container without an init.
        """
        forkserver._forkserver._stop()  # type: ignore[attr-defined]
        resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


class _Child:
    """A process that this one started."""

    def __init__(self, process: Any, started_at: float):
        self.started_at = started_at  # seconds since the epoch
        self._process = process
        self._record = _record(process.pid)

    def exit_code(self) -> int | None:
        return self._process.exitcode

    def terminate(self) -> None:
        if self._process.is_alive():
            self._process.terminate()

    def kill(self) -> None:
        if self._process.is_alive():
            self._process.kill()
        self._process.join()

    def record(self) -> dict[str, Any]:
        return self._record


class _Adopted:
    """A process that a launcher which is gone had started."""

    def __init__(self, record: dict[str, Any], exit_file: pathlib.Path):
        self._record = record
        self._exit_file = exit_file
        self._process: psutil.Process | None = None
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(record["pid"])
            if process.create_time() == record.get("started"):  # else another process has its number now
                self._process = process

    def exit_code(self) -> int | None:
        if self._process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                if self._process.status() != psutil.STATUS_ZOMBIE and self._process.is_running():
                    return None
        ending = node_files.read_ending(self._exit_file)
        return LOST if ending is None else ending.code

    def terminate(self) -> None:
        if self._process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._process.terminate()

    def kill(self) -> None:
        if self._process is not None and self.exit_code() is None:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
                self._process.kill()
                self._process.wait(timeout=5.0)

    def record(self) -> dict[str, Any]:
        return self._record


def alive(records: Sequence[dict[str, Any]]) -> bool:
    """Whether any of these workers of this machine is running."""
    return any(_Adopted(record, pathlib.Path("/nonexistent")).exit_code() is None for record in records)


def _record(pid: int) -> dict[str, Any]:
    started = None
    with contextlib.suppress(psutil.NoSuchProcess):
        started = psutil.Process(pid).create_time()
    return {"host": socket.gethostname(), "pid": pid, "started": started}


def refuse_in_a_worker() -> None:
    """Ends this process if it is a worker that is importing the user's script, which runs an experiment then, too."""
    process = multiprocessing.current_process()
    is_worker = process.name.rpartition("-")[0] in {kind.role for kind in NODES}
    if is_worker and getattr(process, "_inheriting", False):
        os._exit(_UNGUARDED)


def _script() -> str | None:
    """The file that every worker imports as `__main__`; None where there is none, as at a prompt."""
    main = sys.modules["__main__"]
    return getattr(main, "__file__", None) if getattr(main, "__spec__", None) is None else None


def _check_script() -> None:
    script = _script()
    if script is not None and not os.path.isfile(script):
        raise errors.UserError(
            f"Every worker imports the script that runs the experiment, and {script} is not a file that it could read: "
            "save the script as one, or take the launcher in-process."
        )


def _keep_sockets_short() -> None:
    """Makes multiprocessing put its sockets where their paths are not too long.

    Raises:
      UserError: there is no such place.
    """
    directory, before = tempfile.gettempdir(), tempfile.tempdir
    if len(os.fsencode(directory + _SOCKET)) <= _MAX_SOCKET_PATH:
        return
    try:
        for tempfile.tempdir in _SHORT_DIRECTORIES:
            with contextlib.suppress(OSError):
                util.get_temp_dir()  # It keeps what it has once made.
                return
    finally:
        tempfile.tempdir = before
    raise errors.UserError(
        f"The temporary directory {directory} has too long a path for a socket, and there is no other: set TMPDIR to "
        "one with a shorter path."
    )


def shuffled(within: tuple[int, int], part: int = 0, num_parts: int = 1) -> list[int]:
    """The ports from a first to a last one in a random order, those of a part of them before the others.

    Args:
      within: the first and the last port.
      part: of `num_parts`, which have no port in common: those that choose at once choose each from a part of its own.
    """
    first, last = within
    ports = random.sample(range(first, last + 1), last + 1 - first)
    return sorted(ports, key=lambda port: (port - first) % num_parts != part)


def free_ports(roles: Sequence[str], candidates: Iterable[int]) -> dict[str, int]:
    """The first of these ports that are free now, one for each of these roles.

    By default they are below the ports that Linux gives to connections, so that no connection takes one while its
    server is being restarted.

    Raises:
      UserError: there are not enough.
    """
    candidates = list(candidates)
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        for wanted in candidates:
            bound = stack.enter_context(socket.socket())
            try:
                bound.bind(("", wanted))
            except OSError:
                continue
            found.append(wanted)
            if len(found) == len(roles):
                return dict(zip(roles, found))
    raise errors.UserError(
        f"Of the ports {min(candidates)} to {max(candidates)} fewer than {len(roles)} are free: give others with "
        "--ports FIRST LAST, or leave it out."
    )
