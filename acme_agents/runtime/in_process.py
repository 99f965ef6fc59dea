"""Actor and learner take turns in this process: the same agent code, and nothing depends on time.

It needs JAX and the environment: no Launchpad, no TensorFlow. Only to continue a run of several processes it starts a
replay server.
"""

import contextlib
import dataclasses
import pathlib
import threading
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from acme_agents.core import checkpoint, errors
from acme_agents.core.interfaces import REPLAY, LearnerCore, ReplaySpec
from acme_agents.core.types import Step
from acme_agents.experiments.experiment import Experiment
from acme_agents.replay import memory_transport
from acme_agents.replay.intake import OnNew
from acme_agents.replay.memory_transport import MemoryTransport
from acme_agents.replay.replay import Replay
from acme_agents.replay.transport import NoReceiver, Receiver, Sender
from acme_agents.runtime import background, replays, seeding
from acme_agents.runtime.actor_session import ActorAccount, ActorSession
from acme_agents.runtime.coordinator import Phase
from acme_agents.runtime.evaluator import EvaluationsHere
from acme_agents.runtime.status import OnStatus, Status
from acme_agents.runtime.training_session import TrainingSession


def run(
    experiment: Experiment,
    run_dir: pathlib.Path,
    *,
    wandb: bool = False,
    stop: threading.Event,
    on_status: OnStatus,
) -> None:
    """Runs an experiment to its end, or until `stop` is set; leaves a checkpoint in both cases.

    The actor acts until it has written a chunk, or several where it has many environments; the learner then does every
    update that they allow, and the actor goes on with the new parameters. Nothing depends on time, so equal seeds give
    equal metrics.

    Args:
      experiment: what to run; its number of actors is taken as one, and the learner draws.
      run_dir: its directory; a checkpoint in it is continued.
      wandb: whether to log to W&B.
      stop: set to end the run early.
      on_status: called after every chunk and evaluation.
    """
    experiment = dataclasses.replace(experiment, num_actors=1, replay="learner")
    steps, replay = replays.specs(experiment)
    with (
        contextlib.suppress(background.Stopped),
        _transport(experiment, steps, replay, run_dir, stop) as (sender, receiver),
    ):

        def make_replay(experiment: Experiment, core: LearnerCore, on_new: OnNew) -> Replay:
            return replays.on_device(experiment, steps, replay, core, receiver, on_new)

        session = _make_session(experiment, run_dir, make_replay, wandb, stop, on_status)
        if experiment.is_offline:
            _Turns(experiment, session, stop, on_status).run()
        else:
            seed = experiment.worker_seed("actor", 0, session.coordinator.actor_steps)
            with seeding.own_generators(seed):
                _ActingTurns(experiment, session, sender, stop, on_status).run()


def _make_session(
    experiment: Experiment,
    run_dir: pathlib.Path,
    make_replay: replays.MakeReplay,
    wandb: bool,
    stop: threading.Event,
    on_status: OnStatus,
) -> TrainingSession:
    phase = "compiling" if experiment.dataset is None else "loading the dataset"

    def show(seconds: float) -> None:
        on_status(Status(phase, 0, experiment.max_steps, 0, experiment.max_updates, walltime=seconds))

    return TrainingSession(experiment, run_dir, make_replay, wandb=wandb, stop=stop, on_wait=show)


@contextlib.contextmanager
def _transport(
    experiment: Experiment, steps: Step, replay: ReplaySpec, run_dir: pathlib.Path, stop: threading.Event
) -> Iterator[tuple[Sender, Receiver]]:
    """The transport from the actor to the learner."""
    directory = run_dir / checkpoint.DIRECTORY
    memory = MemoryTransport(steps, replay, directory / memory_transport.DIRECTORY)
    if experiment.is_offline:
        yield memory, NoReceiver()
    elif not _was_served(directory):
        yield memory, memory
    else:  # It began as several processes: the items are in a replay server's checkpoint.
        with replays.served(steps, replay, directory, stop) as both:
            yield both


def _was_served(directory: pathlib.Path) -> bool:
    """Whether the run's newest checkpoint was written beside a replay server."""
    meta = checkpoint.read_meta(directory) or {"learner": {"replay": {}}}
    return "taken" in meta["learner"]["replay"].get(REPLAY, {"receiver": {}})["receiver"]


class _Turns:
    """The learner and the evaluator of a run without actors."""

    def __init__(self, experiment: Experiment, session: TrainingSession, stop: threading.Event, on_status: OnStatus):
        self._evaluations = EvaluationsHere(experiment, session.coordinator)
        self._session = session
        self._coordinator = session.coordinator
        self._stop = stop
        self._on_status = on_status

    def run(self) -> None:
        """Runs to the end, or until it is stopped; leaves a checkpoint, also where an environment fails."""
        try:
            self._run()
        except Exception as error:
            if isinstance(error, errors.EnvironmentFault):  # What was learned before is still valid.
                self._session.save()
            self._session.close_after_failure()
            raise
        finally:
            self._close()

    def _run(self) -> None:
        while self._coordinator.phase is Phase.TRAINING:
            if self._stop.is_set():
                self._coordinator.stop()
            elif self._session.is_over():
                self._session.finish_training()
            elif not self._session.learner.replay.is_compiled:
                self._session.compile(lambda _: self._on_status(self._coordinator.status()))
            else:
                self._turn()
        self._session.save()
        if self._coordinator.phase is Phase.EVALUATING:
            self._evaluate()
            if self._stop.is_set():
                self._coordinator.stop()
            self._session.save()
        self._on_status(self._coordinator.status())
        self._session.close()

    def _close(self) -> None:
        """Closes the environments."""
        self._evaluations.close()

    def _turn(self) -> None:
        """Does some offline updates."""
        self._session.step()
        self._evaluate()

    def _evaluate(self) -> None:
        """Runs the evaluation that is due, if any."""
        self._evaluations.run(self._stop, self._on_status)
        self._on_status(self._coordinator.status())


class _ActingTurns(_Turns):
    """One actor and the learner, in turns."""

    def __init__(
        self,
        experiment: Experiment,
        session: TrainingSession,
        sender: Sender,
        stop: threading.Event,
        on_status: OnStatus,
    ):
        super().__init__(experiment, session, stop, on_status)
        self._account = ActorAccount(0, experiment.environments_per_actor)
        self._account.start_step = session.coordinator.actor_steps
        self._actor = ActorSession(experiment, self._account, sender)
        self._began = False
        self._num_chunks = 0

    def _close(self) -> None:
        super()._close()
        self._actor.close()

    def _turn(self) -> None:
        """Learns offline while offline updates are left; after that the actor takes a step, and the learner follows."""
        if self._coordinator.is_offline:
            super()._turn()
        elif not self._began:
            self._began = True
            self._sync()
            self._learn()
        elif not self._account.may_step:
            self._learn()
            self._account.closed = True
            self._sync()
        else:
            self._act()

    def _act(self) -> None:
        """Takes a step in each environment; after one that completed a chunk, the learner has its turn."""
        try:
            episodes = self._actor.step()
        except errors.EnvironmentFault:
            self._sync()
            raise
        if episodes:
            self._sync()
        if self._actor.num_chunks != self._num_chunks or not self._account.may_step:
            self._num_chunks = self._actor.num_chunks
            self._sync()
            self._learn()
            self._evaluate()

    def _sync(self) -> None:
        report = self._account.report()
        orders = self._coordinator.actor_sync(report)
        self._account.take(report, orders._replace(snapshots=()))  # The actor takes the learner's parameters directly.

    def _learn(self) -> None:
        self._actor.flush()
        while self._session.step() and not self._stop.is_set():
            pass
        # A copy: the learner's next update takes the buffers.
        self._actor.act_with(self._session.learner.steps, jax.tree.map(jnp.copy, self._session.params()))
