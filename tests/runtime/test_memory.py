"""How memory is given back."""

import multiprocessing
import resource

from acme_agents.runtime import memory


def _faults(keep: bool) -> int:
    """Pages that the system clears for a process that gets and frees 9 MB three times over, ten times."""
    if keep:
        memory.keep_freed()

    def get_and_free() -> None:
        copies = [b"\1" * 9_000_000 for _ in range(3)]
        del copies

    get_and_free()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        get_and_free()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_what_is_freed_is_used_again():
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        pages = 10 * 3 * 9_000_000 // resource.getpagesize()
        assert pool.apply(_faults, (False,)) > pages / 3  # glibc's threshold grows with what it sees.
        assert pool.apply(_faults, (True,)) < pages / 100
