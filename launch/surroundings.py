"""What a process finds around it: standard streams, a home, a working directory. Made fit for a run, or refused."""

import atexit
import contextlib
import io
import os
import pathlib
import select
import shutil
import sys
import tempfile
from collections.abc import Iterator

from acme_agents.core import errors
from acme_agents.runtime import loopback

PIPE_CLOSED = 141  # exit code of a command whose reader has gone, as of one that SIGPIPE ends


def prepare() -> None:
    """Makes up for what is missing around this process; safe to call twice, and best before anything is imported.

    Raises:
      UserError: the working directory has been deleted.
    """
    _open_standard_streams()
    _print_whatever_it_is()
    _find_a_home()
    loopback.without_proxy()
    try:
        os.getcwd()
    except FileNotFoundError:
        raise errors.UserError("The working directory has been deleted: change to one that exists.") from None


@contextlib.contextmanager
def reader_may_go() -> Iterator[None]:
    """Ends the process without a word, and with `PIPE_CLOSED`, when nobody reads its output any more (`| head`)."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _reader_has_gone():  # It is another pipe's.
            raise
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), sys.stdout.fileno())  # Else Python complains when it flushes at its end.
        sys.exit(PIPE_CLOSED)


def _reader_has_gone() -> bool:
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _open_standard_streams() -> None:
    """Opens on the null device the standard streams that are closed, as after `2>&-`.

    Else the next file that is opened takes the number, and what is printed goes into it.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null == descriptor:
                os.set_inheritable(null, True)
            else:
                os.dup2(null, descriptor)
                os.close(null)
            setattr(sys, name, os.fdopen(descriptor, mode))


def _print_whatever_it_is() -> None:
    """Prints characters that the terminal's encoding lacks as escapes, where Python would raise an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _find_a_home() -> None:
    """Makes an empty home for a user who has none: libraries such as Matplotlib keep files there."""
    try:
        pathlib.Path.home()
    except RuntimeError:  # HOME is not set, and the system does not know the user, as in many a container.
        home = os.environ["HOME"] = tempfile.mkdtemp(prefix="acme-agents-home-")
        atexit.register(shutil.rmtree, home, ignore_errors=True)
