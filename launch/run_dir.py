"""The directory of a run: made or continued, and never by two at once."""

import contextlib
import dataclasses
import fcntl
import pathlib
import time
from collections.abc import Iterator

from acme_agents.core import errors
from acme_agents.experiments import Experiment
from acme_agents.runtime import checkpoint
from launch import node, processes


def default(experiment: Experiment) -> pathlib.Path:
    """runs/<agent>-<environment>-<time>."""
    environment = "".join(c if c.isalnum() or c in "-_." else "-" for c in experiment.environment)
    return pathlib.Path("runs") / f"{experiment.agent}-{environment}-{time.strftime('%Y%m%d-%H%M%S')}"


@contextlib.contextmanager
def opened(run_dir: pathlib.Path, experiment: Experiment, *, resume: bool) -> Iterator[None]:
    """Makes or continues a run directory, and holds it for this process while the context lasts.

    Args:
      run_dir: its path.
      experiment: what to run.
      resume: whether to continue the run that is there, with the same agent, configuration, environment and seed; the
        rest may be another.

    Raises:
      ValueError: the directory is in use, holds a run and `resume` is not set, or holds none or another and it is.
    """
    if (run_dir / "lock").exists():
        with held(run_dir):
            _check_nobody_works(run_dir)
    if resume:
        _continued(run_dir, experiment)
    elif (run_dir / "config.json").exists():
        raise errors.UserError(
            f"{run_dir} holds a run already: continue it with --resume, or choose another --run-dir."
        )
    if run_dir.exists() and not run_dir.is_dir():
        raise errors.UserError(f"{run_dir} is a file: choose another --run-dir.")
    run_dir.mkdir(parents=True, exist_ok=True)
    with held(run_dir):
        (run_dir / "config.json").write_text(experiment.to_json())
        (run_dir / "logs").mkdir(exist_ok=True)
        yield


@contextlib.contextmanager
def held(run_dir: pathlib.Path) -> Iterator[None]:
    """Holds a run directory for this process while the context lasts.

    Raises:
      ValueError: another process holds it.
    """
    with (run_dir / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise errors.UserError(
                f"{run_dir} is in use by another process: wait for it, or choose another --run-dir."
            ) from None
        yield


def _check_nobody_works(run_dir: pathlib.Path) -> None:
    """Checks that a launcher that was killed has left no workers behind.

    Raises:
      ValueError: there are some.
    """
    record = node.read_record(run_dir)
    if record is None or not _work_goes_on(record):
        return
    raise errors.UserError(
        f"The launcher of {run_dir} has died and its workers have not: watch over them with `acme-agents attach "
        f"{run_dir}`, where Ctrl-C ends them with a checkpoint."
    )


def _work_goes_on(record: node.Record) -> bool:
    """Whether a program has workers still."""
    if record.launcher == "processes":
        return processes.alive(record.nodes)
    from launch import cluster

    return cluster.runs(record)


def _continued(run_dir: pathlib.Path, experiment: Experiment) -> None:
    """Checks that an experiment continues the run in a directory.

    Raises:
      ValueError: it does not, or the budget is used up.
    """
    before = Experiment.from_run_dir(run_dir)
    differences = [
        (name, getattr(old, name), getattr(new, name))
        for old, new, names in (
            (before, experiment, ("agent", "environment", "seed")),
            (before.config, experiment.config, [field.name for field in dataclasses.fields(before.config)]),
        )
        for name in names
        if getattr(old, name) != getattr(new, name, None)
    ]
    for name, old, new in differences:
        raise errors.UserError(
            f"{run_dir} is a run with {name} {old!r}, not {new!r}: leave that, or begin another run."
        )
    counts = checkpoint.read_meta(run_dir / checkpoint.DIRECTORY)
    if counts is None:
        raise errors.UserError(f"{run_dir} has no checkpoint to resume from: begin again in another --run-dir.")
    for what, done, budget in (
        ("environment steps", sum(steps for steps, _ in counts["coordinator"]["lives"].values()), experiment.max_steps),
        ("updates", counts["learner"]["learner_steps"], experiment.max_updates),
    ):
        if budget is not None and done > budget:
            raise errors.UserError(
                f"{run_dir} has done {done:,} {what} already, and the budget is {budget:,}: give it more."
            )
