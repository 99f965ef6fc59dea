"""What takes long, in a thread of its own: its result, its exceptions, and a stop meanwhile."""

import threading
import time

import pytest

from acme_agents.runtime import background


def test_the_result_and_the_exception_are_those_of_the_function() -> None:
    waits: list[float] = []
    assert background.call(lambda: time.sleep(0.25) or 7, background.NEVER, waits.append) == 7
    assert len(waits) >= 2 and waits == sorted(waits)

    def fails() -> None:
        raise KeyError("density")

    with pytest.raises(KeyError, match="density") as raised:
        background.call(fails)
    assert raised.traceback[-1].name == "fails"
    assert not background.is_busy()


def test_a_stop_is_not_kept_waiting() -> None:
    stop, release = threading.Event(), threading.Event()
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    with pytest.raises(background.Stopped):
        background.call(release.wait, stop)
    assert time.monotonic() - began < 60
    assert background.is_busy()
    release.set()
    while background.is_busy():
        time.sleep(0.01)
