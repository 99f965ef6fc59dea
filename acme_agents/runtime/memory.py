"""How this process returns memory to the system."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>
_KEPT_BYTES = 64 << 20
_MMAP_BYTES = 32 << 20  # the most that glibc takes


def keep_freed() -> None:
    """Makes this process keep up to 64 MiB of freed memory for reuse.

    Otherwise the system clears new pages for every copy of the parameters that an actor receives, which is most of the
    CPU time that receiving them takes (benchmarks/scaling.py).
    """
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
    libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
