"""Decides what the run does next, and what each worker does.

The coordinator lives in the learner's process. Workers call it over Courier (or directly, in one process) with counts
that only grow, so a repeated call changes nothing, and the counts of a dead worker stay.
"""

import enum
import threading
from typing import Any, NamedTuple

from acme_agents.experiments.budget import Budget
from acme_agents.runtime.evaluations import EvaluationSchedule
from acme_agents.runtime.journal import Journal
from acme_agents.runtime.loggers import RunLogger
from acme_agents.runtime.loop import Episode
from acme_agents.runtime.status import Status
from acme_agents.runtime.step_ledger import Counts, StepLedger
from acme_agents.runtime.variables import Publisher, Snapshot


class Phase(str, enum.Enum):
    """What the run is doing."""

    TRAINING = "training"
    EVALUATING = "final evaluation"
    FINISHED = "finished"
    STOPPING = "stopping"  # on request; to be resumed


class ActorReport(NamedTuple):
    """An actor's report of its life so far."""

    name: str  # "actor/0"
    life: str  # of this process: the next process of this name has another
    steps: int  # environment steps in this life
    num_episodes: int  # complete episodes in this life
    episodes: list[Episode]  # the newest of those, not yet acknowledged by the coordinator
    closed: bool  # whether everything is written and no more will come
    version: int | None  # of the parameters it holds
    writers: tuple[int, ...] = ()  # the identifiers in its chunks; empty if steps are not counted from chunks


class ActorOrders(NamedTuple):
    """The coordinator's orders to an actor."""

    finished: bool  # write what is left, report `closed` and exit
    abandon: bool  # exit without waiting until replay has taken what is left
    allowance: int | None  # environment steps that it may do beyond those reported; None for no limit
    snapshots: tuple[Snapshot, ...]  # the parameters to act with from now on; none to keep those it holds
    run_steps: int  # environment steps of the whole run so far
    num_lives: int = 0  # earlier processes of this name in the run


class EvaluatorOrders(NamedTuple):
    """The coordinator's orders to the evaluator."""

    finished: bool
    due: tuple[tuple[int, Snapshot], ...]  # the number of the evaluation that is due, if any, and what to evaluate


class Coordinator:
    """Takes the workers' reports and answers with their orders. Thread-safe.

    It holds the run's phase. Its parts, which `save` saves, hold the rest: a ledger of environment steps, a schedule
    of evaluations and a journal.

    Attributes:
      compiling: whether the learner waits for its updates to be compiled, for the status.
    """

    def __init__(self, budget: Budget, publisher: Publisher, logger: RunLogger, replay_capacity: int):
        """Initialises a run that has done nothing.

        Args:
          budget: when it ends.
          publisher: of the learner's parameters.
          logger: where episodes and evaluations are written.
          replay_capacity: in steps, for the status.
        """
        self.compiling = False
        self._lock = threading.RLock()
        self._budget = budget
        self._publisher = publisher
        self._replay_capacity = replay_capacity
        self._phase = Phase.TRAINING
        self._ledger = StepLedger(budget.max_steps, budget.num_actors, budget.environments_per_actor)
        self._evaluations = EvaluationSchedule(budget.eval_every)
        self._journal = Journal(self._ledger, logger)

    # What workers call.

    def actor_sync(self, report: ActorReport) -> ActorOrders:
        """Takes an actor's report and answers with its orders."""
        with self._lock:
            ledger, name, life = self._ledger, report.name, report.life
            if not ledger.admit(name, life, report.steps):
                return ActorOrders(True, True, 0, (), self.actor_steps)
            num_new = ledger.count(name, life, Counts(report.steps, report.num_episodes))
            if num_new:
                self._journal.add_episodes(report.episodes[-num_new:])
            for writer in report.writers:
                ledger.add_writer(writer, name, life)
            if report.closed:
                ledger.close(name)
            over, num_lives = self._phase is not Phase.TRAINING, ledger.num_earlier_lives(name)
            if not over and self.is_offline:  # Wait.
                return ActorOrders(False, False, 0, (), self.actor_steps, num_lives)
            allowance = ledger.grant(name, life, report.steps)
            snapshots = self._publisher.take_turn(name, report.version)
            return ActorOrders(over or allowance == 0, over, allowance, snapshots, self.actor_steps, num_lives)

    def evaluator_sync(self) -> EvaluatorOrders:
        """Answers the evaluator with its orders; an evaluation is ordered until its result comes."""
        with self._lock:
            self._order_evaluation()
            due = tuple((pending.number, pending.snapshot) for pending in self._evaluations.pending)
            return EvaluatorOrders(self._phase in (Phase.FINISHED, Phase.STOPPING), due)

    def evaluation_report(self, number: int, episodes: list[Episode]) -> None:
        """Takes the episodes of the evaluation that is ordered; those of any other number are dropped."""
        with self._lock:
            if self._evaluations.is_pending(number):
                self._journal.add_evaluation(self._evaluations.complete(), episodes)
                if self._evaluations.is_over:
                    self._phase = Phase.FINISHED

    def status(self) -> Status:
        """The progress of the run."""
        with self._lock:
            journal = self._journal
            return Status(
                phase=self._describe_phase(),
                actor_steps=self.actor_steps,
                max_actor_steps=self._budget.max_steps,
                learner_steps=journal.learner_steps,
                max_learner_steps=self._budget.max_updates,
                episodes=self._ledger.total.episodes,
                episode_return=journal.episode_return,
                evaluation_return=journal.evaluation_return,
                evaluations=self._evaluations.num_done,
                replay_size=journal.replay_size,
                replay_capacity=self._replay_capacity,
                samples_per_insert=journal.samples_per_insert,
                walltime=journal.walltime,
            )

    def stop(self) -> None:
        """Asks the run to end as soon as it can, with a checkpoint to resume from."""
        with self._lock:
            if self._phase is not Phase.FINISHED:
                self._phase = Phase.STOPPING

    # What the learner calls, in the same process.

    @property
    def phase(self) -> Phase:
        """What the run is doing."""
        return self._phase

    @property
    def actor_steps(self) -> int:
        """Environment steps of all actors, dead ones included."""
        return self._ledger.total.steps

    def updates_left(self) -> int | None:
        """Updates until the budget is used up; None for no limit."""
        limit = self._budget.max_updates
        return None if limit is None else max(0, limit - self._journal.learner_steps)

    @property
    def is_offline(self) -> bool:
        """Whether the next update draws from a dataset alone, and the actors wait."""
        return self._journal.learner_steps < self._budget.offline_updates

    @property
    def next_evaluation(self) -> float:
        """Environment steps of the run at which the next evaluation is due; infinite if none is."""
        return self._evaluations.next_due

    def steps_used_up(self) -> bool:
        """Whether every actor has used its share of the step budget and written everything."""
        return self._ledger.is_used_up

    def learner_report(self, steps: int, replay_size: int, samples_per_insert: float | None) -> None:
        """Takes the learner's counts."""
        with self._lock:
            journal = self._journal
            journal.learner_steps, journal.replay_size = steps, replay_size
            journal.samples_per_insert = samples_per_insert
            self._order_evaluation()

    def written(self, writer: int, steps: int) -> None:
        """Counts steps that have come through replay: their actor may die before it reports them.

        Args:
          writer: where they come from; one that no actor has reported counts for nothing.
          steps: in addition to those that came from this writer before.
        """
        with self._lock:
            self._ledger.written(writer, steps)

    def learner_log(self, **row: float) -> None:
        """Writes a row of the learner's metrics."""
        with self._lock:
            self._journal.add_updates(**row)

    def finish(self) -> None:
        """Orders the final evaluation of the parameters published last; without evaluations the run is finished."""
        with self._lock:
            if self._phase is not Phase.TRAINING:
                return
            self._phase = Phase.EVALUATING
            versions = [snapshot.version for snapshot in self._publisher.newest()]
            self._evaluations.finish(versions[0] if versions else None)
            self._order_evaluation()
            if self._evaluations.is_over:
                self._phase = Phase.FINISHED

    def save(self) -> dict[str, Any]:
        """The counts, JSON-serialisable, for a checkpoint."""
        with self._lock:
            return {**self._ledger.save(), **self._evaluations.save(), **self._journal.save()}

    def restore(self, counts: dict[str, Any]) -> None:
        """Continues from what `save` returned."""
        with self._lock:
            self._ledger.restore(counts)
            self._evaluations.restore(counts)
            self._journal.restore(counts)

    def _order_evaluation(self) -> None:
        """Orders the evaluation that is due. While training, an offline update counts as an environment step."""
        is_training = self._phase is Phase.TRAINING and self.updates_left() != 0  # Else the final one is next.
        if is_training or self._phase is Phase.EVALUATING:
            progress = self.actor_steps + int(min(self._journal.learner_steps, self._budget.offline_updates))
            for snapshot in self._publisher.newest():
                self._evaluations.order_if_due(progress, snapshot, self._journal.counts())

    def _describe_phase(self) -> str:
        """The phase, with what the run waits for while it trains."""
        if self._phase is not Phase.TRAINING:
            return self._phase.value
        if self.compiling:
            return "compiling"
        if self.is_offline:
            return "learning offline"
        if self._journal.learner_steps <= self._budget.offline_updates:
            return "filling replay"
        return "learning what is left" if self.steps_used_up() else self._phase.value
