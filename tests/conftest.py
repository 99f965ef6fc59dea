"""Settings of every test, made before anything imports JAX, MuJoCo or TensorFlow; processes that tests start inherit
them."""

import ast
import gc
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")  # a [B] minus a [B, 1] is an error
os.environ.setdefault("MUJOCO_GL", "disable")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

REPOSITORY = Path(__file__).parents[1]

# What XLA compiles is kept: most tests compile updates that others have compiled before. CI trusts nothing stale.
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
_IS_FRESH = "CI" in os.environ and "JAX_COMPILATION_CACHE_DIR" not in os.environ
_FRESH_CACHE = tempfile.mkdtemp(prefix="acme-agents-xla-") if _IS_FRESH else None
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _FRESH_CACHE or str(REPOSITORY / ".pytest_cache" / "xla"))

_MOST_CPU_SECONDS = 10.0  # of CPU that a test may take which is not marked slow
_MOST_QUICK_CPU_SECONDS = 4.0  # that one not marked long may take: it takes one, but machines are loaded
_MOST_QUICK_TOGETHER = 360.0  # of CPU that those take: three minutes on two cores
_SHOWN = 20  # tests that took most
_MOST_MEMORY = 3 * 2**30  # bytes of a process of tests, before what JAX has compiled is given up


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """XLA compiles a test's programs in a fifth of the time where it optimises little; slow tests run theirs long.

    This is a hook so that it comes before the fixtures of modules, whose numbers tests compare with their own.
    """
    import jax  # Its settings are those above.

    jax.config.update("jax_disable_most_optimizations", "slow" not in item.keywords)
    if not _compiled:
        _compiled.append(0)
        jax.monitoring.register_event_listener(_count_compiled)


_compiled: list[int] = []  # programs that were not in the compilation cache so far; empty before the first test


def _count_compiled(event: str, **_: object) -> None:
    if event == "/jax/compilation_cache/cache_misses":
        _compiled[0] += 1


@pytest.fixture(scope="module", autouse=True)
def give_up_compiled_programs() -> Iterator[None]:
    """JAX keeps every program that was compiled, in memory: gigabytes, by the end of all tests."""
    yield
    if "jax" in sys.modules and _memory() > _MOST_MEMORY:
        sys.modules["jax"].clear_caches()


def _memory() -> int:
    """Bytes of this process that are in memory; 0 where the system does not say so."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files first that are likely to take longest, so that the last ones end together.

    Those with hosts come before all: they mostly wait, and `pytest_xdist_make_scheduler` keeps them together.
    """
    seconds: dict[Path, float] = {}
    for item in items:
        likely = math.inf if "cluster" in item.keywords else 15.0 if "slow" in item.keywords else 0.3
        seconds[item.path] = seconds.get(item.path, 0.0) + likely
    items.sort(key=lambda item: (-seconds[item.path], item.path))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Gives all tests with hosts to one worker, one after the other: it waits while the others compute."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return "tests/cluster" if file.startswith("tests/cluster/") else file

    return Scheduling(config, log)


def pytest_collection_finish() -> None:
    """Spares Python's collector the modules and tests, which stay: tracing makes garbage, and each search for it looked
    at all of them.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 10)


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def imports_of() -> Callable[[Path], set[str]]:
    """A function from a source file to the dotted names it imports anywhere, inside functions too."""

    def read(path: Path) -> set[str]:
        package = path.relative_to(REPOSITORY).parent.parts
        names = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else ()
                module = ".".join((*base, *filter(None, [node.module])))
                names.update(f"{module}.{alias.name}" for alias in node.names)  # the name may be a module
        return names

    return read


class _Spent(NamedTuple):
    """What a test took, with its fixtures and the processes that it started and that have ended."""

    test: str
    mark: str  # slow, long, or empty for neither
    cpu_seconds: float
    seconds: float
    compiled: int  # programs that it compiled and no test had compiled before it, as far as the cache knows

    @property
    def allowed(self) -> tuple[float, str]:
        """The seconds of CPU that its mark allows, and the mark that would allow more.

        A quick test is held to its own limit where the cache had all that it compiled. CI starts without a cache and on
        any machine, and asks only that what takes long is marked slow.
        """
        if self.mark == "slow":
            return math.inf, ""
        is_quick = not (self.mark or self.compiled or "CI" in os.environ)
        return (_MOST_QUICK_CPU_SECONDS, "long") if is_quick else (_MOST_CPU_SECONDS, "slow")

    @property
    def is_too_long(self) -> bool:
        """Whether it takes more CPU than its mark allows."""
        return self.cpu_seconds > self.allowed[0]


_STARTED = pytest.StashKey[tuple[float, float, int]]()
_SPENT = pytest.StashKey[list[_Spent]]()


def _cpu_seconds() -> float:
    return sum(os.times()[:4])  # user and system, of this process and of its children


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    item.stash[_STARTED] = _cpu_seconds(), time.monotonic(), sum(_compiled)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when == "teardown":  # Properties travel with the report from a worker of pytest-xdist.
        cpu_seconds, began, compiled = item.stash[_STARTED]
        mark = next((mark for mark in ("slow", "long") if mark in item.keywords), "")
        took = _cpu_seconds() - cpu_seconds, time.monotonic() - began
        spent = _Spent(item.nodeid, mark, *took, sum(_compiled) - compiled)
        report.user_properties.append(("spent", tuple(spent)))
    return report


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_SPENT] = []
    config.pluginmanager.register(_Collector(config.stash[_SPENT]))


class _Collector:
    """Gathers what tests took, wherever they ran."""

    def __init__(self, spent: list[_Spent]):
        self._spent = spent

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._spent += [_Spent(*value) for name, value in report.user_properties if name == "spent"]


def _too_long(config: pytest.Config) -> list[_Spent]:
    return [spent for spent in config.stash[_SPENT] if spent.is_too_long]


def _is_quick_alone(config: pytest.Config) -> bool:
    """Whether this run is of the quick tests alone, as `make test-fast` is."""
    return all(f"not {mark}" in config.option.markexpr for mark in ("slow", "long"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails a run of CI, and one of the quick tests, where a test took more CPU than its mark allows."""
    is_strict = "CI" in os.environ or _is_quick_alone(session.config)
    if is_strict and session.exitstatus == pytest.ExitCode.OK and _too_long(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Lists the tests that took most CPU, and those that took too much."""
    spent_by_all = config.stash[_SPENT]
    longest = sorted(spent_by_all, key=lambda spent: -spent.cpu_seconds)[:_SHOWN]
    terminalreporter.section(f"{len(longest)} slowest tests: seconds of CPU, of wall time")
    for spent in longest:
        mark = f" ({spent.mark})" if spent.mark else ""
        terminalreporter.line(f"{spent.cpu_seconds:7.1f} {spent.seconds:7.1f} {spent.test}{mark}")
    for spent in _too_long(config):
        most, mark = spent.allowed
        terminalreporter.line(
            f"{spent.test} took {spent.cpu_seconds:.1f} s of CPU: make it cheaper than {most:.0f} s, or mark it {mark}."
        )
    if _is_quick_alone(config):
        together = sum(spent.cpu_seconds for spent in spent_by_all)
        compiled = sum(spent.compiled for spent in spent_by_all)
        terminalreporter.line(f"{together:.0f} s of CPU in all; {compiled} programs were not in the compilation cache.")
        if together > _MOST_QUICK_TOGETHER and not compiled:
            terminalreporter.line(f"That is more than {_MOST_QUICK_TOGETHER:.0f} s: mark the longest of them long.")


def pytest_unconfigure(config: pytest.Config) -> None:
    if _FRESH_CACHE is not None and not hasattr(config, "workerinput"):
        shutil.rmtree(_FRESH_CACHE, ignore_errors=True)
