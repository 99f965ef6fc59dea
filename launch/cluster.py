"""Runs an experiment's Launchpad program on a Ray cluster.

Ray places the workers, all or none at the start, and tells when a host is lost. Each worker is a process of its own on
its host, watched by a Ray actor there, its keeper (see `keeper`). Reverb and Courier listen on the loopback interface
of their host alone; keepers carry connections between hosts (see `links`). So a worker finds its peers at the same
local ports wherever they run now, and the program is the one that runs on a single machine.
"""

import concurrent.futures
import contextlib
import logging
import math
import os
import pathlib
import secrets
import signal
import time
from typing import Any

import ray
import ray.exceptions
import ray.util
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from acme_agents.core import checkpoint, errors
from acme_agents.launch import head, links, node_files, placement, room, sockets
from acme_agents.launch import keeper as keeper_lib
from acme_agents.launch import run_dir as run_dir_lib
from acme_agents.launch.node_files import Record
from acme_agents.launch.options import Launcher, Options
from acme_agents.launch.supervisor import LOST, PlaceLost
from acme_agents.runtime.display import Display
from acme_agents.runtime.nodes import LEARNER, Node

_KILL_SECONDS = 5.0  # that the keepers have to kill their workers at the end
_LEAVE_SECONDS = 30.0  # that Ray has to take back the places
_REFUSED_SECONDS = 5.0  # that the head refuses connections before Ray is taken to have stopped
_SILENT_SECONDS = 45.0  # that it does not answer at all; after 60 s Ray would end this process with a word of its own
_LAST_WORDS_SECONDS = 12.0  # that the learner has for its last checkpoint when Ray has stopped


class Cluster:
    """The place of a program whose workers run on a Ray cluster; see `supervisor.Place`."""

    launcher: Launcher = "ray"
    stop_seconds = 30.0

    def __init__(self, nodes: list[Node], run_dir: pathlib.Path, options: Options, display: Display, group: str):
        """Initialises; this process is connected to the cluster, see `begin` and `find`.

        Args:
          nodes: the program's workers.
          run_dir: the run's directory, the same on every host.
          options: how the program is launched.
          display: shows which workers wait for a place.
          group: name of the program's placement group.
        """
        self._nodes = nodes
        self._run_dir = run_dir.absolute()
        self._continue = run_dir_lib.continue_with(run_dir)
        self._options = options
        self._display = display
        self._group_name = group
        self._addresses: dict[str, str] = {}  # of the servers' gateways, by role
        self._workers: dict[Node, _Placed] = {}
        self._killing: list[Any] = []
        self._failure: Exception | None = None
        self._head = head.Head(options)
        self._questions = head.Questions()
        for module in (links, sockets):  # That servers start and move is shown otherwise.
            logging.getLogger(module.__name__).setLevel(logging.ERROR)
        self._link = links.Link(keeper_lib.make_token(self._run_dir))
        self.learner_port = self._link.port

    @classmethod
    def begin(cls, nodes: list[Node], run_dir: pathlib.Path, options: Options, display: Display) -> "Cluster":
        """Places all workers of a new program; nothing is started.

        Raises:
          UserError: no cluster answers, or it has no room for them all within `options.place_seconds`.
        """
        head.connect(options, room.START)
        group = f"acme_agents-{run_dir.name}-{secrets.token_hex(4)}"
        cluster = cls(nodes, run_dir, options, display, group)
        bundles = [placement.bundle(options.roles.of(node)) for node in nodes]
        placed = ray.util.placement_group(bundles, strategy="PACK", name=group, lifetime="detached")
        display.message(f"waiting for places for {len(nodes)} workers on the Ray cluster at {options.address}")
        if not placed.wait(timeout_seconds=options.place_seconds):
            ray.util.remove_placement_group(placed)
            raise errors.UserError(room.cannot_place(nodes, options))
        return cluster

    @classmethod
    def find(cls, nodes: list[Node], run_dir: pathlib.Path, record: Record, display: Display) -> "Cluster":
        """The place of a program that runs.

        Raises:
          UserError: no cluster answers.
        """
        otherwise = f"if Ray has stopped there, the run has too: {run_dir_lib.continue_with(run_dir)}"
        head.connect(record.options, otherwise)
        return cls(nodes, run_dir, record.options, display, record.place["group"])

    def start(self, node: Node) -> "_Placed":
        """Starts a worker: on the host where it is placed, or on another where that one was lost."""
        before = self._workers.get(node)
        worker = _Placed(self, node)
        if before is not None and before.keeper_lives:
            worker.start(before.keeper)
        else:
            worker.wait_for(self._questions.ask(lambda: self._new_keeper(node)))
        self._workers[node] = worker
        return worker

    def adopt(self, node: Node, record: dict[str, Any]) -> "_Placed":
        """A worker that another launcher started."""
        try:
            keeper = ray.get_actor(self._keeper_name(node), namespace=head.NAMESPACE)
        except ValueError:
            keeper = None
        if record.get("address"):
            self.announce(node, record["address"])
        worker = _Placed(self, node)
        worker.adopt(keeper, record)
        self._workers[node] = worker
        return worker

    def announce(self, server: Node, address: str) -> None:
        """Tells every worker where a server is reached now."""
        if self._addresses.get(server.role) == address:
            return
        self._addresses[server.role] = address
        if server == LEARNER:
            self._link.point_to(address)
        for node, worker in self._workers.items():
            if node != server and worker.keeper is not None:
                worker.keeper.connect.remote({server.role: address})

    def exit_code(self, node: Node) -> int:
        """How a worker ended that has no keeper any more."""
        ending = node_files.read_ending(node_files.exit_path(self._run_dir, node))
        return LOST if ending is None else ending.code

    def kill(self, keeper: Any) -> None:
        """Kills a worker."""
        self._killing.append(keeper.signal.remote(signal.SIGKILL))

    def check(self) -> None:
        """Checks that Ray answers or may answer again, that every keeper works, and that the servers have places.

        Raises:
          Exception: what `fail` was told.
          PlaceLost: Ray has stopped, and the workers with it; or its head cannot be reached from here any more.
          UserError: a server's host was lost, and there has been no room for it on another for too long.
        """
        if self._failure is not None:
            raise self._failure
        for node, worker in self._workers.items():
            if worker.waits_for_a_place(self._options.place_seconds):
                if node.kind.serves:
                    waiting = [other for other, worker in self._workers.items() if worker.has_no_place]
                    raise errors.UserError(f"{room.cannot_place(waiting, self._options)} Then {self._continue}.")
                self._display.message(f"{node.name} waits for a place: there is no room for it on the cluster")
        if self._head.refused_for() > _REFUSED_SECONDS:
            learner = node_files.exit_path(self._run_dir, LEARNER)
            deadline = time.monotonic() + _LAST_WORDS_SECONDS
            while not learner.exists() and time.monotonic() < deadline:
                time.sleep(0.1)
            saved = checkpoint.steps(self._run_dir / checkpoint.DIRECTORY)
            raise PlaceLost(
                f"Ray has stopped at {self._options.address}, and the run with it; its newest checkpoint is of update "
                f"{saved[-1]:,}: {self._continue}, with another --address or --launcher."
                if saved
                else f"Ray has stopped at {self._options.address} before the run had a checkpoint: begin again, "
                f"if there is none in {self._run_dir / checkpoint.DIRECTORY} in a minute."
            )
        if self._head.silent_for() > _SILENT_SECONDS:
            raise PlaceLost(
                f"The head of the Ray cluster at {self._options.address} has not answered for {_SILENT_SECONDS:.0f} s. "
                f"Once it does, `acme-agents attach {self._run_dir}` watches over the run again; if it is lost, "
                f"{self._continue}."
            )

    def fail(self, error: Exception) -> None:
        """Makes `check` raise this."""
        self._failure = error

    @property
    def answers(self) -> bool:
        """Whether Ray answers now."""
        return self._head.answers

    @property
    def addresses(self) -> dict[str, str]:
        """Where the servers are reached now, by role; those that are known."""
        return self._addresses

    def record(self) -> dict[str, Any]:
        """The placement group's name."""
        return {"group": self._group_name}

    def close(self) -> None:
        """Ends the keepers, gives the places back and leaves the cluster."""
        self._link.close()
        try:
            self._questions.ask(self._leave).result(_LEAVE_SECONDS)
        except concurrent.futures.TimeoutError:
            self._display.message(f"Ray at {self._options.address} did not take back the run's places in time")

    def _leave(self) -> None:
        if self._killing:
            ray.wait(self._killing, num_returns=len(self._killing), timeout=_KILL_SECONDS)
        for worker in self._workers.values():
            if worker.keeper is not None:
                ray.kill(worker.keeper)
        with contextlib.suppress(ValueError):
            ray.util.remove_placement_group(ray.util.get_placement_group(self._group_name))
        ray.shutdown()

    def _keeper_name(self, node: Node) -> str:
        return f"{self._group_name}/{node.name}"

    def _new_keeper(self, node: Node) -> Any:
        """A keeper in the worker's place; Ray finds another host where that one is lost."""
        role = self._options.roles.of(node)
        try:
            group = ray.util.get_placement_group(self._group_name)
        except ValueError:
            raise errors.UserError(f"The Ray cluster no longer has this run's places: {self._continue}.") from None
        strategy = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=self._nodes.index(node))
        with contextlib.suppress(ValueError):  # One that was lost may still have the name.
            ray.kill(ray.get_actor(self._keeper_name(node), namespace=head.NAMESPACE))
        for _ in range(50):
            try:
                return (
                    ray.remote(concurrency_groups={keeper_lib.WAITING: 16})(keeper_lib.Keeper)  # type: ignore[call-overload]
                    .options(
                        name=self._keeper_name(node),
                        namespace=head.NAMESPACE,
                        lifetime="detached",
                        scheduling_strategy=strategy,
                        num_cpus=role.cpus,
                        num_gpus=role.gpus,
                        memory=role.memory_gib * 2**30 or None,
                    )
                    .remote(node, self._run_dir, self._options, self._group_name, os.getcwd())
                )
            except ValueError:  # The name is free once Ray has taken note of the death.
                time.sleep(0.1)
        raise errors.RunFailed(
            f"Ray does not give back the name of {node.name}, which has died: continue with --resume once it has."
        )


class _Placed:
    """A worker on a host of the cluster; see `supervisor.Worker`."""

    def __init__(self, cluster: Cluster, node: Node):
        self.keeper: Any = None
        self.keeper_lives = False
        self._cluster = cluster
        self._node = node
        self._coming: concurrent.futures.Future | None = None  # its keeper
        self._waiting: Any = None  # for its start, or, when there is a record, for its end
        self._record: dict[str, Any] | None = None
        self._code: int | None = None
        self._began = time.monotonic()

    def wait_for(self, keeper: concurrent.futures.Future) -> None:
        """Starts it when its keeper is there."""
        self._coming = keeper

    def start(self, keeper: Any) -> None:
        """Starts it."""
        self.keeper, self.keeper_lives = keeper, True
        self._waiting = keeper.start.remote(self._cluster.addresses)

    def adopt(self, keeper: Any | None, record: dict[str, Any]) -> None:
        """Takes over a worker that another launcher started; its keeper may be gone."""
        self.keeper, self.keeper_lives, self._record = keeper, keeper is not None, record
        if keeper is not None:
            self._waiting = keeper.wait.remote()

    @property
    def has_no_place(self) -> bool:
        """Whether it waits for one, as far as is known."""
        return self._code is None and self._record is None

    def waits_for_a_place(self, seconds: float) -> bool:
        """Whether it has waited for this long; true only once."""
        waits = self.has_no_place and time.monotonic() - self._began > seconds
        if waits:
            self._began = math.inf
        return waits

    def exit_code(self) -> int | None:
        if self._code is None and self._cluster.answers:
            self._look()
        return self._code

    def _look(self) -> None:
        """Looks whether it has started or ended."""
        if self._coming is not None:
            if not self._coming.done():
                return
            try:
                self.start(self._coming.result())
            except ray.exceptions.RayError:
                self._code = LOST
                return
            except Exception as error:  # It is for the thread that watches over the run to raise.
                self._cluster.fail(error)
                self._code = LOST
                return
            self._coming = None
        if self.keeper is None:
            self._code = self._cluster.exit_code(self._node)
            return
        done, _ = ray.wait([self._waiting], timeout=0)
        if not done:
            return
        try:
            answer = ray.get(self._waiting)
        except ray.exceptions.RayTaskError as error:
            is_sentence = isinstance(error.cause, errors.UserError)
            self._cluster.fail(errors.UserError(f"{self._node.name}: {error.cause}") if is_sentence else error)
            self._code = LOST
        except ray.exceptions.RayError:  # Its keeper was killed, or its host is lost.
            self.keeper_lives = False
            self._code = LOST
        else:
            if self._record is not None:
                self._code = answer
                return
            self._record = answer
            if answer["address"] is not None:
                self._cluster.announce(self._node, answer["address"])
            self._waiting = self.keeper.wait.remote()

    def terminate(self) -> None:
        if self._code is not None:
            return
        if self._coming is not None:  # It was never started.
            self._code = -signal.SIGTERM
        elif self.keeper is not None:
            self.keeper.signal.remote(signal.SIGTERM)

    def kill(self) -> None:
        if self.keeper is not None and self._code is None:
            self._cluster.kill(self.keeper)

    def record(self) -> dict[str, Any]:
        return self._record or {}


def runs(record: Record) -> bool:
    """Whether the cluster still has the places of a program.

    Raises:
      UserError: the cluster answers, and cannot be asked from here.
    """
    try:
        head.knock(record.options)
    except OSError:
        return False
    head.connect(record.options, "try again")
    try:
        groups = ray.util.placement_group_table().values()
        return record.place["group"] in {group["name"] for group in groups if group["state"] != "REMOVED"}
    finally:
        ray.shutdown()
