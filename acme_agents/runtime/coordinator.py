"""What the whole run has done so far, and what each worker is to do next.

The coordinator lives in the learner's process. Workers call it over Courier (or directly, in one process) with counts
that only grow, so a call repeated after a lost answer changes nothing, and a worker that dies takes nothing back.
"""

import collections
import enum
import threading
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from acme_agents.experiments.budget import Budget
from acme_agents.runtime.loggers import RunLogger
from acme_agents.runtime.loop import Episode
from acme_agents.runtime.status import Status
from acme_agents.runtime.variables import Publisher, Snapshot

_RECENT_EPISODES = 10  # over which the status's return is averaged
_GRANT_STEPS = 1000  # of the step budget that an actor holds at most
_KEPT_LIVES = 2  # of each actor: the one that acts, and the one that it replaced


class Phase(str, enum.Enum):
    """What the run is doing."""

    TRAINING = "training"
    EVALUATING = "final evaluation"
    FINISHED = "finished"
    STOPPING = "stopping"  # on request; to be resumed


class ActorReport(NamedTuple):
    """What an actor says of itself."""

    name: str  # "actor/0"
    life: str  # another one each time the actor's process starts
    steps: int  # environment steps in this life
    num_episodes: int  # complete episodes in this life
    episodes: list[Episode]  # the newest of those, the answer to which has not come yet
    closed: bool  # whether everything is written and no more will come
    version: int | None  # of the parameters it holds
    writer: int | None = None  # by which its chunks are known


class ActorOrders(NamedTuple):
    """What an actor is to do."""

    finished: bool  # write what is left, report `closed` and exit
    abandon: bool  # do not even wait for what is left to be taken
    allowance: int | None  # environment steps that it may do beyond those reported; None for no limit
    snapshot: Snapshot | None  # other parameters than those it holds
    run_steps: int  # environment steps of the whole run so far
    num_lives: int = 0  # of this actor that the run had before this one


class EvaluatorOrders(NamedTuple):
    """What the evaluator is to do."""

    finished: bool
    evaluation: int | None  # number of the evaluation that is due; None for none
    snapshot: Snapshot | None  # the parameters to evaluate, with `evaluation`


class _Counted(NamedTuple):
    """What a life has reported, or all lives have together."""

    steps: int
    episodes: int


class Coordinator:
    """Counts, budgets, evaluations and the run's log. Thread-safe.

    Totals are kept as reports come, so that no call takes longer where there are more actors or more dead ones.
    """

    def __init__(self, budget: Budget, publisher: Publisher, logger: RunLogger, replay_capacity: int):
        """Initialises a run that has done nothing.

        Args:
          budget: when it ends.
          publisher: of the learner's parameters.
          logger: where episodes and evaluations are written.
          replay_capacity: transitions that the store can hold, for the status.
        """
        self._lock = threading.RLock()
        self._budget = budget
        self._publisher = publisher
        self._logger = logger
        self._replay_capacity = replay_capacity
        self._phase = Phase.TRAINING
        self.compiling = False  # whether the learner waits for its updates to be compiled, for the status
        self._started_at = time.monotonic()
        self._walltime_before = 0.0
        self._total = _Counted(0, 0)  # of all lives, those forgotten too
        self._lives: dict[str, dict[str, _Counted]] = {}  # actor's name -> its newest lives, the oldest first
        self._num_lives: collections.Counter[str] = collections.Counter()  # actor's name -> its lives so far
        self._written: dict[int, tuple[str, str, int]] = {}  # writer -> its actor's name and life, and steps in replay
        self._began: set[str] = set()  # names of the actors of which a life has begun while this process was there
        self._grants: dict[str, tuple[str, int]] = {}  # actor's name -> its life, and steps of that life granted
        self._grants_left: dict[str, int] = {}  # actor's name -> of its grant, the steps that it has not reported
        self._outstanding = 0  # the sum of those
        self._closed: set[str] = set()
        self._returns: collections.deque[float] = collections.deque(maxlen=_RECENT_EPISODES)
        self._evaluations = 0
        self._next_evaluation = budget.eval_every
        self._final_evaluation: int | None = None  # its number, once it is due
        self._pending_evaluation: tuple[int, Snapshot, dict[str, float]] | None = None
        self._ordered_evaluation = 0  # number of the newest evaluation ordered, and of its parameters
        self._ordered_version: int | None = None
        self._evaluation_return: float | None = None
        self._learner_steps = 0
        self._replay_size = 0
        self._samples_per_insert: float | None = None

    # What workers call.

    def actor_sync(self, report: ActorReport) -> ActorOrders:
        """Takes an actor's report and answers with its orders."""
        with self._lock:
            counted = self._counted(report)
            if counted is None:
                return ActorOrders(True, True, 0, None, self.actor_steps)
            new = report.num_episodes - counted.episodes
            self._count(report.name, report.life, counted, _Counted(report.steps, report.num_episodes))
            if report.writer is not None and report.writer not in self._written:
                self._written[report.writer] = (report.name, report.life, 0)
            if new > 0:
                for episode in report.episodes[-new:]:
                    self._returns.append(episode.episode_return)
                    others = dict(zip(_other_returns(episode), episode.other_returns))
                    self._log("actor", episode_return=episode.episode_return, episode_length=episode.length, **others)
            if report.closed:
                self._closed.add(report.name)
            over = self._phase is not Phase.TRAINING
            num_lives = self._num_lives[report.name] - 1
            if not over and self.is_offline:  # Wait.
                return ActorOrders(False, False, 0, None, self.actor_steps, num_lives)
            allowance = self._grant(report)
            snapshot = self._publisher.take_turn(report.name, report.version)
            return ActorOrders(over or allowance == 0, over, allowance, snapshot, self.actor_steps, num_lives)

    def evaluator_sync(self) -> EvaluatorOrders:
        """Answers the evaluator with its orders; an evaluation is ordered until its result comes."""
        with self._lock:
            self._schedule_evaluation()
            if self._pending_evaluation is None:
                finished = self._phase in (Phase.FINISHED, Phase.STOPPING)
                return EvaluatorOrders(finished, None, None)
            number, snapshot, _ = self._pending_evaluation
            return EvaluatorOrders(self._phase is Phase.STOPPING, number, snapshot)

    def evaluation_report(self, number: int, episodes: list[Episode]) -> None:
        """Takes the result of the evaluation of that number; of any other it is dropped."""
        with self._lock:
            if self._pending_evaluation is None or self._pending_evaluation[0] != number:
                return
            returns = np.array([episode.episode_return for episode in episodes])
            self._logger.write(
                "evaluator",
                {
                    **self._pending_evaluation[2],
                    "episode_return": float(returns.mean()),
                    "episode_return_std": float(returns.std()),
                    "episode_return_min": float(returns.min()),
                    "episode_return_max": float(returns.max()),
                    "episode_length": float(np.mean([episode.length for episode in episodes])),
                    "episodes": len(episodes),
                    **dict(
                        zip(_other_returns(episodes[0]), np.mean([e.other_returns for e in episodes], axis=0).tolist())
                    ),
                },
            )
            self._evaluation_return = float(returns.mean())
            self._evaluations = number
            self._pending_evaluation = None
            if number == self._final_evaluation:
                self._phase = Phase.FINISHED

    def status(self) -> Status:
        """How far the run is."""
        with self._lock:
            phase = self._phase.value
            if self._phase is Phase.TRAINING and self.compiling:
                phase = "compiling"
            elif self._phase is Phase.TRAINING and self.is_offline:
                phase = "learning offline"
            elif self._phase is Phase.TRAINING and self._learner_steps <= self._budget.offline_updates:
                phase = "filling replay"
            elif self._phase is Phase.TRAINING and self.steps_used_up():
                phase = "learning what is left"
            return Status(
                phase=phase,
                actor_steps=self.actor_steps,
                max_actor_steps=self._budget.max_steps,
                learner_steps=self._learner_steps,
                max_learner_steps=self._budget.max_updates,
                episodes=self._total.episodes,
                episode_return=float(np.mean(self._returns)) if self._returns else None,
                evaluation_return=self._evaluation_return,
                evaluations=self._evaluations,
                replay_size=self._replay_size,
                replay_capacity=self._replay_capacity,
                samples_per_insert=self._samples_per_insert,
                walltime=self._walltime(),
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
        return self._total.steps

    def updates_left(self) -> int | None:
        """Updates until the budget is used up; None for no limit."""
        limit = self._budget.max_updates
        return None if limit is None else max(0, limit - self._learner_steps)

    @property
    def is_offline(self) -> bool:
        """Whether the next update draws from a dataset alone, and the actors wait."""
        return self._learner_steps < self._budget.offline_updates

    def steps_used_up(self) -> bool:
        """Whether every actor has used its share of the step budget and written everything."""
        return 0 < self._budget.num_actors <= len(self._closed)

    def learner_report(self, steps: int, replay_size: int, samples_per_insert: float | None) -> None:
        """Takes the learner's counts."""
        with self._lock:
            self._learner_steps = steps
            self._replay_size = replay_size
            self._samples_per_insert = samples_per_insert
            self._schedule_evaluation()

    def written(self, writer: int, steps: int) -> None:
        """Counts steps that have come through replay: an actor may have died before it reported them.

        Args:
          writer: that the actor had reported; of any other nothing is known.
          steps: so many more of its steps.
        """
        with self._lock:
            if writer not in self._written:
                return
            name, life, before = self._written[writer]
            self._written[writer] = (name, life, before + steps)
            self._count(name, life, self._lives[name][life], _Counted(before + steps, 0))

    def learner_log(self, **row: float) -> None:
        """Writes a row of the learner's metrics."""
        with self._lock:
            self._log("learner", samples_per_insert=self._samples_per_insert or 0.0, **row)

    def finish(self) -> None:
        """Orders the final evaluation of the parameters published last; without evaluations the run is finished."""
        with self._lock:
            if self._phase is not Phase.TRAINING:
                return
            if not self._budget.eval_every:
                self._phase = Phase.FINISHED
                return
            self._phase = Phase.EVALUATING
            newest = self._publisher.newer_than(None)
            if newest is not None and newest.version == self._ordered_version:  # It is under way, or done.
                self._final_evaluation = self._ordered_evaluation
                if self._pending_evaluation is None:
                    self._phase = Phase.FINISHED
            self._schedule_evaluation()

    def save(self) -> dict[str, Any]:
        """The counts, JSON-serialisable, for a checkpoint."""
        with self._lock:
            return {
                # "" is what lives did that are forgotten.
                "lives": {
                    "": list(self._forgotten()),
                    **{life: list(counted) for lives in self._lives.values() for life, counted in lives.items()},
                },
                "actors": {name: list(lives) for name, lives in self._lives.items()},
                "num_lives": dict(self._num_lives),
                "written": {str(writer): list(written) for writer, written in self._written.items()},
                "closed": sorted(self._closed),
                "returns": list(self._returns),
                "evaluations": self._evaluations,
                "next_evaluation": self._next_evaluation,
                "evaluation_return": self._evaluation_return,
                "walltime": self._walltime(),
                "log_offsets": self._logger.offsets(),
            }

    def restore(self, counts: dict[str, Any]) -> None:
        """Continues from what `save` returned."""
        with self._lock:
            lives = {life: _Counted(*counted) for life, counted in counts["lives"].items()}
            self._total = _sum(lives.values())
            self._lives = {name: {life: lives[life] for life in known} for name, known in counts["actors"].items()}
            self._num_lives.update(counts["num_lives"])
            self._written = {int(writer): tuple(written) for writer, written in counts["written"].items()}
            if self._budget.max_steps is not None and self.actor_steps >= self._budget.max_steps:
                self._closed.update(counts["closed"])  # They have ended, and nobody starts them again.
            self._returns.extend(counts["returns"])
            self._evaluations = counts["evaluations"]
            self._next_evaluation = counts["next_evaluation"]
            self._evaluation_return = counts["evaluation_return"]
            self._walltime_before = counts["walltime"]
            self._started_at = time.monotonic()
            self._logger.restore(counts["log_offsets"])

    def _grant(self, report: ActorReport) -> int | None:
        """Steps that the actor may do beyond those reported, so that all together never exceed the budget.

        What is granted and not yet done counts as done by everyone else; a dead actor's grant lapses when the one that
        replaces it, or the actor of that name after a resume, reports.
        """
        if self._budget.max_steps is None:
            return None
        life, granted = self._grants.get(report.name, (report.life, 0))
        held = max(0, granted - report.steps) if life == report.life else 0
        self._hold(report.name, report.life, report.steps + held)
        free = self._budget.max_steps - self.actor_steps - self._outstanding
        share = min(-(-free // self._budget.num_actors), _GRANT_STEPS - held)
        allowance = held + max(0, share)
        self._hold(report.name, report.life, report.steps + allowance)
        return allowance

    def _hold(self, name: str, life: str, granted: int) -> None:
        """Notes that so many steps of a life are granted, which ends what the actor was granted before."""
        outstanding = max(0, granted - self._lives[name][life].steps)
        self._outstanding += outstanding - self._grants_left.get(name, 0)
        self._grants[name], self._grants_left[name] = (life, granted), outstanding

    def _counted(self, report: ActorReport) -> _Counted | None:
        """What the report's life had reported before; None for a life replaced so long ago that nobody knows any more.

        A life begins with a report of no steps. One that is unknown and has done steps began while an earlier process
        was there that has since died: unless a life of that actor has begun here, which was after it.
        """
        lives = self._lives.setdefault(report.name, {})
        if report.life not in lives:
            if not report.steps:
                self._began.add(report.name)
            elif report.name in self._began:
                return None
            lives[report.life] = _Counted(0, 0)
            self._num_lives[report.name] += 1
            if len(lives) > _KEPT_LIVES:
                del lives[next(iter(lives))]  # Its counts stay in the total.
                self._written = {
                    writer: written
                    for writer, written in self._written.items()
                    if written[1] in self._lives[written[0]]
                }
        return lives[report.life]

    def _forgotten(self) -> _Counted:
        """What lives did that nobody knows any more."""
        known = _sum(counted for lives in self._lives.values() for counted in lives.values())
        return _Counted(self._total.steps - known.steps, self._total.episodes - known.episodes)

    def _count(self, name: str, life: str, before: _Counted, now: _Counted) -> None:
        """Adds to the total what was not known before of a life."""
        after = _Counted(max(before.steps, now.steps), max(before.episodes, now.episodes))
        self._lives[name][life] = after
        self._total = _Counted(
            self._total.steps + after.steps - before.steps, self._total.episodes + after.episodes - before.episodes
        )
        # Of what it was granted, so much has been done.
        granted_life, granted = self._grants.get(name, (life, 0))
        if granted_life == life:
            self._hold(name, life, granted)

    def _schedule_evaluation(self) -> None:
        """Orders the evaluation that is due, one at a time; an evaluator that lags skips some."""
        if self._pending_evaluation is not None or not self._budget.eval_every:
            return
        final = self._phase is Phase.EVALUATING
        progress = self.actor_steps + int(min(self._learner_steps, self._budget.offline_updates))
        due = self._phase is Phase.TRAINING and progress >= self._next_evaluation
        due = due and self.updates_left() != 0  # The final one is next then.
        snapshot = self._publisher.newer_than(None)
        if not (final or due) or snapshot is None:
            return
        number = self._evaluations + 1
        self._next_evaluation = progress - progress % self._budget.eval_every + self._budget.eval_every
        self._pending_evaluation = (number, snapshot, self._counts())
        self._ordered_evaluation, self._ordered_version = number, snapshot.version
        if final:
            self._final_evaluation = number

    def _log(self, table: str, **row: float) -> None:
        self._logger.write(table, {**self._counts(), **row})

    def _counts(self) -> dict[str, float]:
        return {
            "actor_steps": self.actor_steps,
            "learner_steps": self._learner_steps,
            "walltime": round(self._walltime(), 3),
        }

    def _walltime(self) -> float:
        return self._walltime_before + time.monotonic() - self._started_at


def _sum(counts: Iterable[_Counted]) -> _Counted:
    steps, episodes = zip((0, 0), *counts)
    return _Counted(sum(steps), sum(episodes))


def _other_returns(episode: Episode) -> list[str]:
    """Column names of the returns of all objectives but the first."""
    return [f"episode_return_{i}" for i, _ in enumerate(episode.other_returns, start=1)]
