"""Runs an experiment on a launcher: what the command line does, in one call."""

import contextlib
import logging
import os
import pathlib
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Literal, NamedTuple

import environments
from acme_agents import datasets
from acme_agents.core.interfaces import Sequences
from acme_agents.experiments import Experiment
from acme_agents.replay import chunks, sizes
from acme_agents.runtime import display as display_lib
from acme_agents.runtime import loggers
from launch import run_dir as run_dir_lib

Launcher = Literal["in-process", "processes"]


class Result(NamedTuple):
    """How a run ended."""

    run_dir: pathlib.Path
    finished: bool  # whether the budget is used up; False after a request to stop
    evaluation_return: float | None  # mean episode return of the last evaluation; None without one


def run(
    experiment: Experiment,
    *,
    launcher: Launcher = "in-process",
    run_dir: pathlib.Path | str | None = None,
    resume: bool = False,
    port: int | None = None,
    wandb: bool = False,
) -> Result:
    """Runs an experiment until its budget is used up, or SIGINT or SIGTERM asks it to stop.

    Args:
      experiment: what to run.
      launcher: "in-process" for this process alone, "processes" for a Launchpad program on this machine.
      run_dir: where everything is written; `runs/<agent>-<environment>-<time>` if left out.
      resume: continue the run in `run_dir` from its checkpoint.
      port: the first of the program's two ports; any free ones if left out.
      wandb: log to W&B too.

    Returns:
      How it ended.

    Raises:
      ValueError: the experiment cannot run as it stands, in one sentence that says what to do.
      RuntimeError: a worker kept dying, with the last lines of its log.
    """
    if launcher not in ("in-process", "processes"):
        raise ValueError(f"Unknown launcher {launcher!r}: choose in-process or processes.")
    if resume and run_dir is None:
        raise ValueError("There is nothing to resume without a run directory: give --run-dir.")
    if wandb:
        loggers.check_wandb()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("MUJOCO_GL", "disable")
    directory = pathlib.Path(run_dir) if run_dir is not None else run_dir_lib.default(experiment)
    memory = check(experiment)
    if experiment.record is not None and not resume and pathlib.Path(experiment.record).exists():
        raise ValueError(f"{experiment.record} is there already: record to another path.")
    with run_dir_lib.opened(directory, experiment, resume=resume), _stop_on_signals() as stop:
        title = f"{experiment.agent} on {experiment.environment}"
        with display_lib.make_display(title=title) as display:
            display.message(f"run directory {directory}; {memory}")
            if launcher == "processes":
                from launch import processes

                processes.run(experiment, directory, port=port, wandb=wandb, stop=stop, display=display)
            else:
                with _native_logs_to(directory / "logs" / "in-process.log"):
                    from acme_agents.experiments import in_process  # Imports TensorFlow.

                    in_process.run(experiment, directory, wandb=wandb, stop=stop, on_status=display.update)
    evaluations = loggers.read_csv(directory / "evaluator.csv") if (directory / "evaluator.csv").exists() else {}
    returns = list(evaluations.get("episode_return", []))
    return Result(directory, not stop.is_set(), float(returns[-1]) if returns else None)


def check(experiment: Experiment) -> str:
    """Checks everything that can be checked before anything is started.

    Returns:
      A line on the memory that the replay takes and, for sequences, on when training begins; or on the dataset.

    Raises:
      ValueError: the environment does not exist or does not suit the agent, the dataset does not exist, or the replay
        would not fit into memory.
    """
    environments.check(experiment.environment)
    agent = experiment.make_agent()
    spec = experiment.environment_spec()
    steps, replay = chunks.step_spec(agent, spec), experiment.replay_spec(spec)
    if experiment.dataset is not None:
        datasets.environment(experiment.dataset)  # Raises where there is no dataset.
    if experiment.is_offline:
        return f"learning from {experiment.dataset}"
    if experiment.max_steps is not None and experiment.max_steps <= replay.min_size:
        raise ValueError(
            f"The budget of {experiment.max_steps:,} environment steps ends before training begins, which waits for "
            f"{replay.min_size:,} {chunks.noun(replay.experience)} in replay: give more --steps."
        )
    memory = sizes.check_memory(steps, replay)
    if isinstance(replay.experience, Sequences):
        first_update = replay.experience.length + (replay.min_size - 1) * replay.experience.period
        memory += f"; training begins with {replay.min_size:,} of them, after {first_update:,} steps at most"
    return memory


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; a second SIGINT interrupts as usual."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(signum: int, frame: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {signum: signal.signal(signum, handle) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextlib.contextmanager
def _native_logs_to(path: pathlib.Path) -> Iterator[None]:
    """Sends what C++ libraries print on standard error, and the trace of an exception, to a file."""
    sys.stderr.flush()
    native = os.dup(2)
    stderr = sys.stderr
    with path.open("a") as log:
        os.dup2(log.fileno(), 2)
        try:
            if stderr.fileno() == 2:
                sys.stderr = os.fdopen(os.dup(native), "w", buffering=1)
        except (OSError, ValueError):
            logging.debug("Standard error has no descriptor; it is left as it is.")
        try:
            yield
        except Exception:  # The user gets its sentence; where it came from is for the log.
            traceback.print_exc(file=log)
            raise
        finally:
            sys.stderr = stderr
            os.dup2(native, 2)
            os.close(native)
