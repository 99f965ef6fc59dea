"""Runs an experiment as one compiled program: environments, actors, replay and learner on the device.

The host calls the program for some thousand steps at a time; between the calls it logs, evaluates, writes checkpoints,
and stops when it is asked to. Several seeds run side by side, vmapped, each with a run directory of its own.
"""

import contextlib
import math
import pathlib
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents import environments
from acme_agents.core import checkpoint, errors, finite
from acme_agents.core.interfaces import REPLAY, ActorContext, LearnerCore, ReplaySpec
from acme_agents.core.types import Params, Step
from acme_agents.environments.pure import Pure
from acme_agents.experiments import making
from acme_agents.experiments.experiment import Experiment
from acme_agents.replay import memory_transport, rounds, stream
from acme_agents.replay import priorities as priorities_lib
from acme_agents.replay.chunks import Chunk
from acme_agents.replay.intake import OnNew
from acme_agents.replay.memory_transport import MemoryTransport
from acme_agents.replay.rate import RateControl
from acme_agents.replay.replay import Replay
from acme_agents.runtime import background, fused_loop, replays, variables
from acme_agents.runtime.actor_session import ActorAccount
from acme_agents.runtime.coordinator import Phase
from acme_agents.runtime.evaluator import Evaluator
from acme_agents.runtime.fused_loop import Limits, Loop, Program, Size
from acme_agents.runtime.in_process import OnStatus
from acme_agents.runtime.learner import MAX_UPDATES, LearnerState
from acme_agents.runtime.loop import Episode
from acme_agents.runtime.status import Status
from acme_agents.runtime.training_session import TrainingSession

_MAX_ROUNDS = 1024  # of a call: a call costs a millisecond beside what it computes
_MAX_UPDATES = 256  # after which a call ends: with slow updates it should not take much longer than a second
_MAX_EPISODES = 64  # of a call that actor.csv has; the newest ones
_FAR = 2**31 - 1


def run(
    experiments: Sequence[Experiment],
    run_dirs: Sequence[pathlib.Path],
    *,
    wandb: bool = False,
    stop: threading.Event,
    on_status: OnStatus,
) -> None:
    """Runs experiments that differ in their seeds to their end, or until `stop` is set; leaves checkpoints either way.

    Args:
      experiments: what to run; `check` has passed them.
      run_dirs: the directory of each; a checkpoint in it is continued.
      wandb: whether to log to W&B.
      stop: set to end the runs early.
      on_status: called after every call and evaluation, with the status of the first run.
    """
    with contextlib.suppress(background.Stopped):
        _Run(experiments, run_dirs, wandb, stop, on_status).run()


def check(experiment: Experiment) -> Pure:
    """Checks that an experiment can run as one program; returns its environment.

    Raises:
      UserError: it cannot.
    """
    pure = environments.make_pure(experiment.environment, max_episode_steps=experiment.max_episode_steps)
    for is_so, what, advice in (
        (experiment.dataset is not None, "learns from no dataset", "leave --dataset out"),
        (experiment.num_actors > 1, "has one actor", "give it more environments with --environments-per-actor"),
        (experiment.record is not None, "records no dataset", "leave --record out"),
        (experiment.replay == "server", "has no replay server", "leave --replay server out"),
    ):
        if is_so:
            raise errors.UserError(f"--launcher fused {what}: {advice}, or choose another launcher.")
    replay, number = making.replay_spec(experiment, experiment.environment_spec()), experiment.environments_per_actor
    if replay.experience.once and replay.batch_size % number:
        raise errors.UserError(
            f"--launcher fused learns from batches of {replay.batch_size} unrolls, and {number} environments do not "
            "divide that: choose another --environments-per-actor, or another batch size."
        )
    return pure


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
        counts = {"new": self.rate.inserted, "used": self.rate.sampled, "dropped": 0, "held": 0}
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
    raise NotImplementedError  # `_Session` makes its learner itself.


class _Session(TrainingSession):
    """One seed of the run: its learner, coordinator, log and checkpoints."""

    learner: Any  # a `_Learner`

    def __init__(self, experiment: Experiment, run_dir: pathlib.Path, specs: tuple[Step, ReplaySpec], **kwargs: Any):
        self._specs, self._chunks = specs, run_dir / checkpoint.DIRECTORY / memory_transport.DIRECTORY
        super().__init__(experiment, run_dir, _no_replay, **kwargs)
        self.experiment = experiment
        self.account = ActorAccount(0)
        self.account.start_step = self.before = self.coordinator.actor_steps
        self.place = self.account.place  # As in one process: a life that goes on there has the same seeds.
        self.evaluator = Evaluator(experiment) if experiment.eval_every else None
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
        self.account.take(report, self.coordinator.actor_sync(report)._replace(snapshot=None))

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
        _check_odd(loop.odd)
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
        self.evaluate(stop, on_status)
        most = self.experiment.max_steps
        will_step = num_envs - int(np.sum(loop.actors.is_final))
        if most is not None and will_step and self.before + int(loop.steps) + will_step > most:
            self.account.closed = True
            self.sync()
        if self.is_over():
            self.finish_training()
        self.save_if_due()

    def evaluate(self, stop: threading.Event, on_status: OnStatus) -> None:
        """Runs the evaluation that is due, if any."""
        orders = self.coordinator.evaluator_sync()
        if self.evaluator is None or orders.evaluation is None or orders.snapshot is None:
            return
        on_status(self.coordinator.status()._replace(phase="evaluating"))
        episodes = self.evaluator.evaluate(orders.evaluation, variables.unpack(orders.snapshot), stop)
        if episodes is not None:
            self.coordinator.evaluation_report(orders.evaluation, episodes)


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


def _check_odd(odd: np.ndarray) -> None:
    """Raises where an action, an observation or a reward was not finite."""
    if not np.isfinite(odd[0]):
        raise errors.NotFinite("The policy chose an action that is not finite: learning has diverged.")
    for value, name in zip(odd[1:], ("an observation", "a reward")):
        if not np.isfinite(value):
            raise errors.EnvironmentFault(f"the environment returned {name} that is not finite.", permanent=True)


class _Run:
    """The seeds' sessions, and the loop that they share."""

    def __init__(
        self,
        experiments: Sequence[Experiment],
        run_dirs: Sequence[pathlib.Path],
        wandb: bool,
        stop: threading.Event,
        on_status: OnStatus,
    ):
        self._stop, self._on_status = stop, on_status
        self._experiment = first = experiments[0]
        self._num_envs = first.environments_per_actor
        self._steps, self._replay = specs = replays.specs(first)

        def show(seconds: float) -> None:
            on_status(Status("compiling", 0, first.max_steps, 0, first.max_updates, walltime=seconds))

        self._sessions = [
            _Session(experiment, run_dir, specs, wandb=wandb, stop=stop, on_wait=show)
            for experiment, run_dir in zip(experiments, run_dirs, strict=True)
        ]
        self._program = self._make_program()
        self._loop = self._make_loop()
        for i, session in enumerate(self._sessions):
            session.learner.state = None
            session.learner.training = lambda i=i: self._of(self._loop.training, i)
            session.learner.replay.stream = lambda i=i: self._of(self._loop.stream, i)

    def _make_program(self) -> Program:
        experiment, spec = self._experiment, self._experiment.environment_spec()
        agent = making.make_agent(experiment)
        return fused_loop.make(
            agent.learner(spec),
            lambda index: agent.actor(spec, ActorContext(False, index, self._num_envs)),
            check(experiment),
            self._steps,
            self._replay,
            num_envs=self._num_envs,
            num_seeds=len(self._sessions),
            max_rounds=max(32, _MAX_ROUNDS // self._num_envs),
            log_period=self._replay.log_period,
        )

    def _make_loop(self) -> Loop:
        """The loop before its first round, with what the checkpoints had."""
        loops = []
        for session in self._sessions:
            _, start, life = session.place
            seeds = [session.experiment.worker_seed("actor", i, start, life) for i in range(self._num_envs)]
            keys = jnp.stack([jax.random.PRNGKey(seed) for seed in seeds])
            loops.append((session.learner.state, (keys, keys, session.learner.sampling_key)))
        loop = jax.jit(self._program.init)(*self._stacked(loops))
        streams = [session.learner.replay.fill(self._steps, self._num_envs) for session in self._sessions]
        updates = self._stacked([jnp.int32(session.learner.steps) for session in self._sessions])
        return loop._replace(stream=self._stacked(streams), updates=updates)

    def _stacked(self, values: list[Any]) -> Any:
        """One array of all seeds' arrays; with one seed, its own arrays."""
        return jax.tree.map(lambda *x: jnp.stack(x), *values) if len(values) > 1 else values[0]

    def _of(self, arrays: Any, seed: int) -> Any:
        """One seed's part of what `_stacked` made."""
        return jax.tree.map(lambda x: x[seed], arrays) if len(self._sessions) > 1 else arrays

    def run(self) -> None:
        """Runs to the end, or until it is stopped; leaves checkpoints."""
        try:
            self._run()
        except Exception as error:
            for session in self._sessions:
                if isinstance(error, errors.EnvironmentFault):  # What was learned before is still valid.
                    session.save()
                session.close_after_failure()
            raise
        finally:
            for session in self._sessions:
                if session.evaluator is not None:
                    session.evaluator.close()

    def _run(self) -> None:
        call = self._compiled()
        while any(session.coordinator.phase is Phase.TRAINING for session in self._sessions):
            if self._stop.is_set():
                break
            self._call(call, Size(np.int32(_FAR), np.int32(_MAX_UPDATES)))
        for session in self._sessions:
            if self._stop.is_set():
                session.coordinator.stop()
            session.save()
            if session.coordinator.phase is Phase.EVALUATING:
                session.evaluate(self._stop, self._on_status)
                if self._stop.is_set():
                    session.coordinator.stop()
                session.save()
        self._show()
        for session in self._sessions:
            session.close()

    def _compiled(self) -> Any:
        """The compiled call; before it is compiled, does the updates that a stop has left owing, if there are any."""
        owed = [session.learner.replay.rate.owed() for session in self._sessions]
        jitted = jax.jit(self._program.call, donate_argnums=0)
        if max(owed) >= self._replay.batch_size and all(session.learner.replay.size for session in self._sessions):
            self._call(jax.jit(self._program.catch_up, donate_argnums=0))
        if any(session.coordinator.phase is Phase.TRAINING for session in self._sessions):
            size = Size(np.int32(0), np.int32(0))
            self._first.coordinator.compiling = True
            show = lambda _: self._show()  # noqa: E731
            compiled = background.call(
                lambda: jitted.lower(self._loop, self._limits(), size).compile(), self._stop, show
            )
            self._first.coordinator.compiling = False
            return compiled
        return jitted

    @property
    def _first(self) -> _Session:
        return self._sessions[0]

    def _show(self) -> None:
        self._on_status(self._first.coordinator.status())

    def _limits(self) -> Limits:
        limits = self._stacked([session.limits() for session in self._sessions])
        return jax.tree.map(np.asarray, limits)

    def _call(self, function: Any, *size: Any) -> None:
        """Calls the program once; then each session takes its part of what was done."""
        owed = [np.float32(session.learner.replay.rate.owed()) for session in self._sessions]
        loop = self._loop._replace(owed=self._stacked([jnp.asarray(x) for x in owed]))
        loop, self._loop = self._loop, function(loop, self._limits(), *size)
        del loop
        seen = _small(self._loop)
        for i, session in enumerate(self._sessions):
            if session.coordinator.phase is not Phase.TRAINING:
                continue
            mine = self._of(seen, i)
            session.take(mine, self._program.names)
            session.end_turn(mine, self._num_envs, self._stop, self._on_status)
        self._show()


def _small(loop: Any) -> Any:
    """The arrays of a loop that the host looks at after each call, NumPy."""
    if isinstance(loop.stream, stream.Stream):
        no_rows: Any = ()
        largest = loop.stream.priorities._replace(weights=(), sums=()) if loop.stream.priorities else ()
        held: Any = loop.stream._replace(
            ring=loop.stream.ring._replace(rows=no_rows), priorities=largest, pieces=no_rows
        )
    else:
        held = loop.stream._replace(rows=())
    looked_at = loop._replace(
        keys=(),
        actors=loop.actors._replace(environment=(), observation=(), actor=()),
        stream=held,
        training=(),
    )
    return jax.tree.map(np.asarray, looked_at)


def _int32(number: float) -> np.int32:
    return np.int32(max(0, min(number, _FAR)))
