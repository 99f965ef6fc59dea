"""Processes that do not outlive the one that started them."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with_it() -> None:
    """Has the kernel send this process SIGTERM when its parent ends, on Linux: a `preexec_fn` of `subprocess`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
