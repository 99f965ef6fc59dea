"""Watches over the workers of a program, wherever they run: starts those that die again, and ends them all."""

import collections
import contextlib
import dataclasses
import pathlib
import threading
import time
from typing import Any, NoReturn, Protocol

from acme_agents.core import errors
from acme_agents.launch import node_files
from acme_agents.launch.node_files import Ending, Record
from acme_agents.launch.options import Launcher, Options
from acme_agents.launch.work import CERTAIN, EARLY, USER_ERROR
from acme_agents.runtime.display import Display
from acme_agents.runtime.nodes import LEARNER, Node
from acme_agents.runtime.status import Status

_POLL_SECONDS = 0.25
_STATUS_SECONDS = 1.0  # that the learner has to say how far the run is
_EXIT_SECONDS = 1.0  # that the other workers have to end after the learner
_STABLE_SECONDS = 600.0  # a worker that lived so long has its deaths forgiven
_BACKOFF_SECONDS = 1.0  # before a worker's first restart; doubles with each
_MAX_BACKOFF_SECONDS = 60.0
_LOG_TAIL = 15  # lines of a log that are shown when a worker keeps dying without a report
LOST = -9  # exit code of a worker that ended without leaving one


class PlaceLost(errors.RunFailed):
    """The place of a program is gone, or out of reach: its workers can neither be started nor ended from here."""


class Worker(Protocol):
    """A worker that was started somewhere."""

    def exit_code(self) -> int | None:
        """How it ended; None while it runs, or while nothing is known of it."""

    def terminate(self) -> None:
        """Asks it to end."""

    def kill(self) -> None:
        """Ends it if it has not ended, at once."""

    def record(self) -> dict[str, Any]:
        """Where it is, JSON-serialisable."""


class Place(Protocol):
    """Where the workers of one program run.

    Attributes:
      launcher: its name.
      stop_seconds: that the learner has for its last checkpoint.
      learner_port: of the loopback interface, where this process reaches the learner.
    """

    launcher: Launcher
    stop_seconds: float
    learner_port: int

    def start(self, node: Node) -> Worker:
        """Starts a worker; one that is restarted runs where it did before, if it can."""

    def adopt(self, node: Node, record: dict[str, Any]) -> Worker:
        """A worker that was started by another process, from what its `record` was."""

    def check(self) -> None:
        """Checks that workers can be started and ended there.

        Raises:
          PlaceLost: they cannot, and waiting longer would not help.
          UserError: a worker cannot be started there, for a reason that the user can mend.
        """

    def record(self) -> dict[str, Any]:
        """What another process must know to adopt the workers, JSON-serialisable."""

    def close(self) -> None:
        """Gives back what it holds; the workers have ended."""


class _Progress:
    """Asks the learner how far the run is, in a thread of its own: a call that does not return keeps nobody."""

    def __init__(self, port: int):
        import courier  # A second; the workers are starting meanwhile.

        self._client = courier.Client(f"localhost:{port}", call_timeout=_STATUS_SECONDS)
        self._newest: collections.deque[Status] = collections.deque(maxlen=1)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="progress", daemon=True)

    def __enter__(self) -> "_Progress":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join(2 * _STATUS_SECONDS)

    def new(self) -> list[Status]:
        """The newest answer, in a list that is empty if it was taken already."""
        with contextlib.suppress(IndexError):
            return [self._newest.pop()]
        return []

    def _ask(self) -> None:
        while not self._over.wait(_POLL_SECONDS):
            with contextlib.suppress(Exception):  # It is starting, or being restarted.
                self._newest.append(self._client.status())


class Supervisor:
    """Starts workers or adopts them, restarts those that die, and ends them all."""

    def __init__(self, run_dir: pathlib.Path, nodes: list[Node], options: Options, place: Place, display: Display):
        """Initialises; nothing is started.

        Args:
          run_dir: the run's directory.
          nodes: the workers, servers first.
          options: how they are launched.
          place: where.
          display: shows the run.
        """
        self._run_dir = run_dir
        self._nodes = nodes
        self._options = options
        self._place = place
        self._display = display
        self._workers: dict[Node, Worker] = {}
        self._deaths: dict[Node, int] = {}
        self._started_at: dict[Node, float] = {}
        self._restart_at: dict[Node, float] = {}
        self._places: dict[Node, str] = {}  # where the fault came from that ended a worker last
        self._recorded: list[dict[str, Any]] = []
        self._is_asked_to_stop = False

    def start(self) -> None:
        """Starts every worker."""
        self._write_record()  # So that a launcher that attaches finds all that is being started.
        for node in self._nodes:
            self._start(node)
        self._write_record()

    def adopt(self, records: list[dict[str, Any]]) -> None:
        """Takes over workers that another process started; those that have died since are started again."""
        by_node = {Node(record["role"], record["index"]): record for record in records}
        for node in self._nodes:
            if "pid" in by_node.get(node, {}):
                self._workers[node] = self._place.adopt(node, by_node[node])
                self._started_at[node] = time.monotonic()
            else:
                self._start(node)
        self._write_record()

    def watch(self, stop: threading.Event) -> None:
        """Returns when the learner is done, or has written its checkpoint after `stop` was set.

        Raises:
          UserError: a worker ended with a sentence for the user, which this is.
          RunFailed: a worker kept dying, or no restart would help; the message begins with the reason.
          PlaceLost: the place of the workers is gone.
        """
        with _Progress(self._place.learner_port) as progress:
            self._watch(stop, progress)

    def _watch(self, stop: threading.Event, progress: "_Progress") -> None:
        stop_by: float | None = None
        began, answered = time.monotonic(), False
        while True:
            code = self._workers[LEARNER].exit_code()
            self._place.check()
            if code == 0:
                return
            for status in progress.new():
                self._display.update(status)
                answered = True
            if not answered:
                self._display.update(Status("starting", walltime=time.monotonic() - began))
            if stop.is_set():
                if stop_by is None:
                    self._display.message("stopping: writing a checkpoint")
                    stop_by = time.monotonic() + self._place.stop_seconds
                    self._is_asked_to_stop = True
                    self._workers[LEARNER].terminate()
                if code is not None:
                    self._raise_if_hopeless(LEARNER, code)
                    self._display.message("the learner had died: its newest checkpoint is an earlier one")
                    return
                if time.monotonic() > stop_by:
                    self._display.message("the learner did not end in time: its newest checkpoint is an earlier one")
                    return
            else:
                self._restart_dead()
                self._write_record()
            time.sleep(_POLL_SECONDS)

    def end(self) -> None:
        """Ends every worker: those that do not go when asked are killed.

        Where the run has failed, the learner first has the time to write its checkpoint and the recording.
        """
        learner = self._workers.get(LEARNER)
        if learner is not None and learner.exit_code() is None and not self._is_asked_to_stop:
            learner.terminate()
            deadline = time.monotonic() + self._place.stop_seconds
            while time.monotonic() < deadline and learner.exit_code() is None:
                time.sleep(0.05)
        for worker in self._workers.values():
            worker.terminate()
        deadline = time.monotonic() + _EXIT_SECONDS
        while time.monotonic() < deadline and any(w.exit_code() is None for w in self._workers.values()):
            time.sleep(0.05)
        for worker in self._workers.values():
            worker.kill()
        self._place.close()
        for node in self._nodes:
            node_files.exit_path(self._run_dir, node).unlink(missing_ok=True)
        node_files.remove_record(self._run_dir)

    def _start(self, node: Node) -> None:
        node_files.exit_path(self._run_dir, node).unlink(missing_ok=True)
        self._workers[node] = self._place.start(node)
        self._started_at[node] = time.monotonic()

    def _restart_dead(self) -> None:
        for node, worker in list(self._workers.items()):
            if node in self._restart_at:
                if time.monotonic() >= self._restart_at[node]:
                    del self._restart_at[node]
                    self._start(node)
                continue
            code = worker.exit_code()
            if code in (None, 0):
                continue
            self._place.check()
            ending = self._raise_if_hopeless(node, code)
            lived = time.monotonic() - self._started_at[node]
            deaths = self._deaths[node] = 1 if lived > _STABLE_SECONDS else self._deaths.get(node, 0) + 1
            allowed = self._options.roles.of(node).max_restarts
            if deaths > allowed:
                times = "once" if deaths == 1 else f"{deaths} times"
                self._raise_failed(node, ending, f"{node.name} died {times}, the last time with exit code {code}")
            delay = min(_BACKOFF_SECONDS * 2 ** (deaths - 1), _MAX_BACKOFF_SECONDS)
            self._restart_at[node] = time.monotonic() + delay
            reason = f": {ending.report.splitlines()[0]}" if ending.report else ""
            self._display.message(
                f"{node.name} died (exit code {code}); restart {deaths} of {allowed} in {delay:.0f} s{reason}"
            )

    def _raise_if_hopeless(self, node: Node, code: int) -> Ending:
        """Returns how a worker ended, if a restart may help.

        Raises:
          UserError: the user has to do something first.
          RunFailed: a restart would meet the same fault.
        """
        ending = node_files.read_ending(node_files.exit_path(self._run_dir, node)) or Ending(code)
        log = node_files.log_path(self._run_dir, node)
        before, self._places[node] = self._places.get(node), ending.place
        if code == USER_ERROR:
            last = ending.report or node_files.log_lines(self._run_dir, node)[-1].removeprefix("error: ")
            raise errors.UserError(f"{last} [{log}]")
        if code == CERTAIN:
            self._raise_failed(node, ending, f"{node.name} would meet this again if it were restarted")
        if code == EARLY and ending.place and ending.place == before:
            self._raise_failed(node, ending, f"{node.name} has met this twice in a row, at once each time")
        return ending

    def _raise_failed(self, node: Node, ending: Ending, what: str) -> NoReturn:
        """Raises RunFailed: the reason, what became of the worker, and where its log is."""
        log = node_files.log_path(self._run_dir, node)
        if ending.report:
            raise errors.RunFailed(f"{ending.report}\n{what}; the full trace is in {log}.")
        tail = "\n".join(node_files.log_lines(self._run_dir, node)[-_LOG_TAIL:])
        raise errors.RunFailed(f"{what}; its log, {log}, ends so:\n{tail}")

    def _write_record(self) -> None:
        """Writes down where each worker is, if that has changed."""
        nodes = [{**dataclasses.asdict(node), **worker.record()} for node, worker in self._workers.items()]
        if nodes != self._recorded or not nodes:
            Record(self._place.launcher, self._options, self._place.record(), nodes).write(self._run_dir)
            self._recorded = nodes
