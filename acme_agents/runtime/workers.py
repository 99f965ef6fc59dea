"""The workers of a run: what happens in the learner's, an actor's and the evaluator's process.

Each is made by a Launchpad node and runs until its orders or its process's stop event end it. None waits without a
time-out, so that a dead peer never keeps a worker from stopping.
"""

import contextlib
import logging
import pathlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import courier
import launchpad
import reverb

from acme_agents.core import errors
from acme_agents.experiments import making
from acme_agents.experiments.experiment import Experiment
from acme_agents.replay.reverb_transport import actors_sender, answers
from acme_agents.runtime import background, loopback, replays, seeding, variables
from acme_agents.runtime.actor_session import ActorAccount, ActorSession
from acme_agents.runtime.coordinator import ActorOrders, ActorReport, Phase
from acme_agents.runtime.evaluator import Evaluator
from acme_agents.runtime.loop import Episode
from acme_agents.runtime.training_session import TrainingSession

_SYNC_SECONDS = 0.5  # between an actor's reports where there are few, and between the evaluator's questions
_MAX_SYNC_SECONDS = 2.0  # where there are many
_REPORTS_PER_SECOND = 32.0  # of all actors together; with more actors each reports less often
_HURRIED_REPORTS_PER_SECOND = 128.0  # of all actors together, where parameters are asked for after each chunk
_IDLE_SECONDS = 0.002  # that the learner sleeps when there is nothing to do
_CALL_SECONDS = 3.0  # that a peer has to answer; Launchpad's own clients wait for ever
_CLOSING_SECONDS = 30.0  # that an actor waits for its last report to be taken


def sync_seconds(num_actors: int) -> float:
    """Seconds between an actor's reports: with many actors each reports less often."""
    return min(max(num_actors / _REPORTS_PER_SECOND, _SYNC_SECONDS), _MAX_SYNC_SECONDS)


class LearnerWorker:
    """The learner's process. Its public methods but `run` are the coordinator's, offered to the others by Courier."""

    def __init__(self, experiment: Experiment, run_dir: pathlib.Path, wandb: bool, client: reverb.Client | None):
        """Makes the learner; waits until the replay server, if there is one, answers.

        Raises:
          Stopped: the run is to end before it could begin.
        """
        self._stop = launchpad.stop_event()
        while client is not None and not answers(client) and not self._stop.is_set():
            self._stop.wait(_IDLE_SECONDS)
        with _early_faults(lambda: 0):
            self._run = TrainingSession(
                experiment,
                run_dir,
                replays.between_processes(client, run_dir, self._stop),
                wandb=wandb,
                bytes_per_second=variables.BYTES_PER_SECOND,
                stop=self._stop,
            )
        seeding.seed_generators(experiment.worker_seed("learner", 0, self._run.learner.steps))
        self._is_recorded = experiment.record is not None
        self._farewell_seconds = 2 * sync_seconds(experiment.num_actors)
        coordinator = self._run.coordinator
        self.actor_sync = coordinator.actor_sync
        self.evaluator_sync = coordinator.evaluator_sync
        self.evaluation_report = coordinator.evaluation_report
        self.status = coordinator.status
        self.stop = coordinator.stop

    def run(self) -> None:
        """Learns until the budget is used up or the run is to stop; leaves a checkpoint in both cases."""
        loopback.only_this_machine()  # Launchpad has just started the server of this object's methods.
        run, before = self._run, self._run.learner.steps
        try:
            with _early_faults(lambda: run.learner.steps - before):
                self._learn(run)
        except errors.NotFinite:  # The recording is still valid.
            run.close_after_failure()
            raise
        run.close()

    def _learn(self, run: TrainingSession) -> None:
        coordinator = run.coordinator
        while coordinator.phase is Phase.TRAINING:
            if self._stop.is_set():
                coordinator.stop()
            elif not run.learner.replay.is_compiled and not run.is_over():
                run.compile()  # while the actors fill replay
            elif not run.step():
                if run.is_over():
                    run.finish_training()
                self._stop.wait(_IDLE_SECONDS)
        if self._is_recorded:
            run.take_in()  # It may have been compiling until now.
        run.save()
        while coordinator.phase is Phase.EVALUATING:
            if self._stop.wait(_IDLE_SECONDS):
                coordinator.stop()
        run.save()
        self._stop.wait(self._farewell_seconds)  # so that the other workers can hear from here that the run is over


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
        self._client = client
        self._account = ActorAccount(index, experiment.environments_per_actor)
        period = sync_seconds(experiment.num_actors)
        least = experiment.num_actors / _HURRIED_REPORTS_PER_SECOND
        self._link = _ActorLink(self._account, _with_timeout(coordinator), launchpad.stop_event(), period, least)

    def run(self) -> None:
        """Acts until the orders say that it is over."""
        account, link = self._account, self._link
        link.start()
        found = link.wait_for_params()
        if not found:  # Others used the budget up before this one could act: the learner waits to hear that it is done.
            link.close(done=True)
        for params in found:
            seeding.seed_generators(self._experiment.worker_seed("actor", *account.place))
            with _early_faults(lambda: account.steps):
                replay = making.replay_spec(self._experiment, self._experiment.environment_spec())
                sender = actors_sender(self._client, link.abandoned, replay)
                session = ActorSession(self._experiment, account, sender)
                try:
                    self._act(session, params, hurries=replay.experience.once)
                finally:
                    session.close()

    def _act(self, session: ActorSession, params: Any, *, hurries: bool) -> None:
        """Acts, starting with these parameters; reports its counts however it ends.

        Args:
          session: acts.
          params: the parameters and their version.
          hurries: whether to ask for newer ones after each chunk.
        """
        link = self._link
        session.act_with(*params)
        num_chunks = 0
        try:
            while link.may_step():
                if hurries and session.num_chunks != num_chunks:
                    num_chunks = session.num_chunks
                    link.hurry()
                for version, params in self._account.new_params():
                    session.act_with(version, params)
                session.step()
        except Exception:
            session.flush()
            link.close(done=False)
            raise
        session.flush()
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
        with contextlib.closing(Evaluator(self._experiment)) as evaluator:
            while not self._stop.wait(_SYNC_SECONDS):
                for orders in _call(self._coordinator.evaluator_sync):
                    if orders.finished:
                        return
                    evaluator.obey(orders, self._stop, self._report)

    def _report(self, number: int, episodes: list[Episode]) -> None:
        _call(self._coordinator.evaluation_report, number, episodes)
        self._num_evaluations += 1


class _ActorLink:
    """Reports an actor's account to the coordinator and takes the answers, in a thread of its own."""

    def __init__(self, account: ActorAccount, coordinator: Any, stop: threading.Event, period: float, least: float):
        self._account = account
        self._period = period
        self._least = least  # seconds between hurried reports
        self._hurried_at = 0.0
        self._coordinator = coordinator
        self._stop = stop
        self._wake = threading.Event()
        self._answered = threading.Event()
        self._is_last = False  # whether the next report is
        self._thread = threading.Thread(target=self._report_until_over, name="sync", daemon=True)
        self._failures: list[Exception] = []  # what ended the thread
        self.over = threading.Event()  # set when no further step may be done
        self.abandoned = threading.Event()  # set when even the finished steps are not wanted any more

    def start(self) -> None:
        self._thread.start()

    def wait_for_params(self) -> list[Any]:
        """The first parameters; an empty list if the run is over before they come."""
        while not self.over.is_set():
            if params := self._account.new_params():
                return params
            self._wait_for_answer()
        return []

    def may_step(self) -> bool:
        """Whether the next step may be done; waits for a grant if the budget is nearly used up."""
        while not self._account.may_step:
            if self.over.is_set():
                return False
            self._wait_for_answer()
        self._raise_failure()
        return not self.over.is_set()

    def hurry(self) -> None:
        """Makes the next report soon, unless it just did: its answer may bring new parameters."""
        if time.monotonic() - self._hurried_at > self._least:
            self._hurried_at = time.monotonic()
            self._wake.set()

    def close(self, *, done: bool) -> None:
        """Makes the last report; it says whether all granted work is done."""
        self._account.closed = done
        self._is_last = True
        self._wake.set()
        self._thread.join(timeout=_CLOSING_SECONDS)

    def _wait_for_answer(self) -> None:
        self._answered.clear()
        self._wake.set()
        self._answered.wait(_SYNC_SECONDS)
        self._raise_failure()

    def _raise_failure(self) -> None:
        for failure in self._failures:
            raise failure

    def _report_until_over(self) -> None:
        try:
            self._run()
        except Exception as error:  # It is for the actor's thread to raise: nobody hears of it here.
            self._failures.append(error)
            self.abandoned.set()  # Nobody would end a wait for replay any more.
            self._answered.set()

    def _run(self) -> None:
        while True:
            if self._stop.is_set():
                self.over.set()
                self.abandoned.set()
            is_last = self._is_last
            if self._stop.is_set() and not is_last:  # The last report comes when the actor has stopped, and at once.
                self._rest()
                continue
            report = self._account.report()
            answers = _call(self._coordinator.actor_sync, report)
            for orders in answers:
                self._take(report, orders)
            if is_last and (answers or self._stop.is_set()):
                return
            self._rest()

    def _rest(self) -> None:
        """Waits until the next report is due or wanted; notices within half a second that the run is over."""
        left = self._period
        while not self._wake.wait(min(left, _SYNC_SECONDS)) and not self._stop.is_set():
            left -= _SYNC_SECONDS
            if left <= 0:
                break
        self._wake.clear()

    def _take(self, report: ActorReport, orders: ActorOrders) -> None:
        self._account.take(report, orders)
        if orders.abandon:
            self.abandoned.set()
        if orders.finished:
            self.over.set()
        self._answered.set()


@contextlib.contextmanager
def _early_faults(steps: Callable[[], int]) -> Iterator[None]:
    """Adds the number of steps that the worker had done to a fault: the launcher uses it to decide on a restart.

    Raises:
      EarlyFault: its cause is the exception. Errors that explain themselves are raised unchanged.
    """
    try:
        yield
    except (errors.UserError, errors.RunFailed, errors.EnvironmentFault, background.Stopped):
        raise
    except Exception as error:
        raise errors.EarlyFault(steps()) from error


def _with_timeout(client: courier.Client) -> courier.Client:
    return courier.Client(client.address, call_timeout=_CALL_SECONDS)


def _call(method: Any, *args: Any) -> list[Any]:
    """Calls a peer, and returns its answer; nothing if it does not answer in time, as while it is being restarted."""
    try:
        return [method(*args)]
    except Exception as error:  # Courier raises what the status code says, and what the peer raised.
        logging.warning("The learner's process did not answer: %s", str(error).splitlines()[0] if str(error) else error)
        return []
