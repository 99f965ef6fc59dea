"""Growing batches: a fixed policy is deployed, and the agent learns from what it and those before it gathered.

A cycle has three phases, and each can be killed and done again:

deploying: a run of `experiments.fixed` in `deployments/cycle-NNN`, whose history becomes `datasets/cycle-NNN`;
merging: a row of `deployments.csv`, and what the deployment no longer needs is removed;
learning: a run without actors in `learning`, on the datasets of all cycles so far. `checkpoints`, `evaluator.csv` and
`learner.csv` of the run directory are links to its own, so that the policy is evaluated, collected from and drawn like
any other run's.

`cycles.json` says which phase is next or under way.
"""

import dataclasses
import json
import logging
import pathlib
import shutil
import threading
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

import jax
import numpy as np

from acme_agents import datasets, environments
from acme_agents.core import checkpoint, errors, files
from acme_agents.datasets import minari_dataset
from acme_agents.experiments import Experiment, fixed, making
from acme_agents.launch import node_files
from acme_agents.launch import run_dir as run_dir_lib
from acme_agents.runtime import loggers, recording

DEPLOYMENTS, DATASETS, LEARNING = "deployments", "datasets", "learning"  # within a run directory
LOG = "deployments.csv"
_LINKS = (checkpoint.DIRECTORY, "evaluator.csv", "learner.csv")  # of the learning, within the run directory
_PHASES = ("deploying", "merging", "learning")

How = Literal["begin", "resume", "attach"]


class Place(NamedTuple):
    """Where a run of cycles is: the phase that is next, or under way."""

    cycle: int  # from 1; 0 is what is learned before the first deployment
    phase: str

    def after(self) -> "Place":
        """What follows."""
        number = _PHASES.index(self.phase) + 1
        return Place(self.cycle, _PHASES[number]) if number < len(_PHASES) else Place(self.cycle + 1, _PHASES[0])


class RunPhase(Protocol):
    """Begins, continues or watches over one run, and says whether it finished rather than was stopped."""

    def __call__(self, experiment: Experiment, run_dir: pathlib.Path, *, how: How) -> bool: ...


def check(experiment: Experiment, launcher: str) -> None:
    """Checks all that can be checked before the first deployment.

    Raises:
      UserError: the launcher or the agent does not suit.
    """
    if launcher == "fused":
        raise errors.UserError(
            "Cycles record what they gather, and --launcher fused records nothing: choose another launcher."
        )
    environments.check(experiment.environment)
    making.replay_spec(experiment, experiment.environment_spec())
    making.make_agent(experiment).learner(experiment.environment_spec())  # Raises where a teacher is missing.
    if experiment.dataset is not None:
        datasets.environment(experiment.dataset)  # Raises where there is no dataset.


def run(
    experiment: Experiment,
    run_dir: pathlib.Path,
    run_phase: RunPhase,
    *,
    stop: threading.Event,
    say: Callable[[str], None],
) -> bool:
    """Runs all cycles in an open run directory, from where they are.

    Args:
      experiment: with cycles.
      run_dir: its directory.
      run_phase: runs a phase in a directory of its own; `how` is "begin", "resume" or "attach".
      stop: set to end between two phases.
      say: tells the user which phase begins.

    Returns:
      Whether they are finished, rather than stopped.

    Raises:
      UserError: more cycles are done than are asked for; or what a phase raises.
    """
    cycles = _Cycles(experiment, run_dir.absolute(), run_phase)
    place = read(run_dir) or (Place(0, "learning") if experiment.offline_updates else Place(1, _PHASES[0]))
    assert experiment.cycles is not None
    if place > Place(experiment.cycles + 1, _PHASES[0]):
        raise errors.UserError(f"{run_dir} has done {place.cycle - 1} cycles already: give it more --cycles.")
    while place.cycle <= experiment.cycles:
        _write(run_dir, place)
        if stop.is_set():
            return False
        say(f"cycle {place.cycle} of {experiment.cycles}: {place.phase}")
        if not cycles.do(place):
            return False
        place = place.after()
    _write(run_dir, place)
    return True


def read(run_dir: pathlib.Path) -> Place | None:
    """Where the run in a directory is; None if it has not begun."""
    path = run_dir / run_dir_lib.CYCLES
    return Place(**json.loads(path.read_text())) if path.is_file() else None


def _write(run_dir: pathlib.Path, place: Place) -> None:
    files.write_whole(run_dir / run_dir_lib.CYCLES, json.dumps(place._asdict()) + "\n")


class _Cycles:
    """The phases of a run of cycles; each does again whatever of it a kill has left undone."""

    def __init__(self, experiment: Experiment, run_dir: pathlib.Path, run_phase: RunPhase):
        self._experiment = experiment
        self._run_dir = run_dir
        self._run_phase = run_phase
        for name in _LINKS:
            if not (run_dir / name).is_symlink():
                (run_dir / name).symlink_to(pathlib.Path(LEARNING) / name)

    def do(self, place: Place) -> bool:
        """Does a phase; returns whether it finished rather than was stopped."""
        return {"deploying": self._deploy, "merging": self._merge, "learning": self._learn}[place.phase](place.cycle)

    def _deploy(self, cycle: int) -> bool:
        """Has the newest policy act for a cycle's steps, and records it."""
        experiment = self._experiment
        assert experiment.cycle_steps is not None
        seed = int(np.random.SeedSequence((experiment.seed, cycle)).generate_state(1)[0])  # other episodes each time
        deployment = Experiment(
            agent=fixed.__name__,
            environment=experiment.environment,
            max_episode_steps=experiment.max_episode_steps,
            config=fixed.Config(str(self._run_dir), experiment.cycle_steps),
            seed=seed,
            num_actors=experiment.num_actors,
            environments_per_actor=experiment.environments_per_actor,
            max_steps=experiment.cycle_steps,
            record=str(self._dataset(cycle)),
            eval_every=0,
            checkpoint_seconds=experiment.checkpoint_seconds,
        )
        return self._run(deployment, self._deployment(cycle))

    def _merge(self, cycle: int) -> bool:
        """Adds a cycle's dataset to the log, which says what there is to learn from."""
        log = loggers.CsvTable(self._run_dir / LOG)
        rows = loggers.read_csv(log.path) if log.path.exists() else {}
        if cycle not in rows.get("cycle", ()):
            log.write(self._row(cycle, int(sum(rows.get("steps", ())))))
        deployment = self._deployment(cycle)
        shutil.rmtree(deployment / recording.DIRECTORY, ignore_errors=True)
        for held in (deployment / checkpoint.DIRECTORY).iterdir():  # What it gathered is in the dataset.
            if held.is_dir():
                shutil.rmtree(held, ignore_errors=True)
        for left_by_a_kill in self._dataset(cycle).parent.glob(".*.partial"):
            shutil.rmtree(left_by_a_kill, ignore_errors=True)
        if self._experiment.from_scratch and self._target(cycle - 1):
            self._forget(cycle)
        return True

    def _row(self, cycle: int, steps_before: int) -> dict[str, float]:
        """What `deployments.csv` says of a deployment."""
        table = self._deployment(cycle) / "actor.csv"
        returns = loggers.read_csv(table).get("episode_return", np.empty(0)) if table.exists() else np.empty(0)
        version = self._target(cycle - 1)
        steps = minari_dataset.num_steps(self._dataset(cycle))
        return {
            "cycle": cycle,
            "steps": steps,
            "episodes": len(returns),
            "return_mean": returns.mean() if len(returns) else np.nan,
            "return_std": returns.std() if len(returns) else np.nan,
            "updates": version - self._target(max(cycle - 2, -1)) if self._experiment.from_scratch else version,
            "dataset_steps": steps_before + steps,
            "policy_version": version,
        }

    def _learn(self, cycle: int) -> bool:
        """Learns from all that was gathered so far, and evaluates."""
        if self._is_learned(cycle):  # and killed before `cycles.json` said so
            return True
        return self._run(self._learning(cycle), self._run_dir / LEARNING)

    def _is_learned(self, cycle: int) -> bool:
        """Whether a cycle's updates and their evaluation are in the newest checkpoint."""
        directory = self._run_dir / LEARNING
        meta = checkpoint.read_meta(directory / checkpoint.DIRECTORY)
        if meta is None or meta["learner"]["learner_steps"] < self._target(cycle):
            return False
        if not self._experiment.eval_every:
            return True
        table = directory / "evaluator.csv"
        evaluated = loggers.read_csv(table)["learner_steps"] if table.exists() else np.empty(0)
        # A row that the checkpoint does not count will be dropped and written again.
        return len(evaluated) == meta["coordinator"]["evaluations"] > 0 and evaluated[-1] == self._target(cycle)

    def _learning(self, cycle: int) -> Experiment:
        """The run of a cycle's learning, which continues that of the cycle before."""
        return dataclasses.replace(
            self._experiment,
            cycles=None,
            cycle_steps=None,
            cycle_updates=None,
            from_scratch=False,
            offline_updates=0,
            max_steps=0,
            max_updates=self._target(cycle),
            gathered=tuple(str(self._dataset(number)) for number in range(1, cycle + 1)),
        )

    def _forget(self, cycle: int) -> None:
        """Replaces the newest checkpoint by one of an untrained learner that keeps all counts."""
        learning, directory = self._learning(cycle), self._run_dir / LEARNING / checkpoint.DIRECTORY
        core = making.make_learner(learning)
        untrained = jax.jit(core.init)(jax.random.fold_in(making.init_key(learning.seed), cycle))
        found = checkpoint.load(directory, untrained)
        assert found is not None
        experiment = self._experiment
        checkpoint.save(
            directory,
            found[1]["learner"]["learner_steps"],
            untrained,
            found[1],
            keep=experiment.keep_checkpoints,
            keep_every=experiment.keep_every,
        )

    def _run(self, experiment: Experiment, directory: pathlib.Path) -> bool:
        """Begins or continues a phase's run; one whose launcher alone was killed is watched over again."""
        record = node_files.read_record(directory)
        if record is not None and run_dir_lib.work_goes_on(record):
            return self._run_phase(experiment, directory, how="attach")
        if checkpoint.steps(directory / checkpoint.DIRECTORY):
            return self._run_phase(experiment, directory, how="resume")
        if directory.exists():
            logging.info("%s was killed before its first checkpoint: it begins again.", directory)
            shutil.rmtree(directory)
        return self._run_phase(experiment, directory, how="begin")

    def _target(self, cycle: int) -> int:
        """Updates that the learner has done when a cycle's learning is over; 0 before there was any."""
        assert self._experiment.cycle_updates is not None
        return 0 if cycle < 0 else self._experiment.offline_updates + cycle * self._experiment.cycle_updates

    def _deployment(self, cycle: int) -> pathlib.Path:
        return self._run_dir / DEPLOYMENTS / f"cycle-{cycle:03d}"

    def _dataset(self, cycle: int) -> pathlib.Path:
        return self._run_dir / DATASETS / f"cycle-{cycle:03d}"
