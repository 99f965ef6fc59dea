"""Runs long calls that cannot be interrupted in a thread, so that the run can still be displayed and stopped.

XLA compiles in C++, where Python's main thread would not hear of a signal.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")
_WAIT_SECONDS = 0.1

NEVER = threading.Event()  # is never set

_threads: list[threading.Thread] = []  # all that were started; some may have ended


class Stopped(Exception):
    """The run was stopped before there was a result."""


def call(
    function: Callable[[], _T], stop: threading.Event = NEVER, on_wait: Callable[[float], None] = lambda _: None
) -> _T:
    """Calls a function in a thread of its own.

    Args:
      function: what to call; if its result is not waited for, its effects must not matter.
      stop: set to wait no longer; the thread then goes on, and Python does not exit before it has ended.
      on_wait: called several times a second meanwhile, with the seconds so far.

    Returns:
      What the function returns; it raises what the function raises.

    Raises:
      Stopped: `stop` was set.
    """
    outcome: dict[str, Any] = {}

    def run() -> None:
        try:
            outcome["result"] = function()
        except BaseException as error:
            outcome["error"] = error

    began = time.monotonic()
    thread = threading.Thread(target=run, name="background")
    _threads[:] = [*(before for before in _threads if before.is_alive()), thread]
    thread.start()
    while thread.is_alive():
        if stop.is_set():
            raise Stopped
        on_wait(time.monotonic() - began)
        thread.join(_WAIT_SECONDS)
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]


def is_busy() -> bool:
    """Whether such a thread still runs: Python waits for it at exit, even if nothing else does."""
    return any(thread.is_alive() for thread in _threads)
