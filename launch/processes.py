"""Runs an experiment's Launchpad program as supervised processes of this machine.

Launchpad's own local launcher imports TensorFlow anew in every process and ends the program with the first that fails.
Here one server process imports everything once and forks the workers; a worker that dies is started again at the
address it had, and its peers reconnect.
"""

import contextlib
import multiprocessing
import pathlib
import random
import socket
from collections.abc import Sequence
from multiprocessing import forkserver, resource_tracker
from typing import Any

import psutil

from acme_agents.core import errors
from acme_agents.experiments import Experiment
from launch import node as node_lib
from launch.node import LEARNER, REPLAY, Launcher, Node
from launch.supervisor import LOST
from launch.work import work


class Processes:
    """The place of a program whose workers are processes of this machine; see `supervisor.Place`."""

    launcher: Launcher = "processes"
    stop_seconds = 7.0

    def __init__(self, experiment: Experiment, run_dir: pathlib.Path, ports: dict[str, int], *, wandb: bool):
        """Initialises; nothing is started.

        Args:
          experiment: what to run.
          run_dir: its directory; a checkpoint in it is continued.
          ports: of the servers, by role; `free_ports` finds some.
          wandb: whether to log to W&B.
        """
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["launch.preload"])
        self._args = (experiment, run_dir, ports, wandb)
        self._run_dir = run_dir
        self._ports = ports
        self.learner_port = ports[LEARNER]

    def start(self, node: Node) -> "_Child":
        """Starts a worker, at the address that it had if it is not the first of its name."""
        process = self._context.Process(target=work, args=(node, *self._args), name=node.name)
        process.start()
        return _Child(process)

    def adopt(self, node: Node, record: dict[str, Any]) -> "_Adopted":
        """A worker that another launcher started."""
        return _Adopted(record, node_lib.exit_path(self._run_dir, node))

    def check(self) -> None:
        """This machine is there."""

    def record(self) -> dict[str, Any]:
        """The servers' ports."""
        return {"ports": self._ports}

    def close(self) -> None:
        """Ends the two helpers of multiprocessing.

        They would end with this process, and be left to init, which in a container may not collect them.
        """
        forkserver._forkserver._stop()  # type: ignore[attr-defined]
        resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


class _Child:
    """A process that this one started."""

    def __init__(self, process: Any):
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
            if process.create_time() == record.get("started"):  # else its number was given to another
                self._process = process

    def exit_code(self) -> int | None:
        if self._process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                if self._process.status() != psutil.STATUS_ZOMBIE and self._process.is_running():
                    return None
        ending = node_lib.read_ending(self._exit_file)
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


def free_ports(within: tuple[int, int]) -> dict[str, int]:
    """Ports for the servers that are free now, by role.

    They are chosen at random, so that two programs that start at once seldom want the same, and by default from below
    those that Linux gives to connections, so that none takes one while its server is being restarted.

    Raises:
      ValueError: there are not enough.
    """
    first, last = within
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        for wanted in random.sample(range(first, last + 1), last + 1 - first):
            bound = stack.enter_context(socket.socket())
            try:
                bound.bind(("", wanted))
            except OSError:
                continue
            found.append(wanted)
            if len(found) == 2:
                return {REPLAY: found[0], LEARNER: found[1]}
    raise errors.UserError(
        f"Of the ports {first} to {last} fewer than two are free: give others with --ports FIRST LAST, or leave it out."
    )
