"""The keeper of a worker on a Ray cluster: it starts the worker's process on its host, and connects it."""

import contextlib
import os
import pathlib
import secrets
import subprocess
import sys
import threading
import time
from typing import Any

import ray
import ray.util

from acme_agents.core import errors
from acme_agents.launch import links, parent, processes
from acme_agents.launch.options import Options
from acme_agents.runtime import compilation
from acme_agents.runtime.nodes import LEARNER, SERVERS, Node

WAITING = "waiting"  # the concurrency group of calls that wait for a worker's end

_TOKEN = "token"  # within a run directory: what lets the run's processes reach its servers
_UNCLAIMED_SECONDS = 60.0  # that a finished run keeps its places for a launcher to see its end


class Keeper:
    """Starts a worker's process on its host and connects it; a Ray actor.

    Its methods run one after another, in the order in which they were called; only `wait` runs beside them.
    """

    def __init__(self, node: Node, run_dir: pathlib.Path, options: Options, group: str, directory: str):
        """Initialises; nothing is opened.

        Args:
          node: the worker.
          run_dir: the run's directory.
          options: how the program is launched.
          group: name of the program's placement group.
          directory: where the user's own modules are.
        """
        self._node, self._run_dir, self._options, self._group = node, run_dir, options, group
        self._directory = directory
        self._host = ray.util.get_node_ip_address()
        self._links: dict[str, links.Link] = {}
        self._ports: dict[str, int] = {}
        self._gateway: links.Gateway | None = None
        self._process: subprocess.Popen | None = None

    def start(self, addresses: dict[str, str]) -> dict[str, Any]:
        """Starts the worker's process; `addresses` are those of the servers' gateways that are known.

        Raises:
          UserError: this host does not see the run's directory, no port is free, or the compilation cache cannot be
            written.
        """
        if not self._links:
            self._open()
        if self._node.kind.serves:
            self._choose_port()
        self.connect(addresses)
        compilation.use_cache(self._options.compilation_cache)
        paths = [self._directory, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        self._process = subprocess.Popen(
            [
                *(
                    sys.executable,
                    "-m",
                    "acme_agents.launch.work",
                    str(self._run_dir),
                    self._node.role,
                    str(self._node.index),
                ),
                *(word for role, port in self._ports.items() for word in ("--port", role, str(port))),
                *(("--wandb",) if self._options.wandb else ()),
                *("--profile", str(self._options.profile)),
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TF_CPP_MIN_LOG_LEVEL": "3"},
            cwd=self._directory if os.path.isdir(self._directory) else None,
            stdin=subprocess.DEVNULL,
            preexec_fn=parent.end_with_it,
        )
        if self._node == LEARNER:
            threading.Thread(target=self._give_back_places, args=(self._process,), daemon=True).start()
        return {
            "host": self._host,
            "pid": self._process.pid,
            "address": None if self._gateway is None else self._gateway.address,
        }

    def connect(self, addresses: dict[str, str]) -> None:
        """Points the worker's ways to other servers at these gateways, by role."""
        for role, link in self._links.items():
            if role in addresses:
                link.point_to(addresses[role])

    @ray.method(concurrency_group=WAITING)
    def wait(self) -> int:
        """The worker's exit code, once it has ended."""
        assert self._process is not None
        return self._process.wait()

    def signal(self, signum: int) -> None:
        """Sends the worker a signal, if it has not ended."""
        if self._process is not None:
            self._process.send_signal(signum)

    def _open(self) -> None:
        """Opens the ways to and from the worker, which stay as they are when it is started again."""
        if not (self._run_dir / "config.json").exists():
            raise errors.UserError(
                f"The host {self._host} does not see {self._run_dir}: give a --run-dir on a file system that all hosts "
                "share."
            )
        token = make_token(self._run_dir)
        self._links = {role: links.Link(token) for role in SERVERS if role != self._node.role}
        self._ports = {role: link.port for role, link in self._links.items()}

    def _choose_port(self) -> None:
        """Chooses where the server is to listen: another port each time, as the one before may be another's by now.

        A port is taken only seconds after it was chosen. So that the keepers on this host do not choose the same
        meanwhile, each server and each gateway has a part of the ports.
        """
        role, within, num_parts = self._node.role, self._options.ports, 2 * len(SERVERS)
        part = SERVERS.index(role)
        port = self._ports[role] = processes.free_ports([role], processes.shuffled(within, part, num_parts))[role]
        if self._gateway is not None:
            self._gateway.lead_to(port)
            return
        tried = [other for other in processes.shuffled(within, len(SERVERS) + part, num_parts) if other != port]
        self._gateway = links.Gateway(port, make_token(self._run_dir), self._host, tried)

    def _give_back_places(self, process: subprocess.Popen) -> None:
        """Ends the program when its learner is done and there is no launcher to do so."""
        if process.wait() == 0:
            time.sleep(_UNCLAIMED_SECONDS)
            ray.util.remove_placement_group(ray.util.get_placement_group(self._group))


def make_token(run_dir: pathlib.Path) -> bytes:
    """The run's token, made if there is none; only its owner can read the file."""
    path = run_dir / _TOKEN
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(32).encode())
    return path.read_bytes()
