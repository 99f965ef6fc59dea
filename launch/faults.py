"""What a person is told of an exception: the sentence that says what to do, or what failed where in their own code."""

import contextlib
import errno
import pathlib
import sysconfig
import tempfile
import traceback

import acme_agents
from acme_agents import environments
from acme_agents.core import errors, packages

_FRAMES = 5  # of the user's code that are shown, the innermost
_MESSAGE_LINES = 12  # of an exception's message that are shown: XLA's can be pages
_OUR_PACKAGES = [pathlib.Path(package.__path__[0]).resolve() for package in (acme_agents, environments)]
_OUR_CODE = {*_OUR_PACKAGES, pathlib.Path(__file__).resolve().parent}
_STANDARD_LIBRARY = {pathlib.Path(sysconfig.get_paths()[name]).resolve() for name in ("stdlib", "platstdlib")}
_INSTALLED = {"site-packages", "dist-packages"}

# What can go wrong with our own files, and what to do about it where that is not plain.
_OF_FILES = {
    errno.ENOSPC: "free some space, then continue with --resume",
    errno.EDQUOT: "free some space, then continue with --resume",
    errno.EACCES: "choose a path that you may use",
    errno.EPERM: "choose a path that you may use",
    errno.EROFS: "choose a path that can be written to",
    errno.ENOENT: "",
    errno.ENOTDIR: "",
    errno.EISDIR: "",
    errno.EEXIST: "",
    errno.ENOTEMPTY: "",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.ELOOP: "",
    errno.EIO: "",
    errno.EFBIG: "",
    errno.EPIPE: "",
    errno.EMFILE: "allow more open files with `ulimit -n`",
    errno.ENFILE: "",
}


def sentence(error: BaseException) -> str | None:
    """The sentence for a user's mistake or an expected trouble; None for a fault."""
    if isinstance(error, (errors.UserError, errors.RunFailed)):
        return str(error)
    if isinstance(error, errors.EnvironmentFault) and error.permanent:  # It says what has the wrong shape.
        return str(error)
    if isinstance(error, ModuleNotFoundError) and not _users_frames(error) and (advice := packages.advice(error)):
        return advice
    if isinstance(error, OSError) and error.errno in _OF_FILES and not _users_frames(error):
        where = f" ({error.filename})" if error.filename else ""
        advice = _OF_FILES[error.errno]
        return f"{error.strerror}{where}{': ' if advice else ''}{advice}."
    return None


def is_mendable(error: BaseException) -> bool:
    """Whether the user can do something about it."""
    return sentence(error) is not None and not isinstance(error, errors.RunFailed)


def report(error: BaseException) -> str:
    """What a person is told: the sentence, or the exception and the frames of the user's code that it came through.

    Where none of those frames are the user's, the innermost of all are shown; but not where the sentence says what
    failed: an environment, or a function of an agent.
    """
    told = sentence(error)
    if told is not None:
        return told
    if isinstance(error, (errors.EnvironmentFault, errors.AgentFault)):
        head = str(error)
    else:
        lines = "".join(traceback.format_exception_only(type(error), error)).rstrip().splitlines()
        head = "\n".join([*lines[:_MESSAGE_LINES], *(["..."] if len(lines) > _MESSAGE_LINES else [])])
    return "\n".join([head, *map(_describe, _shown(error))])


def place(error: BaseException) -> str:
    """The exception's type and where it was raised: equal for equal faults, whatever their messages say."""
    found = _shown(error)
    where = f" at {found[-1].filename}:{found[-1].lineno}" if found else ""
    return f"{type(_chain(error)[-1]).__name__}{where}"


def is_users(error: BaseException) -> bool:
    """Whether it came through code that is neither ours nor of an installed package."""
    return any(_users_frames(link) for link in _chain(error))


def note_log(error: BaseException, path: pathlib.Path) -> None:
    """Remembers where its full trace has been written."""
    with contextlib.suppress(AttributeError):  # of an exception that takes none
        error._acme_agents_log = path  # type: ignore[attr-defined]


def log_of(error: BaseException) -> pathlib.Path | None:
    """The file with its full trace, written now if it was not before; None if it cannot be written."""
    path = getattr(error, "_acme_agents_log", None)
    if path is not None:
        return path
    try:
        with tempfile.NamedTemporaryFile("w", prefix="acme-agents-", suffix=".log", delete=False) as log:
            traceback.print_exception(error, file=log)
            return pathlib.Path(log.name)
    except OSError:
        return None


def _shown(error: BaseException) -> list[traceback.FrameSummary]:
    """The innermost frames of the user's code, outermost first; of any code where none is the user's."""
    chain = _chain(error)
    for link in chain:
        if found := _users_frames(link):
            return found[-_FRAMES:]
    if isinstance(error, (errors.EnvironmentFault, errors.AgentFault)):
        return []
    innermost = traceback.extract_tb(chain[-1].__traceback__)
    return [frame for frame in innermost if not _is_pythons(frame.filename) and frame.line][-2:]


def _chain(error: BaseException) -> list[BaseException]:
    """The exception, what caused it, what caused that, and so on."""
    chain = [error]
    while (cause := _cause(chain[-1])) is not None and cause not in chain:
        chain.append(cause)
    return chain


def _cause(error: BaseException) -> BaseException | None:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    # JAX has the frames that it has left out of a trace as a cause.
    return None if cause is None or type(cause).__module__.startswith("jax.") else cause


def _users_frames(error: BaseException) -> list[traceback.FrameSummary]:
    return [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users_file(frame.filename)]


def _is_users_file(name: str) -> bool:
    if _is_pythons(name):
        return False
    path = pathlib.Path(name).resolve()
    # What was compiled by Cython names files that are not there.
    return path.is_file() and not (_INSTALLED & set(path.parts) or _OUR_CODE & set(path.parents))


def _is_pythons(name: str) -> bool:
    if name.startswith("<"):  # <frozen importlib._bootstrap>, <string>
        return True
    path = pathlib.Path(name).resolve()
    return bool(_STANDARD_LIBRARY & set(path.parents)) and not _INSTALLED & set(path.parts)


def _describe(frame: traceback.FrameSummary) -> str:
    source = f"\n    {frame.line}" if frame.line else ""
    return f"  {frame.filename}:{frame.lineno}, in {frame.name}{source}"
