"""How this process's memory is given back to the system."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>
_KEPT_BYTES = 64 << 20
_MMAP_BYTES = 32 << 20  # the most that glibc takes


def keep_freed() -> None:
    """Has this process keep up to 64 MiB that it has freed, to use them again.

    Else a process that gets the same megabytes again and again, as an actor does its parameters, has the system clear
    new pages for each of their copies: most of the CPU that they take (benchmarks/scaling.py).
    """
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
    libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
