"""The workers of a run: what happens in the learner's, an actor's and the evaluator's process.

Each is made by a Launchpad node and runs until its orders or its process's stop event end it. None waits without a
time-out, so that a dead peer never keeps a worker from stopping.
"""

import contextlib
import logging
import os
import pathlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import courier
import dm_env
import launchpad
import reverb

from acme_agents.core import errors
from acme_agents.experiments.experiment import Experiment
from acme_agents.replay.writer import make_id
from acme_agents.runtime import acting, background, loopback, seeding, variables
from acme_agents.runtime.coordinator import ActorOrders, ActorReport, EvaluatorOrders, Phase
from acme_agents.runtime.loop import EnvironmentLoop, Episode
from acme_agents.runtime.training_session import TrainingSession, answers

_SYNC_SECONDS = 0.5  # between an actor's reports where there are few, and between the evaluator's questions
_MAX_SYNC_SECONDS = 2.0  # where there are many
_REPORTS_PER_SECOND = 32.0  # of all actors: more are spread out, as far as that leaves an actor's counts fresh
_IDLE_SECONDS = 0.002  # that the learner sleeps when there is nothing to do
_CALL_SECONDS = 3.0  # that a peer has to answer; Launchpad's own clients wait for ever
_CLOSING_SECONDS = 30.0  # that an actor waits for its last report to be taken


def sync_seconds(num_actors: int) -> float:
    """Seconds between an actor's reports: where there are many actors, the learner's process hears each less often."""
    return min(max(num_actors / _REPORTS_PER_SECOND, _SYNC_SECONDS), _MAX_SYNC_SECONDS)


class LearnerWorker:
    """The learner's process. Its public methods but `run` are the coordinator's, offered to the others by Courier."""

    def __init__(self, experiment: Experiment, run_dir: pathlib.Path, wandb: bool, client: reverb.Client | None):
        """Makes the learner; waits until the replay server, if there is one, answers."""
        self._stop = launchpad.stop_event()
        while client is not None and not answers(client) and not self._stop.is_set():
            self._stop.wait(_IDLE_SECONDS)
        self._run: TrainingSession | None = None
        with _early_faults(lambda: 0), contextlib.suppress(background.Stopped):
            self._run = TrainingSession(
                experiment, run_dir, client, wandb=wandb, bytes_per_second=variables.BYTES_PER_SECOND, stop=self._stop
            )
        if self._run is None:  # It was to end before it could begin.
            return
        seeding.seed_generators(experiment.worker_seed("learner", 0, self._run.learner.steps))
        self._farewell_seconds = 2 * sync_seconds(experiment.num_actors)
        coordinator = self._run.coordinator
        self.actor_sync = coordinator.actor_sync
        self.evaluator_sync = coordinator.evaluator_sync
        self.evaluation_report = coordinator.evaluation_report
        self.status = coordinator.status
        self.stop = coordinator.stop

    def run(self) -> None:
        """Learns until the budget is used up or the run is to stop; leaves a checkpoint in both cases."""
        if self._run is None:
            return
        loopback.only_this_machine()  # Launchpad has just started the server of this object's methods.
        run, before = self._run, self._run.learner.steps
        try:
            with _early_faults(lambda: run.learner.steps - before):
                self._learn(run)
        except errors.NotFinite:  # What was recorded is.
            run.close_after_failure()
            raise
        run.close()

    def _learn(self, run: TrainingSession) -> None:
        coordinator = run.coordinator
        while coordinator.phase is Phase.TRAINING:
            if self._stop.is_set():
                coordinator.stop()
            elif not run.learner.is_compiled and not run.is_over():
                run.compile()  # while the actors fill replay
            elif not run.step():
                if run.is_over():
                    run.finish_training()
                self._stop.wait(_IDLE_SECONDS)
        run.save()
        while coordinator.phase is Phase.EVALUATING:
            if self._stop.wait(_IDLE_SECONDS):
                coordinator.stop()
        run.save()
        self._stop.wait(self._farewell_seconds)  # until the others have heard that it is over: they hear it from here


class ActorWorker:
    """An actor's process."""

    def __init__(self, experiment: Experiment, index: int, client: reverb.Client, coordinator: Any):
        """Makes the actor.

        Args:
          experiment: what to run.
          index: of this actor.
          client: of the replay server.
          coordinator: Courier client of the learner's process.
        """
        self._experiment = experiment
        self._index = index
        self._client = client
        period = sync_seconds(experiment.num_actors)
        self._link = _ActorLink(f"actor/{index}", _with_timeout(coordinator), launchpad.stop_event(), period)

    def run(self) -> None:
        """Acts until the orders say that it is over."""
        link = self._link
        link.start()
        params = link.wait_for_params()
        if params is None:
            return
        experiment, place = self._experiment, (self._index, link.start_step, link.num_lives)
        seeding.seed_generators(experiment.worker_seed("actor", *place))
        environment = experiment.make_environment("actor", *place)
        try:
            with _early_faults(lambda: link.steps):
                self._act(environment, params)
        finally:
            acting.close(environment)

    def _act(self, environment: dm_env.Environment, params: Any) -> None:
        """Acts in an environment, beginning with these parameters; what was done is reported however it ends."""
        link = self._link
        actor, writer = acting.make_actor(
            self._experiment,
            environment,
            self._client,
            self._index,
            link.start_step,
            link.abandoned,
            life=link.num_lives,
            writer_id=link.writer_id,
        )
        actor.params = params
        loop = EnvironmentLoop(environment, actor)
        try:
            while link.may_step():
                if (params := link.new_params()) is not None:
                    actor.params = params
                link.count(loop.step())
        except Exception:
            writer.flush()
            link.close(done=False)
            raise
        writer.flush()
        link.close(done=True)


class EvaluatorWorker:
    """The evaluator's process: the deterministic policy, in environments of its own seeds."""

    def __init__(self, experiment: Experiment, coordinator: Any):
        """Makes the evaluator; `coordinator` is a Courier client of the learner's process."""
        self._experiment = experiment
        self._coordinator = _with_timeout(coordinator)
        self._stop = launchpad.stop_event()
        self._num_evaluations = 0

    def run(self) -> None:
        """Evaluates whenever it is ordered to, until the orders say that it is over."""
        with _early_faults(lambda: self._num_evaluations):
            self._evaluate()

    def _evaluate(self) -> None:
        evaluator = None
        try:
            while not self._stop.wait(_SYNC_SECONDS):
                orders: EvaluatorOrders | None = _call(self._coordinator.evaluator_sync)
                if orders is None:
                    continue
                if orders.finished:
                    return
                if orders.evaluation is None or orders.snapshot is None:
                    continue
                evaluator = evaluator or acting.Evaluator(self._experiment)
                episodes = evaluator.evaluate(orders.evaluation, variables.unpack(orders.snapshot), self._stop)
                if episodes is not None:
                    _call(self._coordinator.evaluation_report, orders.evaluation, episodes)
                    self._num_evaluations += 1
        finally:
            if evaluator is not None:
                evaluator.close()


class _ActorLink:
    """An actor's side of the talk with the coordinator, in a thread of its own."""

    def __init__(self, name: str, coordinator: Any, stop: threading.Event, period: float):
        self._period = period
        self._coordinator = coordinator
        self._stop = stop
        self._name = name
        self._life = f"{name}/{os.urandom(6).hex()}"
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._answered = threading.Event()
        self._steps = 0
        self._granted: float = 0  # steps of this life that may be done
        self._num_episodes = 0
        self._episodes: list[Episode] = []  # the newest, not yet acknowledged
        self._version: int | None = None
        self._params: Any = None
        self._is_last = False  # whether the next report is
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="sync", daemon=True)
        self.over = threading.Event()  # set when no further step may be done
        self.abandoned = threading.Event()  # set when not even what was done is wanted any more
        self.writer_id = make_id()
        self.start_step = 0
        self.num_lives = 0  # of this actor, before this one

    @property
    def steps(self) -> int:
        """Environment steps of this life."""
        return self._steps

    def start(self) -> None:
        self._thread.start()

    def wait_for_params(self) -> Any:
        """The first parameters; None if it is over before they come."""
        while not self.over.is_set():
            if (params := self.new_params()) is not None:
                return params
            self._wait_for_answer()
        return None

    def new_params(self) -> Any:
        """Parameters newer than those handed out before; None if there are none."""
        if self._params is None:
            return None
        with self._lock:
            params, self._params = self._params, None
        return params

    def may_step(self) -> bool:
        """Whether the next step may be done; waits for leave where the budget is nearly used up."""
        while self._steps >= self._granted:
            if self.over.is_set():
                return False
            self._wait_for_answer()
        return not self.over.is_set()

    def count(self, episode: Episode | None) -> None:
        """Counts a step, and the episode that it ended."""
        self._steps += 1
        if episode is not None:
            with self._lock:
                self._num_episodes += 1
                self._episodes.append(episode)

    def close(self, *, done: bool) -> None:
        """Makes the last report, and says in it whether all that was asked for is done."""
        self._closed = done
        self._is_last = True
        self._wake.set()
        self._thread.join(timeout=_CLOSING_SECONDS)

    def _wait_for_answer(self) -> None:
        self._answered.clear()
        self._wake.set()
        self._answered.wait(_SYNC_SECONDS)

    def _run(self) -> None:
        while True:
            if self._stop.is_set():
                self.over.set()
                self.abandoned.set()
            is_last = self._is_last
            if self._stop.is_set() and not is_last:  # The last report comes when the actor has stopped, and at once.
                self._rest()
                continue
            with self._lock:
                report = ActorReport(
                    self._name,
                    self._life,
                    self._steps,
                    self._num_episodes,
                    list(self._episodes),
                    self._closed,
                    self._version,
                    self.writer_id,
                )
            orders: ActorOrders | None = _call(self._coordinator.actor_sync, report)
            if orders is not None:
                self._take(report, orders)
            if is_last and (orders is not None or self._stop.is_set()):
                return
            self._rest()

    def _rest(self) -> None:
        """Waits until the next report is due or wanted; notes within half a second that it is over."""
        left = self._period
        while not self._wake.wait(min(left, _SYNC_SECONDS)) and not self._stop.is_set():
            left -= _SYNC_SECONDS
            if left <= 0:
                break
        self._wake.clear()

    def _take(self, report: ActorReport, orders: ActorOrders) -> None:
        snapshot = orders.snapshot
        params = None if snapshot is None else variables.unpack(snapshot)
        with self._lock:
            del self._episodes[: len(report.episodes)]
            if snapshot is not None:
                self._version, self._params = snapshot.version, params
            self.start_step, self.num_lives = self.start_step or orders.run_steps, orders.num_lives
            self._granted = float("inf") if orders.allowance is None else report.steps + orders.allowance
        if orders.abandon:
            self.abandoned.set()
        if orders.finished:
            self.over.set()
        self._answered.set()


@contextlib.contextmanager
def _early_faults(steps: Callable[[], int]) -> Iterator[None]:
    """Has a fault tell how many steps its worker had done, for its launcher to judge whether a restart would help.

    Raises:
      EarlyFault: what was raised is its cause; but what tells as much by itself is raised as it is.
    """
    try:
        yield
    except (errors.UserError, errors.RunFailed, errors.EnvironmentFault):
        raise
    except Exception as error:
        raise errors.EarlyFault(steps()) from error


def _with_timeout(client: courier.Client) -> courier.Client:
    return courier.Client(client.address, call_timeout=_CALL_SECONDS)


def _call(method: Any, *args: Any) -> Any:
    """Calls a peer; None when it does not answer in time, as while it is being restarted."""
    try:
        return method(*args)
    except Exception as error:  # Courier raises what the status code says, and what the peer raised.
        logging.warning("The learner's process did not answer: %s", str(error).splitlines()[0] if str(error) else error)
        return None
