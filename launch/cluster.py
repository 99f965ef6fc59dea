"""Runs an experiment's Launchpad program on a Ray cluster.

Ray places the workers, all or none at the start, and tells when a host is lost. Each worker is a process of its own on
its host, watched by a Ray actor there, its keeper. Reverb and Courier listen on the loopback interface of their host
alone; keepers carry connections between hosts, see `links`. So a worker finds its peers at the same local ports
wherever they run now, and the program is the one that runs on a single machine.
"""

import contextlib
import ctypes
import logging
import os
import pathlib
import random
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from acme_agents.experiments import Experiment
from acme_agents.runtime import checkpoint
from acme_agents.runtime.display import Display
from launch import links, placement, processes
from launch import node as node_lib
from launch.node import LEARNER, REPLAY, SERVERS, Launcher, Node, Options, Record
from launch.supervisor import LOST, PlaceLost

try:
    import ray
    import ray.exceptions
    import ray.util
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
except ImportError as error:
    raise ValueError("--launcher ray needs Ray, which is not installed: install the extra `cluster`.") from error

_NAMESPACE = "acme_agents"  # of Ray's names
_TOKEN = "token"  # within a run directory: what lets the run's processes reach its servers
_CONNECT_SECONDS = 5.0  # that the head of the cluster has to answer
_KILL_SECONDS = 5.0  # that the keepers have to kill their workers at the end
_UNCLAIMED_SECONDS = 60.0  # that a finished run keeps its places when no launcher takes note of its end
_HEAD_SECONDS = 2.0  # between looks at the head, and that each may take
_REFUSED_SECONDS = 5.0  # that the head refuses connections before Ray is taken to have stopped
_SILENT_SECONDS = 45.0  # that it does not answer at all; after 60 s Ray would end this process with a word of its own
_LAST_WORDS_SECONDS = 12.0  # that the learner has for its last checkpoint when Ray has stopped
_START = "start one with `ray start --head`"
_PR_SET_PDEATHSIG = 1


class Cluster:
    """The place of a program whose workers run on a Ray cluster; see `supervisor.Place`."""

    launcher: Launcher = "ray"
    stop_seconds = 30.0

    def __init__(self, nodes: list[Node], run_dir: pathlib.Path, options: Options, group: str):
        """Initialises; this process is connected to the cluster, see `begin` and `find`.

        Args:
          nodes: the program's workers.
          run_dir: the run's directory, the same on every host.
          options: how the program is launched.
          group: name of the program's placement group.
        """
        self._nodes = nodes
        self._run_dir = run_dir.absolute()
        self._options = options
        self._group_name = group
        self._addresses: dict[str, str] = {}  # of the servers' gateways, by role
        self._workers: dict[Node, _Placed] = {}
        self._killing: list[Any] = []
        self._head = _Head(options)
        logging.getLogger(links.__name__).setLevel(logging.ERROR)  # That servers start and move is shown otherwise.
        self._link = links.Link(_token(self._run_dir))
        self.learner_port = self._link.port

    @classmethod
    def begin(cls, nodes: list[Node], run_dir: pathlib.Path, options: Options, display: Display) -> "Cluster":
        """Places all workers of a new program; nothing is started.

        Raises:
          ValueError: no cluster answers, or it has no room for them all within `options.place_seconds`.
        """
        _connect(options, _START)
        group = f"acme_agents-{run_dir.name}-{secrets.token_hex(4)}"
        cluster = cls(nodes, run_dir, options, group)
        bundles = [placement.bundle(options.roles.of(node)) for node in nodes]
        placed = ray.util.placement_group(bundles, strategy="PACK", name=group, lifetime="detached")
        display.message(f"waiting for places for {len(nodes)} workers on the Ray cluster at {options.address}")
        if not placed.wait(timeout_seconds=options.place_seconds):
            ray.util.remove_placement_group(placed)
            raise ValueError(_cannot_place(nodes, options))
        return cluster

    @classmethod
    def find(cls, nodes: list[Node], run_dir: pathlib.Path, record: Record) -> "Cluster":
        """The place of a program that runs.

        Raises:
          ValueError: no cluster answers.
        """
        _connect(record.options, "if Ray has stopped there, the run has too: continue with --resume")
        return cls(nodes, run_dir, record.options, record.place["group"])

    def start(self, node: Node) -> "_Placed":
        """Starts a worker: on the host where it is placed, or on another where that one was lost."""
        before = self._workers.get(node)
        keeper = before.keeper if before is not None and before.keeper_lives else self._new_keeper(node)
        worker = _Placed(self, node, keeper, keeper.start.remote(self._addresses))
        self._workers[node] = worker
        return worker

    def adopt(self, node: Node, record: dict[str, Any]) -> "_Placed":
        """A worker that another launcher started."""
        try:
            keeper = ray.get_actor(self._keeper_name(node), namespace=_NAMESPACE)
        except ValueError:
            keeper = None
        if record.get("address"):
            self.announce(node, record["address"])
        waiting = None if keeper is None else keeper.wait.remote()
        worker = _Placed(self, node, keeper, waiting, record)
        self._workers[node] = worker
        return worker

    def announce(self, server: Node, address: str) -> None:
        """Tells everyone where a server is reached now."""
        if self._addresses.get(server.role) == address:
            return
        self._addresses[server.role] = address
        if server.role == LEARNER:
            self._link.point_to(address)
        for node, worker in self._workers.items():
            if node != server and worker.keeper is not None:
                worker.keeper.connect.remote({server.role: address})

    def exit_code(self, node: Node) -> int:
        """How a worker ended that has no keeper any more."""
        try:
            return int(node_lib.exit_path(self._run_dir, node).read_text())
        except (FileNotFoundError, ValueError):
            return LOST

    def kill(self, keeper: Any) -> None:
        """Kills a worker."""
        self._killing.append(keeper.signal.remote(signal.SIGKILL))

    def check(self) -> None:
        """Returns if Ray answers, or may do so again.

        Raises:
          PlaceLost: Ray has stopped, and the workers with it; or its head cannot be reached from here any more.
        """
        if self._head.refused_for() > _REFUSED_SECONDS:
            learner = node_lib.exit_path(self._run_dir, next(node for node in self._nodes if node.role == LEARNER))
            deadline = time.monotonic() + _LAST_WORDS_SECONDS
            while not learner.exists() and time.monotonic() < deadline:
                time.sleep(0.1)
            saved = checkpoint.steps(self._run_dir / checkpoint.DIRECTORY)
            raise PlaceLost(
                f"Ray has stopped at {self._options.address}, and the run with it; its newest checkpoint is of update "
                f"{saved[-1]:,}: continue with --run-dir {self._run_dir} --resume, on any launcher."
                if saved
                else f"Ray has stopped at {self._options.address} before the run had a checkpoint: begin again."
            )
        if self._head.silent_for() > _SILENT_SECONDS:
            raise PlaceLost(
                f"The head of the Ray cluster at {self._options.address} has not answered for {_SILENT_SECONDS:.0f} s. "
                f"Once it does, `acme-agents attach {self._run_dir}` watches over the run again; if it is lost, "
                "continue with --resume."
            )

    @property
    def answers(self) -> bool:
        """Whether Ray can be asked anything now; a question would wait, and end this process after a minute."""
        return self._head.answers

    def record(self) -> dict[str, Any]:
        """The placement group's name."""
        return {"group": self._group_name}

    def close(self) -> None:
        """Ends the keepers, gives the places back and leaves the cluster."""
        if self._killing:
            ray.wait(self._killing, num_returns=len(self._killing), timeout=_KILL_SECONDS)
        for worker in self._workers.values():
            if worker.keeper is not None:
                ray.kill(worker.keeper)
        with contextlib.suppress(ValueError):
            ray.util.remove_placement_group(ray.util.get_placement_group(self._group_name))
        self._link.close()
        ray.shutdown()

    def _keeper_name(self, node: Node) -> str:
        return f"{self._group_name}/{node.name}"

    def _new_keeper(self, node: Node) -> Any:
        """A keeper in the worker's place; Ray finds another host where that one is lost."""
        role = self._options.roles.of(node)
        try:
            group = ray.util.get_placement_group(self._group_name)
        except ValueError:
            raise ValueError("The Ray cluster no longer has this run's places: continue it with --resume.") from None
        strategy = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=self._nodes.index(node))
        with contextlib.suppress(ValueError):  # One that was lost may still have the name.
            ray.kill(ray.get_actor(self._keeper_name(node), namespace=_NAMESPACE))
        for _ in range(50):
            try:
                return (
                    ray.remote(Keeper)
                    .options(
                        name=self._keeper_name(node),
                        namespace=_NAMESPACE,
                        lifetime="detached",
                        scheduling_strategy=strategy,
                        num_cpus=role.cpus,
                        num_gpus=role.gpus,
                        memory=role.memory_gib * 2**30 or None,
                        max_concurrency=16,
                    )
                    .remote(node, self._run_dir, self._options, self._group_name, os.getcwd())
                )
            except ValueError:  # The name is free once Ray has taken note of the death.
                time.sleep(0.1)
        raise RuntimeError(f"Ray does not give back the name of {node.name}.")


class _Head:
    """Looks after the head of the cluster, in a thread of its own."""

    def __init__(self, options: Options):
        self._options = options
        self._answered_at = self._heard_at = time.monotonic()  # when it took a connection; when it took or refused one
        self.answers = True
        threading.Thread(target=self._watch, name="head", daemon=True).start()

    def refused_for(self) -> float:
        """Seconds for which it has refused connections: the host is there, and Ray is not."""
        return self._heard_at - self._answered_at

    def silent_for(self) -> float:
        """Seconds for which there was no answer of any kind."""
        return time.monotonic() - self._heard_at

    def _watch(self) -> None:
        while True:
            try:
                _knock(self._options, _HEAD_SECONDS)
                self.answers, self._heard_at = True, time.monotonic()
                self._answered_at = self._heard_at
            except ConnectionRefusedError:
                self.answers, self._heard_at = False, time.monotonic()
            except OSError:
                self.answers = False
            time.sleep(_HEAD_SECONDS)


class _Placed:
    """A worker on a host of the cluster; see `supervisor.Worker`."""

    def __init__(self, cluster: Cluster, node: Node, keeper: Any, waiting: Any, record: dict[str, Any] | None = None):
        self.keeper = keeper
        self.keeper_lives = keeper is not None
        self._cluster = cluster
        self._node = node
        self._waiting = waiting  # for its start, or, when there is a record, for its end
        self._record = record
        self._code: int | None = None

    def exit_code(self) -> int | None:
        if self._code is not None:
            return self._code
        if not self._cluster.answers:
            return None
        if self.keeper is None:
            self._code = self._cluster.exit_code(self._node)
            return self._code
        done, _ = ray.wait([self._waiting], timeout=0)
        if not done:
            return None
        try:
            answer = ray.get(self._waiting)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, ValueError):
                raise ValueError(f"{self._node.name}: {error.cause}") from error
            raise
        except ray.exceptions.RayError:  # Its keeper was killed, or its host is lost.
            self.keeper_lives = False
            self._code = LOST
            return self._code
        if self._record is not None:
            self._code = answer
            return self._code
        self._record = answer
        if answer["address"] is not None:
            self._cluster.announce(self._node, answer["address"])
        self._waiting = self.keeper.wait.remote()
        return None

    def terminate(self) -> None:
        if self.keeper is not None and self._code is None:
            self.keeper.signal.remote(signal.SIGTERM)

    def kill(self) -> None:
        if self.keeper is not None and self._code is None:
            self._cluster.kill(self.keeper)

    def record(self) -> dict[str, Any]:
        return self._record or {}


class Keeper:
    """On the host of a worker: starts its process and connects it; a Ray actor."""

    def __init__(self, node: Node, run_dir: pathlib.Path, options: Options, group: str, directory: str):
        """Opens the ways to and from the worker.

        Args:
          node: the worker.
          run_dir: the run's directory.
          options: how the program is launched.
          group: name of the program's placement group.
          directory: where the user's own modules are.

        Raises:
          ValueError: this host does not see the run's directory, or no port is free.
        """
        self._host = ray.util.get_node_ip_address()
        if not (run_dir / "config.json").exists():
            raise ValueError(
                f"The host {self._host} does not see {run_dir}: give a --run-dir on a file system that all hosts share."
            )
        self._node, self._run_dir, self._options, self._group = node, run_dir, options, group
        self._directory = directory
        token = _token(run_dir)
        self._links = {role: links.Link(token) for role in SERVERS if role != node.role}
        self._ports = {role: link.port for role, link in self._links.items()}
        self._gateway: links.Gateway | None = None
        if node.role in SERVERS:
            first, last = options.ports
            self._ports[node.role] = processes.free_ports(options.ports)[node.role]
            ports = random.sample(range(first, last + 1), last + 1 - first)
            self._gateway = links.Gateway(self._ports[node.role], token, self._host, ports)
        self._process: subprocess.Popen | None = None

    def start(self, addresses: dict[str, str]) -> dict[str, Any]:
        """Starts the worker's process; `addresses` are those of the servers' gateways that are known."""
        self.connect(addresses)
        paths = [self._directory, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "launch.work", str(self._run_dir), self._node.role, str(self._node.index)),
                *("--replay-port", str(self._ports[REPLAY]), "--learner-port", str(self._ports[LEARNER])),
                *(("--wandb",) if self._options.wandb else ()),
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TF_CPP_MIN_LOG_LEVEL": "3"},
            cwd=self._directory if os.path.isdir(self._directory) else None,
            stdin=subprocess.DEVNULL,
            preexec_fn=_end_with_the_parent,
        )
        if self._node.role == LEARNER:
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

    def wait(self) -> int:
        """The worker's exit code, once it has ended."""
        assert self._process is not None
        return self._process.wait()

    def signal(self, signum: int) -> None:
        """Sends the worker a signal, if it has not ended."""
        if self._process is not None:
            self._process.send_signal(signum)

    def _give_back_places(self, process: subprocess.Popen) -> None:
        """Ends the program when its learner is done and there is no launcher to do so."""
        if process.wait() == 0:
            time.sleep(_UNCLAIMED_SECONDS)
            ray.util.remove_placement_group(ray.util.get_placement_group(self._group))


def _connect(options: Options, otherwise: str) -> None:
    """Connects this process to the cluster.

    Raises:
      ValueError: none answers, and what to do `otherwise`; or it is of another version.
    """
    try:
        host, own = _knock(options, _CONNECT_SECONDS)
    except OSError as error:
        raise ValueError(
            f"No Ray cluster answers at {options.address} ({error.strerror or error}): {otherwise}."
        ) from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        with _kept_signal_handlers():
            ray.init(
                address=options.address,
                namespace=_NAMESPACE,
                log_to_driver=False,
                configure_logging=False,
                # Else hosts that share a process table are taken for one.
                _node_ip_address=None if own == host and own.startswith("127.") else own,
            )
        _hush()
    except (ConnectionError, RuntimeError) as error:
        raise ValueError(
            f"The Ray cluster at {options.address} cannot be joined "
            f"({' '.join(str(error).split())[:300] or 'it does not answer'}); this must run on one of its hosts, with "
            "its version of Ray and Python."
        ) from error


def _knock(options: Options, timeout: float) -> tuple[str, str]:
    """Connects to the cluster's head, and hangs up: its host, and the address of this machine that leads there.

    Raises:
      OSError: it does not answer within `timeout` seconds.
    """
    assert options.address is not None
    host, _, port = options.address.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=timeout) as probe:
        return host, probe.getsockname()[0]


def runs(record: Record) -> bool:
    """Whether the cluster still has the places of a program.

    Raises:
      ValueError: the cluster answers, and cannot be asked from here.
    """
    try:
        _knock(record.options, _CONNECT_SECONDS)
    except OSError:
        return False
    _connect(record.options, "try again")
    try:
        groups = ray.util.placement_group_table().values()
        return record.place["group"] in {group["name"] for group in groups if group["state"] != "REMOVED"}
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _kept_signal_handlers() -> Iterator[None]:
    """Undoes what Ray does to signals: a request to stop would print a stack trace and end this process at once."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for signum, handler in before.items():
                signal.signal(signum, handler)


def _hush() -> None:
    """Ends the thread in which Ray prints stack traces of its own across the display, as of a cluster that stops."""
    worker = ray._private.worker.global_worker
    worker.threads_stopped.set()
    worker.gcs_error_subscriber.close()


def dry_run(experiment: Experiment, options: Options) -> str:
    """Where the workers would be placed now, for a person.

    Raises:
      ValueError: no cluster answers, or it has no room for them all.
    """
    _connect(options, _START)
    try:
        nodes = node_lib.of(experiment)
        placed, left = placement.fit(nodes, options.roles, _free())
        lines = []
        for host, free in _free().items():
            here = [node for node in nodes if placed.get(node) == host]
            lines.append(f"{host} ({placement.describe(free)} free): {placement.names(here) or 'nothing'}")
        if left:
            raise ValueError("\n".join([_cannot_place(nodes, options), *lines]))
        return "\n".join([*lines, "This is one way to place them; Ray may choose another."])
    finally:
        ray.shutdown()


def _cannot_place(nodes: list[Node], options: Options) -> str:
    free = _free()
    _, left = placement.fit(nodes, options.roles, free)
    wanted = {node.role: placement.describe(placement.bundle(options.roles.of(node))) for node in left}
    needs = "; ".join(f"{role} needs {amount}" for role, amount in wanted.items()) or "others took the places meanwhile"
    hosts = "; ".join(f"{host} has {placement.describe(amounts)}" for host, amounts in free.items())
    return (
        f"The Ray cluster at {options.address} has no room for {placement.names(left) or 'all workers'} ({needs}; "
        f"free: {hosts}): add hosts, start fewer actors, or ask for less with --roles."
    )


def _free() -> dict[str, dict[str, float]]:
    """What is free on each host of the cluster, by address."""
    from ray._private import state

    available = state.available_resources_per_node()
    return {n["NodeManagerAddress"]: available.get(n["NodeID"], {}) for n in ray.nodes() if n["Alive"]}


def _token(run_dir: pathlib.Path) -> bytes:
    """The run's token, made if there is none; only its owner can read the file."""
    path = run_dir / _TOKEN
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(32).encode())
    return path.read_bytes()


def _end_with_the_parent() -> None:
    """Has the kernel ask this process to end when its keeper has."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
