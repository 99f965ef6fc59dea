"""`acme-agents benchmark`: plans, checks, runs and reports."""

import contextlib
import importlib.util
import pathlib
import shlex
import time
from collections.abc import Callable, Iterator

from acme_agents.core import errors
from acme_agents.launch import run_dir as run_dir_lib
from acme_agents.launch.benchmark import outcomes, plan, report, scheduling, validation
from acme_agents.launch.commands import Benchmark

_SHOWN = 5  # failed runs that are named at the end

# Writes the report of a plan's runs into the benchmark's directory; returns its path.
Write = Callable[[plan.Plan, pathlib.Path], pathlib.Path]


def benchmark(options: Benchmark, *, say: Callable[[str], None], program: str = "acme-agents") -> bool:
    """Runs what is missing of a benchmark, and writes its report.

    Args:
      options: the command line's.
      say: called with each line on how it goes on.
      program: how the command line is called, for a line that says how to continue.

    Returns:
      Whether a run has failed.

    Raises:
      UserError: in one sentence, before anything is started: something is unknown, does not suit or cannot be written,
        or another process works there. Also where the disk is full.
    """
    return carry_out(options, say=say, again=f"{program} benchmark", write=report.write)


def carry_out(options: Benchmark, *, say: Callable[[str], None], again: str, write: Write) -> bool:
    """Runs what is missing of a benchmark, and writes a report of it.

    Args:
      options: of which runs.
      say: called with each line on how it goes on.
      again: what to call with --output to continue.
      write: writes the report.

    Returns:
      Whether a run has failed.

    Raises:
      UserError: see `benchmark`.
    """
    for package in ("matplotlib", "rliable"):
        if importlib.util.find_spec(package) is None:
            raise errors.UserError(f"The report needs {package}, which is not installed: install the extra `plot`.")
    if options.output is None:
        raise errors.UserError("Name the directory of the benchmark: --output DIR.")
    if options.parallel < 1:
        raise errors.UserError(f"--parallel must be at least 1, not {options.parallel}.")
    directory = options.output
    with _said_of(directory):
        if options.report_only:
            planned = plan.Plan.read(directory)
            if planned is None:
                raise errors.UserError(f"There is no benchmark in {directory}: name one with --output.")
            say(str(write(planned, directory)))
            return False
        return _run(options, directory, say, again, write)


def _run(options: Benchmark, directory: pathlib.Path, say: Callable[[str], None], again: str, write: Write) -> bool:
    from acme_agents.launch.run import stop_on_signals

    with _held(directory, made=False):
        planned = plan.make(options, plan.Plan.read(directory))
        if planned.launcher == "ray" and options.address is None:
            raise errors.UserError("Which cluster? Give the address of its head: --address HOST:PORT.")
        pending = _pending(planned, directory)
        if pending:
            pairs = {(run.task, run.variant.label) for run in pending}
            say(f"checking agents and tasks: {len(pairs)} combination{'s' * (len(pairs) > 1)}")
            validation.check(planned, pending)
    with _held(directory, made=True), stop_on_signals() as stop:
        planned = plan.make(options, plan.Plan.read(directory))
        pending = _pending(planned, directory)
        outcomes.make_directories(directory)
        planned.write(directory)
        num_runs = len(planned.runs())
        say(f"{directory}: {num_runs - len(pending)} of {num_runs} runs have finished, {len(pending)} to do")
        scheduling.run_all(
            planned,
            directory,
            pending,
            parallel=options.parallel,
            flags=_flags(options),
            stop=stop,
            say=lambda line: say(f"[{time.strftime('%H:%M:%S')}] {line}"),
        )
        page = write(planned, directory)
        found = {run: outcome for run in planned.runs() if (outcome := outcomes.read(directory, run))}
    failed = [run for run, outcome in found.items() if outcome.state == outcomes.FAILED]
    finished = sum(outcome.state == outcomes.FINISHED for outcome in found.values())
    if stop.is_set():
        say(f"stopped; continue with: {again} --output {shlex.quote(str(directory))}")
    if failed:
        named = "; ".join(map(str, failed[:_SHOWN])) + ("; ..." if len(failed) > _SHOWN else "")
        say(f"{len(failed)} of {num_runs} runs have failed: {named}. The same command tries them again.")
    say(f"{finished} of {num_runs} runs have finished; report {page}")
    return bool(failed)


def _pending(planned: plan.Plan, directory: pathlib.Path) -> list[plan.Run]:
    """The runs that have not finished."""
    found = [(run, outcomes.read(directory, run)) for run in planned.runs()]
    return [run for run, outcome in found if outcome is None or outcome.state != outcomes.FINISHED]


def _flags(options: Benchmark) -> list[str]:
    """Flags of `train` that do not change what a run is, and may be others when it is continued."""
    flags = ["--checkpoint-seconds", str(options.checkpoint_seconds)]
    flags += ["--address", options.address] if options.address is not None else []
    return flags + (["--compilation-cache", options.compilation_cache] if options.compilation_cache is not None else [])


@contextlib.contextmanager
def _held(directory: pathlib.Path, *, made: bool) -> Iterator[None]:
    """Holds the benchmark's directory for this process; with `made` unset, only if it is one already.

    Raises:
      UserError: another process holds it, or it is something else.
    """
    if made:
        directory.mkdir(parents=True, exist_ok=True)
    if not made and not (directory / "lock").exists():
        yield
        return
    with run_dir_lib.held(directory, option="--output"):
        yield


@contextlib.contextmanager
def _said_of(directory: pathlib.Path) -> Iterator[None]:
    """Says in a sentence why the directory cannot be used."""
    try:
        yield
    except OSError as error:
        raise errors.UserError(
            f"The directory {directory} cannot be used ({error.strerror or error}: {error.filename or directory}): "
            "free some space or choose another --output."
        ) from error
