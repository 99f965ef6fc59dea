"""Runs an experiment's Launchpad program as supervised processes of this machine.

Launchpad's own local launcher imports TensorFlow anew in every process and ends the program with the first that fails.
Here one server process imports everything once and forks the workers; a worker that dies is started again at the
address it had, and its peers reconnect.
"""

import contextlib
import dataclasses
import json
import logging
import multiprocessing
import os
import pathlib
import signal
import socket
import sys
import threading
import time
import traceback
from multiprocessing import forkserver, resource_tracker
from typing import Any

from acme_agents.experiments import Experiment
from acme_agents.runtime.display import Display

_POLL_SECONDS = 0.25
_STOP_SECONDS = 7.0  # the learner has so long for its last checkpoint
_EXIT_SECONDS = 1.0  # the others have so long after that
_MAX_RESTARTS = 5  # of one worker, none of which lived long
_STABLE_SECONDS = 600.0  # a worker that lived so long has its restarts forgiven
_BACKOFF_SECONDS = 1.0  # before a worker's first restart; doubles with each
_USER_ERROR = 2  # exit code of a worker whose log ends with a sentence for the user
_LOG_TAIL = 15  # lines of a log that are shown when a worker keeps dying


@dataclasses.dataclass(frozen=True)
class Node:
    """One worker of a program."""

    role: str  # its group in the program
    index: int  # within the role
    address: str | None  # host:port where it serves, if it does

    @property
    def name(self) -> str:
        """The name of its log."""
        return f"{self.role}-{self.index}"


def run(
    experiment: Experiment,
    run_dir: pathlib.Path,
    *,
    port: int | None,
    wandb: bool,
    stop: threading.Event,
    display: Display,
) -> None:
    """Runs an experiment to its end, or until `stop` is set; leaves a checkpoint and no process in both cases.

    Args:
      experiment: what to run.
      run_dir: its directory; a checkpoint in it is continued.
      port: of the replay server, and the next one of the learner; any free ones if None.
      wandb: whether to log to W&B.
      stop: set to end the run early.
      display: shows the run.

    Raises:
      ValueError: a port is taken.
      RuntimeError: a worker kept dying.
    """
    replay_port, learner_port = _ports(port)
    nodes = [Node("learner", 0, f"localhost:{learner_port}")]
    if experiment.has_server:
        nodes.insert(0, Node("replay", 0, f"localhost:{replay_port}"))
    if not experiment.is_offline:
        nodes += [Node("actor", index, None) for index in range(experiment.num_actors)]
    if experiment.eval_every:
        nodes.append(Node("evaluator", 0, None))
    supervisor = _Supervisor(experiment, run_dir, nodes, wandb, display)
    try:
        supervisor.start()
        supervisor.watch(stop)
    finally:
        supervisor.end()


class _Supervisor:
    """Starts the workers, restarts those that die, and ends them all."""

    def __init__(self, experiment: Experiment, run_dir: pathlib.Path, nodes: list[Node], wandb: bool, display: Display):
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["launch.preload"])
        self._args = (experiment, run_dir, {(n.role, n.index): n.address for n in nodes if n.address}, wandb)
        self._run_dir = run_dir
        self._nodes = nodes
        self._display = display
        self._workers: dict[Node, Any] = {}
        self._restarts: dict[Node, int] = {}
        self._started_at: dict[Node, float] = {}
        self._restart_at: dict[Node, float] = {}

    def start(self) -> None:
        for node in self._nodes:
            self._start(node)

    def watch(self, stop: threading.Event) -> None:
        """Returns when the learner is done, or has written its checkpoint after `stop` was set."""
        import courier  # A second; the workers are starting meanwhile.

        learner = next(node for node in self._nodes if node.role == "learner")
        client = courier.Client(learner.address, call_timeout=1.0)
        stop_by: float | None = None
        while True:
            if self._workers[learner].exitcode == 0:
                return
            with contextlib.suppress(Exception):  # It is starting, or being restarted.
                self._display.update(client.status())
            if stop.is_set():
                if stop_by is None:
                    self._display.message("stopping: writing a checkpoint")
                    stop_by = time.monotonic() + _STOP_SECONDS
                    self._workers[learner].terminate()
                if not self._workers[learner].is_alive():
                    self._raise_user_error(learner)
                    return
                if time.monotonic() > stop_by:
                    self._display.message("the learner did not end in time: its newest checkpoint is an earlier one")
                    return
            else:
                self._restart_dead()
            self._workers[learner].join(_POLL_SECONDS)

    def end(self) -> None:
        """Ends every worker: those that do not go when asked are killed."""
        for worker in self._workers.values():
            if worker.is_alive():
                worker.terminate()
        deadline = time.monotonic() + _EXIT_SECONDS
        for worker in self._workers.values():
            worker.join(max(0.0, deadline - time.monotonic()))
            if worker.is_alive():
                worker.kill()
                worker.join()
        # The two helpers of multiprocessing would end with this process, and be left to init, which in a container
        # may not collect them.
        forkserver._forkserver._stop()  # type: ignore[attr-defined]
        resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]
        (self._run_dir / "nodes.json").unlink(missing_ok=True)

    def _start(self, node: Node) -> None:
        worker = self._context.Process(target=_work, args=(node, *self._args), name=node.name)
        worker.start()
        self._workers[node] = worker
        self._started_at[node] = time.monotonic()
        self._write_nodes()

    def _restart_dead(self) -> None:
        for node, worker in list(self._workers.items()):
            if worker.exitcode in (None, 0):
                continue
            self._raise_user_error(node)
            if node not in self._restart_at:
                lived = time.monotonic() - self._started_at[node]
                restarts = self._restarts[node] = 1 if lived > _STABLE_SECONDS else self._restarts.get(node, 0) + 1
                if restarts > _MAX_RESTARTS:
                    tail = "\n".join(self._log(node)[-_LOG_TAIL:])
                    raise RuntimeError(
                        f"{node.name} died {restarts} times, the last time with exit code {worker.exitcode}. Its log "
                        f"ends so:\n{tail}"
                    )
                delay = _BACKOFF_SECONDS * 2 ** (restarts - 1)
                self._restart_at[node] = time.monotonic() + delay
                self._display.message(
                    f"{node.name} died (exit code {worker.exitcode}); "
                    f"restart {restarts} of {_MAX_RESTARTS} in {delay:.0f} s"
                )
            elif time.monotonic() >= self._restart_at[node]:
                del self._restart_at[node]
                self._start(node)

    def _raise_user_error(self, node: Node) -> None:
        """Raises ValueError if the worker ended with a sentence for the user."""
        if self._workers[node].exitcode == _USER_ERROR:
            raise ValueError(f"{self._log(node)[-1].removeprefix('error: ')} [{self._log_path(node)}]")

    def _log_path(self, node: Node) -> pathlib.Path:
        return self._run_dir / "logs" / f"{node.name}.log"

    def _log(self, node: Node) -> list[str]:
        try:
            text = self._log_path(node).read_text(errors="replace")
        except FileNotFoundError:
            text = (
                "(There is none: it died before it could begin. A script that runs an experiment as processes must do "
                "so under `if __name__ == '__main__':`.)"
            )
        return text.splitlines() or ["(empty)"]

    def _write_nodes(self) -> None:
        nodes = [
            {**dataclasses.asdict(node), "host": socket.gethostname(), "pid": worker.pid}
            for node, worker in self._workers.items()
        ]
        partial = self._run_dir / "nodes.json.partial"
        partial.write_text(json.dumps(nodes, indent=2) + "\n")
        partial.replace(self._run_dir / "nodes.json")


def _work(
    node: Node, experiment: Experiment, run_dir: pathlib.Path, addresses: dict[tuple[str, int], str], wandb: bool
) -> None:
    """A worker process: makes the program, binds its addresses and runs one of its nodes."""
    log = os.open(run_dir / "logs" / f"{node.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True)
    if node.role != "learner":  # One thread each, and no accelerator.
        os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
        os.environ["OMP_NUM_THREADS"] = "1"

    import jax
    import launchpad
    from absl import flags
    from launchpad.launch import worker_manager

    from acme_agents.experiments import program as program_lib

    if node.role != "learner":
        jax.config.update("jax_platforms", "cpu")
    flags.FLAGS(sys.argv[:1])
    worker_manager.WorkerManager(register_in_thread=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the launcher too, which ends us in order.
    threading.Thread(target=_end_with_the_launcher, name="launcher", daemon=True).start()

    program = program_lib.make_program(experiment, run_dir, wandb=wandb)
    for role, nodes in program.groups.items():
        for index, launchpad_node in enumerate(nodes):
            launchpad_node._initialize_context(launchpad.context.LaunchType.LOCAL_MULTI_PROCESSING, launch_config=None)
            for handle in launchpad_node.input_handles:
                handle.connect(launchpad_node, role)
            for address in launchpad_node.addresses:
                address.bind(_FixedAddress(addresses[role, index]))
    try:
        program.groups[node.role][node.index].function()
    except (
        ValueError,
        OSError,
    ) as error:  # A broken environment, a full disk: a restart would not help.
        traceback.print_exc()
        print("error:", " ".join(str(error).split()), file=sys.stderr, flush=True)
        os._exit(_USER_ERROR)


def _end_with_the_launcher() -> None:
    """Asks this process to end, the learner with a checkpoint, when the launcher has been killed."""
    launcher = multiprocessing.parent_process()
    assert launcher is not None
    launcher.join()
    os.kill(os.getpid(), signal.SIGTERM)


class _FixedAddress:
    """A Launchpad address builder for an address that is known."""

    def __init__(self, address: str):
        self._address = address

    def build(self) -> str:
        return self._address


def _ports(first: int | None) -> tuple[int, int]:
    """Two ports that are free now.

    Raises:
      ValueError: the ones asked for are not.
    """
    ports = []
    with contextlib.ExitStack() as stack:
        for wanted in (0, 0) if first is None else (first, first + 1):
            bound = stack.enter_context(socket.socket())
            try:
                bound.bind(("", wanted))
            except OSError as error:
                raise ValueError(
                    f"Port {wanted} is taken ({error.strerror}): choose another with --port, or leave it out."
                ) from error
            ports.append(bound.getsockname()[1])
    return ports[0], ports[1]
