"""Runs an experiment on a launcher: what the command line does, in one call."""

import contextlib
import dataclasses
import logging
import os
import pathlib
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import NamedTuple, get_args

import jax

from acme_agents import datasets, environments
from acme_agents.core import errors
from acme_agents.experiments import Experiment, making
from acme_agents.launch import faults, growing, node_files, processes, surroundings
from acme_agents.launch import run_dir as run_dir_lib
from acme_agents.launch.options import Launcher, Options
from acme_agents.launch.supervisor import Place, PlaceLost, Supervisor
from acme_agents.replay import chunks, sizes
from acme_agents.runtime import compilation, fused, in_process, loggers, nodes, profiling
from acme_agents.runtime import display as display_lib
from acme_agents.runtime.status import Status


class Result(NamedTuple):
    """How a run ended."""

    run_dir: pathlib.Path
    finished: bool  # whether the budget is used up; False after a request to stop
    evaluation_return: float | None  # mean episode return of the last evaluation, over all seeds; None without one


def run(
    experiment: Experiment,
    *,
    launcher: Launcher = "in-process",
    run_dir: pathlib.Path | str | None = None,
    resume: bool = False,
    options: Options | None = None,
) -> Result:
    """Runs an experiment until its budget is used up, or SIGINT, SIGTERM or SIGUSR1 asks it to stop.

    Args:
      experiment: what to run.
      launcher: "in-process" for this process alone, "fused" for one compiled program in it, "processes" for a Launchpad
        program on this machine, "ray" for one on a Ray cluster.
      run_dir: where everything is written; a new `runs/<agent>-<environment>-<time>` if left out.
      resume: continue the run in `run_dir` from its checkpoint.
      options: how the program is launched.

    Returns:
      How it ended.

    Raises:
      UserError: the experiment cannot run as it stands, or learning has diverged, in one sentence that says what to do.
      RunFailed: a worker kept dying, or no restart would help, with the reason; or the Ray cluster has stopped.
      Exception: with `launcher` "in-process" or "fused", whatever the agent or the environment raises.
    """
    processes.refuse_in_a_worker()
    surroundings.prepare()
    options = options or Options()
    if launcher not in get_args(Launcher):
        raise errors.UserError(f"Unknown launcher {launcher!r}: choose {', '.join(get_args(Launcher))}.")
    if resume and run_dir is None:
        raise errors.UserError("There is nothing to resume without a run directory: give --run-dir.")
    if launcher == "ray" and options.address is None:
        raise errors.UserError("Which cluster? Give the address of its head: --address HOST:PORT.")
    if options.wandb:
        loggers.check_wandb()
    if options.profile:
        profiling.check()
    _set_environment()
    compilation.use_cache(options.compilation_cache)
    if options.debug and launcher != "in-process":
        raise errors.UserError("--debug runs without compiling, in one process: leave --launcher or --debug out.")
    if options.seeds > 1 and launcher != "fused":
        raise errors.UserError("--seeds runs several seeds in one program: give --launcher fused, or leave it out.")
    if experiment.cycles is not None:
        return _run_cycles(experiment, launcher, run_dir, resume, options)
    memory = check(experiment, in_process=launcher in ("in-process", "fused"))
    if launcher == "fused":
        if experiment.histograms:
            raise errors.UserError("--launcher fused writes no histograms: leave --histograms out, or choose another.")
        fused.check(experiment)
    if experiment.record is not None and not resume:
        run_dir_lib.check_record(pathlib.Path(experiment.record))
    directory = pathlib.Path(run_dir) if run_dir is not None else run_dir_lib.make_default(experiment)
    with (
        run_dir_lib.opened(directory, experiment, launcher, options, resume=resume),
        stop_on_signals() as stop,
        display_lib.make_display(title=_title(experiment)) as display,
        profiling.profiled(directory, launcher, options.profile if launcher in ("in-process", "fused") else 0.0),
    ):
        display.message(f"run directory {directory}; {memory}")
        for note in experiment.environment_notes():
            display.message(f"{experiment.environment}: {note}")
        if launcher == "in-process" and experiment.num_actors > 1:
            display.message(f"one process has one actor, not {experiment.num_actors}: --launcher processes has more")
        display.update(Status("starting", 0, experiment.max_steps, 0, experiment.max_updates))
        if launcher == "in-process":
            with _native_logs_to(directory / "logs" / "in-process.log"), _compiling(not options.debug):
                in_process.run(experiment, directory, wandb=options.wandb, stop=stop, on_status=display.update)
        elif launcher == "fused":
            with (
                _native_logs_to(directory / "logs" / "fused.log"),
                run_dir_lib.opened_seeds(directory, experiment, options, resume=resume) as seeds,
            ):
                fused.run(*zip(*seeds), wandb=options.wandb, stop=stop, on_status=display.update)
        else:
            place = _make_place(launcher, experiment, directory, options, display)
            supervisor = Supervisor(directory, nodes.of(experiment), options, place, display)
            _supervise(supervisor, supervisor.start, stop)
    return _result(directory, not stop.is_set())


def _run_cycles(
    experiment: Experiment, launcher: Launcher, run_dir: pathlib.Path | str | None, resume: bool, options: Options
) -> Result:
    """Runs an experiment with cycles, each phase of which is a run; see `growing`."""
    growing.check(experiment, launcher)
    directory = pathlib.Path(run_dir) if run_dir is not None else run_dir_lib.make_default(experiment)

    def run_phase(experiment: Experiment, run_dir: pathlib.Path, *, how: growing.How) -> bool:
        if how == "attach":
            return attach(run_dir).finished
        return run(experiment, launcher=launcher, run_dir=run_dir, resume=how == "resume", options=options).finished

    def say(what: str) -> None:
        print(f"{_title(experiment)}, {what}", flush=True)

    with run_dir_lib.opened(directory, experiment, launcher, options, resume=resume), stop_on_signals() as stop:
        finished = growing.run(experiment, directory, run_phase, stop=stop, say=say)
    return _result(directory, finished)


def attach(run_dir: pathlib.Path | str) -> Result:
    """Watches over a run whose launcher has died: shows it, starts again what died, and ends it as `run` does.

    Args:
      run_dir: its directory.

    Returns:
      How it ended.

    Raises:
      UserError: no program runs there, or another launcher is watching over it.
      RunFailed: a worker kept dying, or no restart would help, with the reason; or the Ray cluster has stopped.
    """
    surroundings.prepare()
    directory = pathlib.Path(run_dir)
    experiment = Experiment.from_run_dir(directory)
    _set_environment()
    with run_dir_lib.held(directory), stop_on_signals() as stop:
        record = node_files.read_record(directory)
        if record is None:
            raise errors.UserError(f"Nothing runs in {directory}: {run_dir_lib.continue_with(directory)}.")
        compilation.use_cache(record.options.compilation_cache)
        with display_lib.make_display(title=_title(experiment)) as display:
            display.message(f"attached to {directory}")
            place = _find_place(record, experiment, directory, display)
            supervisor = Supervisor(directory, nodes.of(experiment), record.options, place, display)
            _supervise(supervisor, lambda: supervisor.adopt(record.nodes), stop)
    return _result(directory, not stop.is_set())


def _supervise(supervisor: Supervisor, begin: Callable[[], None], stop: threading.Event) -> None:
    ends = True
    try:
        begin()
        supervisor.watch(stop)
    except PlaceLost:
        ends = False
        raise
    finally:
        if ends:
            supervisor.end()


def _make_place(
    launcher: Launcher, experiment: Experiment, run_dir: pathlib.Path, options: Options, display: display_lib.Display
) -> Place:
    """Where the workers of a new program run."""
    if launcher == "processes":
        ports = processes.free_ports(nodes.SERVERS, processes.shuffled(options.ports))
        return processes.Processes(experiment, run_dir, ports, options)
    from acme_agents.launch import cluster

    return cluster.Cluster.begin(nodes.of(experiment), run_dir, options, display)


def _find_place(
    record: node_files.Record, experiment: Experiment, run_dir: pathlib.Path, display: display_lib.Display
) -> Place:
    """Where the workers of a program that runs are."""
    if record.launcher == "processes":
        return processes.Processes(experiment, run_dir, record.place["ports"], record.options)
    from acme_agents.launch import cluster

    return cluster.Cluster.find(nodes.of(experiment), run_dir, record, display)


def _set_environment() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("MUJOCO_GL", "disable")


def _title(experiment: Experiment) -> str:
    return f"{experiment.full_name} on {experiment.environment}"


def _result(run_dir: pathlib.Path, finished: bool) -> Result:
    returns = []
    for each in run_dir_lib.of_seeds(run_dir):
        evaluations = loggers.read_csv(each / "evaluator.csv") if (each / "evaluator.csv").exists() else {}
        returns += list(evaluations.get("episode_return", []))[-1:]
    return Result(run_dir, finished, sum(returns) / len(returns) if returns else None)


def check(experiment: Experiment, *, in_process: bool) -> str:
    """Checks everything that can be checked before anything is started.

    Returns:
      A line on the memory that the replay takes and, for sequences, on when training begins; or on the dataset.

    Raises:
      UserError: the environment does not exist or does not suit the agent, the dataset does not exist, or the replay
        would not fit into memory; or, with `in_process`, this process lacks the devices that the learner is to use.
    """
    environments.check(experiment.environment)
    agent = making.make_agent(experiment)
    spec = experiment.environment_spec()
    if in_process and experiment.replay == "server":
        raise errors.UserError("In one process there is no replay server: leave --replay server out.")
    drawn = dataclasses.replace(experiment, replay="learner") if in_process else experiment
    steps, replay = chunks.step_spec(agent, spec), making.replay_spec(drawn, spec)
    if in_process:
        making.make_learner(experiment)  # Raises where this process cannot compute as the experiment asks.
    if experiment.dataset is not None:
        datasets.environment(experiment.dataset)  # Raises where there is no dataset.
    if experiment.is_offline:
        found = [experiment.dataset] if experiment.dataset is not None else []
        gathered = [pathlib.Path(path).name for path in experiment.gathered]
        return f"learning from {', '.join(found + gathered)}"
    if experiment.max_steps is not None and experiment.max_steps <= replay.min_size:
        raise errors.UserError(
            f"The budget of {experiment.max_steps:,} environment steps ends before training begins, which waits for "
            f"{replay.min_size:,} {replay.experience.noun} in replay: give more --steps."
        )
    memory = sizes.check_memory(steps, replay, in_process=in_process)
    first_update = replay.experience.steps_for(replay.min_size)
    if first_update != replay.min_size:
        memory += f"; training begins with {replay.min_size:,} of them, after {first_update:,} steps at most"
    return memory


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that the signals to stop set; a second SIGINT interrupts as usual."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(signum: int, frame: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {signum: signal.signal(signum, handle) for signum in node_files.STOP_SIGNALS}
    try:
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextlib.contextmanager
def _compiling(compiled: bool) -> Iterator[None]:
    """Lets JAX compile or not, in every thread; where it does not, `core.contract` checks numbers too."""
    before = jax.config.jax_disable_jit  # type: ignore[attr-defined]
    jax.config.update("jax_disable_jit", before or not compiled)
    try:
        yield
    finally:
        jax.config.update("jax_disable_jit", before)


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
        except Exception as error:  # The user gets its sentence; where it came from is for the log.
            traceback.print_exc(file=log)
            faults.note_log(error, path)
            raise
        finally:
            sys.stderr = stderr
            os.dup2(native, 2)
            os.close(native)
