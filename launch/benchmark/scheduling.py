"""Runs the runs of a benchmark, each in a process of its own: one after the other, or some side by side."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

import psutil

from acme_agents.core import checkpoint, errors
from acme_agents.launch import node_files, parent
from acme_agents.launch import run_dir as run_dir_lib
from acme_agents.launch.benchmark import outcomes
from acme_agents.launch.benchmark.plan import Plan, Run

Say = Callable[[str], None]

_PROGRAM = (sys.executable, "-m", "acme_agents.launch.main")
_POLL_SECONDS = 0.2
_MEMORY_SECONDS = 2.0  # between two looks at the memory that a run takes
_PROGRESS_SECONDS = 60.0  # between two lines on how far the runs are
_TAIL_BYTES = 20_000  # of a log, for its last lines
_REASON_LINES = 6


def run_all(
    plan: Plan,
    directory: pathlib.Path,
    pending: Sequence[Run],
    *,
    parallel: int,
    flags: Sequence[str],
    stop: threading.Event,
    say: Say,
) -> None:
    """Runs what is pending, until it has finished or failed, or `stop` is set; then the runs stop with a checkpoint.

    A run that was begun before is continued. One that fails keeps no other from running.

    Args:
      plan: how each is run.
      directory: the benchmark's.
      pending: the runs, in their order.
      parallel: how many run side by side.
      flags: of `acme-agents train`, for all.
      stop: set to end early.
      say: called with a line on whatever begins or ends.
    """
    waiting, active = list(pending), list[_Child]()
    in_use: set[Run] = set()
    told = time.monotonic()
    try:
        while active or (waiting and not stop.is_set()):
            for child in list(active):
                if stop.is_set():
                    child.stop()
                if child.has_ended():
                    active.remove(child)
                    say(child.conclude())
            free = [run for run in waiting if not _is_in_use(directory, run)]
            for run in [run for run in waiting if run not in free and run not in in_use]:
                in_use.add(run)
                say(f"{run}: another process works in {outcomes.run_dir(directory, run)}; its end is waited for")
            while free and len(active) < parallel and not stop.is_set():
                waiting.remove(run := free.pop(0))
                number = len(pending) - len(waiting)
                active.append(_Child(plan, directory, run, parallel=parallel, flags=flags))
                say(f"{active[-1].began} {number}/{len(pending)}: {run}")
            if time.monotonic() - told > _PROGRESS_SECONDS:
                told = time.monotonic()
                for child in active:
                    say(f"{child.run}: {child.progress()}")
            time.sleep(_POLL_SECONDS)
    finally:
        for child in active:  # An error, or a second Ctrl-C: they stop with a checkpoint by themselves.
            child.stop()


class _Child:
    """The process of a run.

    Attributes:
      run: which run.
      began: what was done to it, in a word.
    """

    def __init__(self, plan: Plan, directory: pathlib.Path, run: Run, *, parallel: int, flags: Sequence[str]):
        """Starts the process: it begins the run, continues it, or watches over workers whose launcher has died."""
        self.run = run
        self._directory = directory
        self._log = outcomes.log(directory, run)
        self._offset = self._log.stat().st_size if self._log.exists() else 0
        self._since = time.monotonic()
        self._stopping = False
        self._next_look = 0.0
        before = outcomes.read(directory, run) or outcomes.Outcome("", load=os.getloadavg()[0])
        self._outcome = before._replace(
            state=outcomes.RUNNING,
            reason=None,
            lives=before.lives + 1,
            parallel=max(parallel, before.parallel),
            hardware=outcomes.hardware(),
        )
        self._outcome.write(directory, run)
        self.began, arguments = _command(plan, directory, run, flags)
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [*_PROGRAM, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for this process, which passes it on.
                preexec_fn=parent.end_with_it,
            )

    def stop(self) -> None:
        """Asks it, once, to stop with a checkpoint."""
        if not self._stopping and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._stopping = True

    def has_ended(self) -> bool:
        """Whether it has ended; looks at its memory now and then while it has not."""
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _MEMORY_SECONDS
            memory = _memory(self._process.pid)
            if memory > self._outcome.peak_memory:
                self._outcome = self._outcome._replace(peak_memory=memory)
                self._outcome.write(self._directory, self.run)
        return self._process.poll() is not None

    def progress(self) -> str:
        """Its newest line of progress."""
        lines = [line for line in self._said() if line.startswith("[")]
        return lines[-1] if lines else "starting"

    def conclude(self) -> str:
        """Writes how it has ended; returns that in a line."""
        code, said = self._process.wait(), self._said()
        if self._stopping and code == -signal.SIGTERM:  # It had not come as far as to heed the signal.
            state, reason = outcomes.STOPPED, None
        elif code == 0:
            is_finished = bool(said) and not said[-1].startswith("stopped")
            state, reason = outcomes.FINISHED if is_finished else outcomes.STOPPED, None
        else:
            state, reason = outcomes.FAILED, _reason(code, said)
        self._outcome = self._outcome._replace(state=state, reason=reason)
        self._outcome.write(self._directory, self.run)
        took = f"after {(time.monotonic() - self._since) / 60:.1f} minutes"
        return f"{state} {took}: {self.run}" + (f": {reason}. Its log is {self._log}" if reason else "")

    def _said(self) -> list[str]:
        """The last lines that it has printed."""
        with self._log.open("rb") as log:
            log.seek(max(self._offset, self._log.stat().st_size - _TAIL_BYTES))
            return [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]


def _command(plan: Plan, directory: pathlib.Path, run: Run, flags: Sequence[str]) -> tuple[str, list[str]]:
    """What `acme-agents` is to be called with for a run, and a word for it.

    What a run left that never came to a checkpoint is deleted, and it begins again.
    """
    run_dir = outcomes.run_dir(directory, run)
    record = node_files.read_record(run_dir)
    if record is not None and run_dir_lib.work_goes_on(record):
        return "watching over", ["attach", str(run_dir)]
    of_seeds = run_dir_lib.of_seeds(run_dir)
    if len(of_seeds) == run.num_seeds and all(checkpoint.steps(each / checkpoint.DIRECTORY) for each in of_seeds):
        return "continued", ["resume", str(run_dir), *flags]
    if run_dir.exists():
        shutil.rmtree(run_dir)
    options = {
        "env": run.task,
        "seed": run.seed,
        "seeds": run.num_seeds,
        "steps": plan.steps,
        "eval-every": plan.eval_every,
        "eval-episodes": plan.eval_episodes,
        "launcher": plan.launcher,
        "actors": plan.actors,
        "environments-per-actor": plan.environments_per_actor,
        "run-dir": run_dir,
    }
    given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return "started", ["train", run.variant.agent, *given, *flags, *run.variant.flags("--config.")]


def _is_in_use(directory: pathlib.Path, run: Run) -> bool:
    """Whether another process holds a run's directory, as one does whose benchmark was killed while it stops."""
    run_dir = outcomes.run_dir(directory, run)
    if not (run_dir / "lock").exists():
        return False
    try:
        with run_dir_lib.held(run_dir):
            return False
    except errors.UserError:
        return True


def _memory(pid: int) -> int:
    """Bytes that a process and those below it have in memory; shared pages count for each."""
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += each.memory_info().rss
    return total


def _reason(code: int, said: Sequence[str]) -> str:
    """Why a process failed: the last error that it printed, else how it ended."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    begun = [i for i, line in enumerate(said) if line.startswith("error: ")]
    if begun:
        return "\n".join(said[begun[-1] :][:_REASON_LINES]).removeprefix("error: ").rstrip(".")
    return f"exit code {code}, {said[-1]}" if said else f"exit code {code}"
