"""One seed of a run that is one compiled program, as the host sees it: session, learner and replay."""

import math
import pathlib
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core import checkpoint, errors, finite
from acme_agents.core.interfaces import REPLAY, LearnerCore, ReplaySpec
from acme_agents.core.types import Params, Step
from acme_agents.experiments import making
from acme_agents.experiments.experiment import Experiment
from acme_agents.replay import memory_transport, rounds, stream
from acme_agents.replay import priorities as priorities_lib
from acme_agents.replay.chunks import Chunk
from acme_agents.replay.intake import OnNew
from acme_agents.replay.memory_transport import MemoryTransport
from acme_agents.replay.rate import RateControl
from acme_agents.replay.replay import Replay
from acme_agents.runtime import replays
from acme_agents.runtime.actor_session import ActorAccount
from acme_agents.runtime.evaluator import EvaluationsHere
from acme_agents.runtime.fused_state import Limits
from acme_agents.runtime.learner import MAX_UPDATES, LearnerState
from acme_agents.runtime.loop import Episode
from acme_agents.runtime.status import OnStatus
from acme_agents.runtime.training_session import TrainingSession

_MAX_EPISODES = 64  # of a call that actor.csv has; the newest ones
_FAR = 2**31 - 1


class _Replay:
    """One seed's replay, as its session sees it: counts, and the log of its chunks."""

    def __init__(self, steps: Step, replay: ReplaySpec, directory: pathlib.Path):
        self._spec = replay
        self._memory = MemoryTransport(steps, replay, directory)
        self._logged = 0  # chunks of the stream that the log has
        self.rate = RateControl(replay, float(MAX_UPDATES * replay.batch_size))
        self.recovered: list[Chunk] = []
        self.stream: Any = None  # a function that returns the stream as it is now
        self.writer = 0
        self.is_compiled = False
        self.size, self.capacity = 0, replay.max_size

    @property
    def samples_per_insert(self) -> float:
        return self.rate.samples_per_insert()

    def fill(self, steps: Step, num_envs: int) -> stream.Stream:
        """The stream that the recovered chunks make."""
        filled = stream.filled(steps, self._spec, num_envs, self.recovered)
        self.recovered = []
        self._logged, self.size = int(filled.num_pieces), int(filled.ring.size)
        return filled

    def checkpoint(self) -> None:
        if self.stream is None:
            return
        now = self.stream()
        for chunk in stream.to_chunks(now, self._logged, self.writer, self._spec.experience.layout):
            self._memory.send(chunk)
        self._memory.checkpoint()
        self._memory.poll(self._memory.num_waiting)  # They were delivered when they were made.
        self._logged = int(now.num_pieces)

    def save(self) -> dict[str, Any]:
        counts = {"inserted": self.rate.inserted, "sampled": self.rate.sampled, "receiver": self._memory.save()}
        return {REPLAY: counts}

    def restore(self, counts: dict[str, Any], num_updates: int) -> None:
        if "taken" in counts[REPLAY]["receiver"]:
            raise errors.UserError(
                "The run's replay is with a replay server, and --launcher fused has none: continue it with another "
                "--launcher."
            )
        self.rate.inserted, self.rate.sampled = counts[REPLAY]["inserted"], counts[REPLAY]["sampled"]
        self._memory.restore(counts[REPLAY]["receiver"])

    def recover(self) -> Sequence[Chunk]:
        self.recovered = before = self._memory.recover()
        waiting = self._memory.poll(self._memory.num_waiting)
        self.rate.inserted += int(sum(map(self._spec.experience.num_items, waiting)))
        self.recovered = [*before, *waiting]
        return before

    def close(self) -> None:
        self._memory.close()


class _Queue(_Replay):
    """One seed's queue of experience that is learned from once; the rounds of an unfinished batch are not saved."""

    def __init__(self, steps: Step, replay: ReplaySpec, directory: pathlib.Path):
        super().__init__(steps, replay, directory)
        self.rate = _Used(replay, 0.0)

    def fill(self, steps: Step, num_envs: int) -> Any:
        return rounds.make(steps, self._spec, num_envs)

    def checkpoint(self) -> None:
        pass

    def save(self) -> dict[str, Any]:
        counts = {"used": self.rate.sampled, "dropped": 0, "held": 0}
        return {REPLAY: {**counts, "receiver": self._memory.save()}}

    def restore(self, counts: dict[str, Any], num_updates: int) -> None:
        self.rate.inserted = self.rate.sampled = counts[REPLAY]["used"]

    def recover(self) -> Sequence[Chunk]:
        return []


class _Used(RateControl):
    """Counts experience of which each item is learned from once."""

    def owed(self) -> float:
        return 0.0

    def samples_per_insert(self) -> float:
        return self.sampled / self.inserted if self.inserted else math.nan


class _Learner:
    """One seed's learner, as its session sees it; its state is on the device, in the loop of all seeds."""

    def __init__(self, core: LearnerCore, seed: int, replay: _Replay):
        self._core = core
        self.replay = replay
        init_key, self.sampling_key = jax.random.split(jax.random.PRNGKey(seed))
        self.state: Any = jax.jit(core.init)(init_key)  # before the loop begins; then None
        self.training: Any = lambda: self.state  # a function that returns the training state as it is now
        self._checker = finite.Checker(self.state)
        self._checked = 0
        self.steps = 0
        self.newest: dict[str, float] = {}  # metrics

    def check_finite(self) -> None:
        if self._checked != self.steps:
            self._checker.check(self.training(), self.steps)
            self._checked = self.steps

    def metrics(self) -> dict[str, float]:
        return self.newest

    def params(self) -> Params:
        return self._core.params(self.training())

    def save(self) -> LearnerState:
        counts = {"learner_steps": self.steps, "replay": self.replay.save()}
        return LearnerState(jax.tree.map(np.asarray, self.training()), counts)

    def restore(self, state: LearnerState) -> None:
        self.state = jax.tree.map(jnp.array, state.training)
        self.steps = self._checked = state.counts["learner_steps"]
        self.replay.restore(state.counts["replay"], self.steps)

    def close(self) -> None:
        self.replay.close()


def _no_replay(experiment: Experiment, core: LearnerCore, on_new: OnNew) -> Replay:
    raise NotImplementedError  # `FusedSession` makes its learner itself.


class FusedSession(TrainingSession):
    """One seed of the run: its learner, coordinator, log and checkpoints."""

    learner: Any  # a `_Learner`

    def __init__(self, experiment: Experiment, run_dir: pathlib.Path, specs: tuple[Step, ReplaySpec], **kwargs: Any):
        self._specs, self._chunks = specs, run_dir / checkpoint.DIRECTORY / memory_transport.DIRECTORY
        super().__init__(experiment, run_dir, _no_replay, **kwargs)
        self.experiment = experiment
        self.account = ActorAccount(0)
        self.account.start_step = self.before = self.coordinator.actor_steps
        self.place = self.account.place  # As in one process: a life that goes on there has the same seeds.
        self.evaluations = EvaluationsHere(experiment, self.coordinator)
        (self.learner.replay.writer,) = self.account.writer_ids
        self.sync()

    def _make_learner(self, experiment: Experiment, make_replay: replays.MakeReplay) -> Any:
        del make_replay
        core = making.make_agent(experiment).learner(experiment.environment_spec())
        kind = _Queue if self._specs[1].experience.once else _Replay
        return _Learner(core, experiment.seed, kind(*self._specs, self._chunks))

    def sync(self) -> None:
        """Reports the account to the coordinator."""
        report = self.account.report()
        self.account.take(report, self.coordinator.actor_sync(report)._replace(snapshots=()))

    def limits(self) -> Limits:
        """How far it may go until its next evaluation, or its end."""
        most = self.experiment.max_steps
        return Limits(
            enough_steps=_int32(self.coordinator.next_evaluation - self.before),
            max_steps=_int32(np.inf if most is None else most - self.before),
            max_updates=_int32(np.inf if self.experiment.max_updates is None else self.experiment.max_updates),
        )

    def take(self, loop: Any, names: Sequence[str]) -> None:
        """Takes what a call has done: counts, log, evaluation and checkpoint.

        Args:
          loop: the small arrays of this seed's `Loop`, NumPy.
          names: of the metrics.

        Raises:
          NotFinite: learning has diverged, or the policy's actions have.
          EnvironmentFault: the environment returned what is not finite.
        """
        learner, rate, batch_size = self.learner, self.learner.replay.rate, self._specs[1].batch_size
        inserted, sampled, updates = rate.inserted, rate.sampled, learner.steps

        def count(new: int, done: int) -> None:
            rate.inserted, rate.sampled = inserted + new, sampled + (done - updates) * batch_size
            self.coordinator.learner_report(done, learner.replay.size, self._ratio())

        learner.replay.size = 0 if self._specs[1].experience.once else int(loop.stream.ring.size)
        learner.steps = int(loop.updates)
        with self._naming_the_checkpoint():
            finite.check_metrics(loop.not_finite, dict(zip(names, loop.metrics, strict=True)))
            if self._specs[1].priority_exponent:
                priorities_lib.check(loop.stream.priorities.largest, learner.steps)
        _check_finite(loop.nonfinite)
        if self.before + int(loop.steps) >= self.coordinator.next_evaluation:
            self._publish()
        for event in _events(loop, updates):
            self.account.advance(event.steps, event.num_episodes, event.episodes)
            if event.metrics is None:
                count(0, event.updates)
                self.sync()
            else:
                self.sync()
                count(event.inserted, event.updates)
                self.coordinator.learner_log(**dict(zip(names, map(float, event.metrics), strict=True)))
                self._logged = event.updates
        self.account.advance(int(loop.steps), 0, [])
        self.sync()
        count(int(loop.inserted), learner.steps)
        if learner.steps:
            learner.newest = dict(zip(names, map(float, loop.metrics), strict=True))

    def _ratio(self) -> float | None:
        ratio = self.learner.replay.samples_per_insert
        return None if np.isnan(ratio) else ratio

    def end_turn(self, loop: Any, num_envs: int, stop: threading.Event, on_status: OnStatus) -> None:
        """Between two calls: evaluates and writes a checkpoint if either is due, and ends training if it is over."""
        self.check_lease()
        self.evaluations.run(stop, on_status)
        most = self.experiment.max_steps
        will_step = num_envs - int(np.sum(loop.actors.is_final))
        if most is not None and will_step and self.before + int(loop.steps) + will_step > most:
            self.account.closed = True
            self.sync()
        if self.is_over():
            self.finish_training()
        self.save_if_due()


class _Event(NamedTuple):
    """A line of the log, or several of one round."""

    steps: int  # of this life
    updates: int
    episodes: Sequence[Episode] = ()
    num_episodes: int = 0  # those left out too
    inserted: int = 0  # in this call
    metrics: Any = None  # [M], of a group of updates that is to be logged


def _events(loop: Any, updates: int) -> list[_Event]:
    """What happened in a call, in order."""
    record, found = loop.events, []
    rounds, columns = np.nonzero(record.is_end)
    kept = max(0, len(rounds) - _MAX_EPISODES)
    if kept:
        found.append(_Event(int(record.steps[rounds[kept - 1]]), updates, (), kept))
    total = np.float64(record.episode_return.total) + record.episode_return.lost
    for number, column in zip(rounds[kept:].tolist(), columns[kept:].tolist()):
        first, *others = np.atleast_1d(total[number, column]).tolist()
        episode = Episode(first, int(record.length[number, column]), tuple(others))
        found.append(_Event(int(record.steps[number]), int(record.updates[number]), [episode], 1))
    for metrics, (steps, done, inserted) in zip(record.logged[: int(record.num_logged)], record.logged_at.tolist()):
        found.append(_Event(steps, done, inserted=inserted, metrics=metrics))
    return sorted(found, key=lambda event: (event.steps, event.updates))  # Episodes end before the learner's turn.


def _check_finite(nonfinite: np.ndarray) -> None:
    """Raises where an action, an observation or a reward was not finite."""
    if not np.isfinite(nonfinite[0]):
        raise errors.NotFinite("The policy chose an action that is not finite: learning has diverged.")
    for value, name in zip(nonfinite[1:], ("an observation", "a reward")):
        if not np.isfinite(value):
            raise errors.EnvironmentFault(f"the environment returned {name} that is not finite.", permanent=True)


def _int32(number: float) -> np.int32:
    return np.int32(max(0, min(number, _FAR)))
