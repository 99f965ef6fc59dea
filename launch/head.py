"""The way to a Ray cluster: joining it, and looking after its head, without which there is none."""

import concurrent.futures
import contextlib
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import ray
import ray._private.worker

from acme_agents.core import errors
from acme_agents.launch.node_files import STOP_SIGNALS
from acme_agents.launch.options import Options

NAMESPACE = "acme_agents"  # of Ray's names

_CONNECT_SECONDS = 5.0  # that the head of the cluster has to answer
_LOOK_SECONDS = 2.0  # between looks at the head, and that each may take


def connect(options: Options, otherwise: str) -> None:
    """Connects this process to the cluster.

    Raises:
      UserError: none answers, and what to do `otherwise`; or it is of another version.
    """
    try:
        host, own = knock(options)
    except OSError as error:
        raise errors.UserError(
            f"No Ray cluster answers at {options.address} ({error.strerror or error}): {otherwise}."
        ) from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        with _kept_signal_handlers():
            ray.init(
                address=options.address,
                namespace=NAMESPACE,
                log_to_driver=False,
                configure_logging=False,
                # Else hosts that share a process table are taken for one.
                _node_ip_address=None if own == host and own.startswith("127.") else own,
            )
        _hush()
    except (ConnectionError, RuntimeError) as error:
        raise errors.UserError(
            f"The Ray cluster at {options.address} cannot be joined "
            f"({' '.join(str(error).split())[:300] or 'it does not answer'}); this must run on one of its hosts, with "
            "its version of Ray and Python."
        ) from error


def knock(options: Options, timeout: float = _CONNECT_SECONDS) -> tuple[str, str]:
    """Connects to the cluster's head, and hangs up: its host, and the address of this machine that leads there.

    Raises:
      OSError: it does not answer within `timeout` seconds.
    """
    assert options.address is not None
    host, _, port = options.address.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=timeout) as probe:
        return host, probe.getsockname()[0]


class Head:
    """Looks after the head of a cluster, in a thread of its own.

    Attributes:
      answers: whether it did when it was last looked at.
    """

    def __init__(self, options: Options):
        """Begins to look at the head of the cluster that the options name."""
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
                knock(self._options, _LOOK_SECONDS)
                self.answers, self._heard_at = True, time.monotonic()
                self._answered_at = self._heard_at
            except ConnectionRefusedError:
                self.answers, self._heard_at = False, time.monotonic()
            except OSError:
                self.answers = False
            time.sleep(_LOOK_SECONDS)


class Questions:
    """Asks a cluster one thing after another, in a thread of its own: one that stops may never answer."""

    def __init__(self) -> None:
        """Starts the thread."""
        self._asked: queue.SimpleQueue[tuple[Callable[[], Any], concurrent.futures.Future]] = queue.SimpleQueue()
        threading.Thread(target=self._answer, name="questions", daemon=True).start()

    def ask(self, question: Callable[[], Any]) -> concurrent.futures.Future:
        """Calls `question` after those that were asked before; the future holds what it returns or raises."""
        answer: concurrent.futures.Future = concurrent.futures.Future()
        self._asked.put((question, answer))
        return answer

    def _answer(self) -> None:
        while True:
            question, answer = self._asked.get()
            try:
                answer.set_result(question())
            except Exception as error:
                answer.set_exception(error)


@contextlib.contextmanager
def _kept_signal_handlers() -> Iterator[None]:
    """Undoes what Ray does to signals: a request to stop would print a stack trace and end this process at once."""
    before = {signum: signal.getsignal(signum) for signum in STOP_SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for signum, handler in before.items():
                signal.signal(signum, handler)


def _hush() -> None:
    """Ends the thread in which Ray prints stack traces of its own across the display, as of a cluster that stops."""
    worker: Any = ray._private.worker.global_worker
    worker.threads_stopped.set()
    worker.gcs_error_subscriber.close()
