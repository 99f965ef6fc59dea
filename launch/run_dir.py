"""The directory of a run: made or continued, and never by two at once."""

import contextlib
import dataclasses
import errno
import fcntl
import itertools
import json
import os
import pathlib
import shlex
import time
from collections.abc import Iterator
from typing import Any

from acme_agents.core import checkpoint, errors, files
from acme_agents.experiments import Experiment
from acme_agents.experiments.experiment import from_dict
from acme_agents.launch import node_files, processes, versions
from acme_agents.launch.options import Launcher, Options

CYCLES = "cycles.json"  # within the directory of a run of cycles: where it is
_OF_CYCLES = ("cycle_steps", "cycle_updates", "from_scratch")  # What a run of cycles has done is counted by them.


def make_default(experiment: Experiment) -> pathlib.Path:
    """Makes the directory runs/<agent>-<environment>-<time>; adds a number to the name if it is taken.

    Of a bonus, <bonus>-<agent> is in the place of <agent>.

    Raises:
      UserError: it cannot be made.
    """
    environment = "".join(c if c.isalnum() or c in "-_." else "-" for c in experiment.environment)
    agents = [experiment.agent] + ([] if experiment.base is None else [experiment.base.agent])
    name = f"{'-'.join(agents)}-{environment[:100]}-{time.strftime('%Y%m%d-%H%M%S')}"
    for number in itertools.count(1):
        run_dir = pathlib.Path("runs") / (name if number == 1 else f"{name}-{number}")
        with _said_of(run_dir):
            run_dir.parent.mkdir(exist_ok=True)
            try:
                run_dir.mkdir()
            except FileExistsError:
                continue
            return run_dir
    raise AssertionError


def check_record(record: pathlib.Path) -> None:
    """Makes the directory that the run's recording will be written to when it ends.

    Raises:
      UserError: the recording is there already, or cannot be written there.
    """
    if record.exists():
        raise errors.UserError(f"{record} is there already: record to another path.")
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(record.parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise errors.UserError(
            f"Nothing can be written to {record} ({error.strerror}): record to another path."
        ) from error


def can_go_on(run_dir: pathlib.Path) -> bool:
    """Whether the run in a directory has something to continue from: a checkpoint, or a cycle that has begun."""
    return bool(checkpoint.steps(run_dir / checkpoint.DIRECTORY)) or (run_dir / CYCLES).is_file()


def continue_with(run_dir: pathlib.Path) -> str:
    """The end of a sentence: how the run in a directory is continued."""
    return f"continue it with `acme-agents resume {shlex.quote(str(run_dir))}`"


@contextlib.contextmanager
def opened(
    run_dir: pathlib.Path,
    experiment: Experiment,
    launcher: Launcher,
    options: Options,
    *,
    resume: bool,
) -> Iterator[None]:
    """Makes or continues a run directory, and holds it for this process while the context lasts.

    Its `config.json` has the experiment; how it was launched last, as `launch`; and of each start of the run when that
    was and with which versions, as `starts`.

    Args:
      run_dir: its path.
      experiment: what to run.
      launcher: on what.
      options: how the program is launched.
      resume: whether to continue the run that is there, with the same agent, configuration, environment and seed; the
        rest may be another.

    Raises:
      UserError: the directory is in use or cannot be written; `resume` is not set and it holds a run; or `resume` is
        set and it holds none, or another.
    """
    with contextlib.ExitStack() as stack:
        with _said_of(run_dir):
            if (run_dir / "lock").exists():
                with held(run_dir):
                    _check_nobody_works(run_dir)
            if resume and launcher == "fused" and options.seeds > 1:
                Experiment.from_run_dir(run_dir)  # Each seed's directory is continued; see `opened_seeds`.
            elif resume:
                _continued(run_dir, experiment)
            elif (run_dir / "config.json").exists():
                begun = can_go_on(run_dir)
                otherwise = f": {continue_with(run_dir)}, or" if begun else ", which has no checkpoint to resume from:"
                raise errors.UserError(f"{run_dir} holds a run already{otherwise} choose another --run-dir.")
            if run_dir.exists() and not run_dir.is_dir():
                raise errors.UserError(f"{run_dir} is a file: choose another --run-dir.")
            if run_dir.is_symlink() and not run_dir.exists():
                raise errors.UserError(
                    f"{run_dir} is a link to {os.readlink(run_dir)}, which is not there: make that, or choose another "
                    "--run-dir."
                )
            run_dir.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(run_dir))
            (run_dir / "logs").mkdir(exist_ok=True)
            _write_config(run_dir, experiment, launcher, options)
        yield


@contextlib.contextmanager
def opened_seeds(
    run_dir: pathlib.Path, experiment: Experiment, options: Options, *, resume: bool
) -> Iterator[list[tuple[Experiment, pathlib.Path]]]:
    """Opens, within an open run directory, that of each of several seeds: an experiment and a directory for each.

    One seed has the run directory itself. The arguments and errors are those of `opened`.
    """
    if options.seeds == 1:
        yield [(experiment, run_dir)]
        return
    seeds = range(experiment.seed, experiment.seed + options.seeds)
    runs = [(dataclasses.replace(experiment, seed=seed), run_dir / f"seed-{seed}") for seed in seeds]
    alone = dataclasses.replace(options, seeds=1)
    with contextlib.ExitStack() as stack:
        for each, directory in runs:
            stack.enter_context(opened(directory, each, "fused", alone, resume=resume))
        yield runs


def of_seeds(run_dir: pathlib.Path) -> list[pathlib.Path]:
    """The run directories of a run's seeds; itself if it has one seed."""
    found = [path for path in run_dir.glob("seed-*") if (path / "config.json").is_file()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("seed-"))) or [run_dir]


def read_launch(run_dir: pathlib.Path) -> tuple[Launcher, Options]:
    """How the run in a directory was launched last: its launcher and options.

    Raises:
      UserError: the directory holds no run, or one of another version.
    """
    Experiment.from_run_dir(run_dir)
    path = run_dir / "config.json"
    try:
        launch = json.loads(path.read_text())["launch"]
        return launch["launcher"], from_dict(Options, launch["options"])
    except (KeyError, TypeError) as error:
        raise errors.UserError(
            f"{path} does not say how the run was launched ({error}): it was written by another version."
        ) from error


def _write_config(run_dir: pathlib.Path, experiment: Experiment, launcher: Launcher, options: Options) -> None:
    """Writes `config.json`, with absolute paths, atomically."""
    path = run_dir / "config.json"
    starts = json.loads(path.read_text()).get("starts", []) if path.exists() else []
    launch = {"launcher": launcher, "options": dataclasses.asdict(options.with_absolute_paths())}
    experiment = experiment.with_absolute_paths()
    fields = {**dataclasses.asdict(experiment), "launch": launch, "starts": [*starts, versions.describe()]}
    files.write_whole(path, json.dumps(fields, indent=2) + "\n")


@contextlib.contextmanager
def _said_of(run_dir: pathlib.Path) -> Iterator[None]:
    """Why a run directory cannot be used, in a sentence."""
    try:
        yield
    except OSError as error:
        raise errors.UserError(
            f"The run directory {run_dir} cannot be used ({error.strerror or error}: {error.filename or run_dir}): "
            "choose another --run-dir."
        ) from error


@contextlib.contextmanager
def held(run_dir: pathlib.Path, *, option: str = "--run-dir") -> Iterator[None]:
    """Holds a run directory, or another that `option` names, for this process while the context lasts.

    Raises:
      UserError: another process holds it.
    """
    with (run_dir / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise errors.UserError(
                f"{run_dir} is in use by another process: wait for it, or choose another {option}."
            ) from None
        yield


def _check_nobody_works(run_dir: pathlib.Path) -> None:
    """Checks that a launcher that was killed has left no workers behind.

    Raises:
      UserError: there are some.
    """
    record = node_files.read_record(run_dir)
    if record is None or not work_goes_on(record):
        return
    raise errors.UserError(
        f"The launcher of {run_dir} has died and its workers have not: watch over them with `acme-agents attach "
        f"{run_dir}`, where Ctrl-C ends them with a checkpoint."
    )


def work_goes_on(record: node_files.Record) -> bool:
    """Whether a program has workers still."""
    if record.launcher == "processes":
        return processes.alive(record.nodes)
    from acme_agents.launch import cluster

    return cluster.runs(record)


def _of_bases(before: Experiment, experiment: Experiment) -> list[tuple[Any, Any, list[str]]]:
    """What may not differ in the agents that a bonus goes around, as `_continued` compares it."""
    old, new = before.base, experiment.base
    if old is None or new is None:  # Then the agents differ.
        return []
    return [(old, new, ["agent"]), (old.config, new.config, [field.name for field in dataclasses.fields(old.config)])]


def _continued(run_dir: pathlib.Path, experiment: Experiment) -> None:
    """Checks that an experiment continues the run in a directory.

    Raises:
      UserError: it does not, or the budget is used up.
    """
    before = Experiment.from_run_dir(run_dir)
    differences = [
        (name, getattr(old, name), getattr(new, name, None))
        for old, new, names in (
            (before, experiment, ("agent", "environment", "seed", *_OF_CYCLES)),
            (before.config, experiment.config, [field.name for field in dataclasses.fields(before.config)]),
            *_of_bases(before, experiment),
        )
        for name in names
        if getattr(old, name) != getattr(new, name, None)
    ]
    for name, old, new in differences:
        raise errors.UserError(
            f"{run_dir} is a run with {name} {old!r}, not {new!r}: leave that, or begin another run."
        )
    if experiment.cycles is not None:  # `growing` knows where it is.
        return
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
