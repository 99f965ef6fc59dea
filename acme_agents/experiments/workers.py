"""The workers of a run: what happens in the learner's, an actor's and the evaluator's process.

Each is made by a Launchpad node and runs until its orders or its process's stop event end it. None waits without a
time-out, so that a dead peer never keeps a worker from stopping.
"""

import dataclasses
import logging
import os
import pathlib
import threading
import time
from typing import Any

import courier
import dm_env
import jax
import launchpad
import reverb

import environments
from acme_agents.experiments.experiment import Experiment
from acme_agents.replay import chunks
from acme_agents.replay.writer import ChunkWriter
from acme_agents.runtime import actor as actor_lib
from acme_agents.runtime import checkpoint, variables
from acme_agents.runtime.coordinator import (
    ActorOrders,
    ActorReport,
    Coordinator,
    EvaluatorOrders,
    Phase,
)
from acme_agents.runtime.learner import Learner, LearnerState
from acme_agents.runtime.loggers import RunLogger
from acme_agents.runtime.loop import EnvironmentLoop, Episode

_SYNC_SECONDS = 0.5  # between an actor's reports, and between the evaluator's questions
_IDLE_SECONDS = 0.002  # that the learner sleeps when there is nothing to do
_LOG_PERIOD = 200  # updates between rows of learner.csv
_PUBLISH_PERIOD = 32  # updates between snapshots of the parameters
_CALL_SECONDS = 10.0  # that a peer has to answer; Launchpad's own clients wait for ever
_CLOSING_SECONDS = 30.0  # that an actor waits for its last report to be taken

CHECKPOINTS = "checkpoints"


class LearnerRun:
    """A learner with its coordinator, log and checkpoints: the part that one process and many have in common."""

    def __init__(self, experiment: Experiment, run_dir: pathlib.Path, client: reverb.Client, *, wandb: bool = False):
        """Makes the learner, and continues from the newest checkpoint if there is one.

        Args:
          experiment: what to run.
          run_dir: its directory.
          client: of the replay server; what its durable table holds is collected.
          wandb: whether to log to W&B.
        """
        self._experiment = experiment
        self._directory = run_dir / CHECKPOINTS
        self._client = client
        agent = experiment.make_agent()
        spec = environments.spec(experiment.make_environment("evaluator"))
        self.learner = Learner(agent, spec, client, experiment.seed)
        self._publisher = variables.Publisher()
        logger = RunLogger(run_dir, wandb=wandb, config=dataclasses.asdict(experiment))
        self.coordinator = Coordinator(experiment.budget(), self._publisher, logger, agent.replay(spec).max_size)
        self._logger = logger
        found = checkpoint.load(self._directory, self.learner.save().training)
        if found is None:
            logger.restore({})
        else:
            training, meta = found
            self.learner.restore(LearnerState(training, meta["learner"]))
            self.coordinator.restore(meta["coordinator"])
        self.learner.collect()
        self._saved_at = time.monotonic()
        self._logged = self._published = self.learner.steps
        self._report()
        self._publish()

    def step(self) -> int:
        """Lets the learner step, and publishes, logs and checkpoints what is due; returns the updates done."""
        before = self.learner.steps
        num_updates = self.learner.step(self.coordinator.updates_left())
        self._report()
        if self.learner.steps // _PUBLISH_PERIOD > self._published // _PUBLISH_PERIOD:
            self._publish()
        if self.learner.steps // _LOG_PERIOD > before // _LOG_PERIOD:
            self.coordinator.learner_log(**self.learner.metrics())
        if time.monotonic() - self._saved_at > self._experiment.checkpoint_seconds:
            self.save()
        return num_updates

    def is_over(self) -> bool:
        """Whether the budget is used up; asked when there was nothing to do, so that no data is left behind."""
        return self.coordinator.updates_left() == 0 or self.coordinator.steps_used_up()

    def finish_training(self) -> None:
        """Publishes the last parameters, and has them evaluated."""
        self._publish()
        self.coordinator.finish()

    def save(self) -> None:
        """Writes a checkpoint: the replay server's tables first, which then hold at least what the learner has seen.

        Raises:
          CheckpointError: the disk did not take it.
        """
        try:
            self._client.checkpoint()
        except Exception as error:  # Reverb raises what its status code says.
            raise checkpoint.CheckpointError(
                f"the replay server cannot write its checkpoint ({str(error).splitlines()[0]}); the one before it is "
                "intact: free some space, then continue with --resume."
            ) from error
        state = self.learner.save()
        meta = {"learner": state.counts, "coordinator": self.coordinator.save()}
        checkpoint.save(self._directory, self.learner.steps, state.training, meta)
        self._saved_at = time.monotonic()

    def close(self) -> None:
        """Closes the log."""
        self._logger.close()

    def _publish(self) -> None:
        self._publisher.publish(self.learner.steps, self.learner.params())
        self._published = self.learner.steps

    def _report(self) -> None:
        rate = self.learner.rate
        self.coordinator.learner_report(self.learner.steps, self.learner.replay_size, rate.samples_per_insert())


class LearnerWorker:
    """The learner's process. Its public methods but `run` are the coordinator's, offered to the others by Courier."""

    def __init__(self, experiment: Experiment, run_dir: pathlib.Path, wandb: bool, client: reverb.Client):
        """Makes the learner; waits until the replay server answers."""
        self._stop = launchpad.stop_event()
        _wait_for_server(client, self._stop)
        self._run = LearnerRun(experiment, run_dir, client, wandb=wandb)
        coordinator = self._run.coordinator
        self.actor_sync = coordinator.actor_sync
        self.evaluator_sync = coordinator.evaluator_sync
        self.evaluation_report = coordinator.evaluation_report
        self.status = coordinator.status
        self.stop = coordinator.stop

    def run(self) -> None:
        """Learns until the budget is used up or the run is to stop; leaves a checkpoint in both cases."""
        run, coordinator = self._run, self._run.coordinator
        run.learner.compile()  # while the actors fill replay
        while coordinator.phase is Phase.TRAINING:
            if self._stop.is_set():
                coordinator.stop()
            elif not run.step():
                if run.is_over():
                    run.finish_training()
                self._stop.wait(_IDLE_SECONDS)
        run.save()
        while coordinator.phase is Phase.EVALUATING:
            if self._stop.wait(_IDLE_SECONDS):
                coordinator.stop()
        run.save()
        self._stop.wait(2 * _SYNC_SECONDS)  # until the others have heard that it is over: they hear it from here
        run.close()


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
        self._link = _ActorLink(f"actor/{index}", _with_timeout(coordinator), launchpad.stop_event())

    def run(self) -> None:
        """Acts until the orders say that it is over."""
        link = self._link
        link.start()
        params = link.wait_for_params()
        if params is None:
            return
        experiment = self._experiment
        environment = experiment.make_environment("actor", self._index, link.start_step)
        actor, writer = make_actor(experiment, environment, self._client, self._index, link.start_step, link.abandoned)
        actor.params = params
        loop = EnvironmentLoop(environment, actor)
        while link.may_step():
            if (params := link.new_params()) is not None:
                actor.params = params
            link.count(loop.step())
        writer.flush()
        link.close()


def make_actor(
    experiment: Experiment,
    environment: dm_env.Environment,
    client: reverb.Client,
    index: int,
    start: int,
    stop: threading.Event,
) -> tuple[actor_lib.Actor, ChunkWriter]:
    """Makes an exploring actor and the writer of its steps.

    Args:
      experiment: what to run.
      environment: the one that the actor will act in.
      client: of the replay server.
      index: of the actor.
      start: environment steps of the run when this actor begins.
      stop: set to make the writer's blocked calls return.
    """
    agent, spec = experiment.make_agent(), environments.spec(environment)
    writer = ChunkWriter(client, chunks.step_spec(agent, spec), agent.replay(spec), stop=stop)
    key = jax.random.PRNGKey(experiment.worker_seed("actor", index, start))
    return actor_lib.Actor(agent.actor(spec, evaluation=False), key, writer), writer


class EvaluatorWorker:
    """The evaluator's process: the deterministic policy, in environments of its own seeds."""

    def __init__(self, experiment: Experiment, coordinator: Any):
        """Makes the evaluator; `coordinator` is a Courier client of the learner's process."""
        self._experiment = experiment
        self._coordinator = _with_timeout(coordinator)
        self._stop = launchpad.stop_event()

    def run(self) -> None:
        """Evaluates whenever it is ordered to, until the orders say that it is over."""
        evaluator = None
        while not self._stop.wait(_SYNC_SECONDS):
            orders: EvaluatorOrders | None = _call(self._coordinator.evaluator_sync)
            if orders is None:
                continue
            if orders.finished:
                return
            if orders.evaluation is None or orders.snapshot is None:
                continue
            evaluator = evaluator or Evaluator(self._experiment)
            episodes = evaluator.evaluate(orders.evaluation, variables.unpack(orders.snapshot), self._stop)
            if episodes is not None:
                _call(self._coordinator.evaluation_report, orders.evaluation, episodes)


class Evaluator:
    """Runs the episodes of an evaluation; the same number and parameters give the same episodes."""

    def __init__(self, experiment: Experiment, *, render: bool = False):
        """Makes the actor; `render` says whether frames will be asked for."""
        self._experiment = experiment
        self._render = render
        spec = environments.spec(experiment.make_environment("evaluator"))
        core = experiment.make_agent().actor(spec, evaluation=True)
        key = jax.random.PRNGKey(experiment.worker_seed("evaluator"))
        self._actor = actor_lib.Actor(core, key)

    def evaluate(
        self,
        number: int,
        params: Any,
        stop: threading.Event | None = None,
        *,
        num_episodes: int | None = None,
        on_step: Any = None,
    ) -> list[Episode] | None:
        """Runs an evaluation's episodes.

        Args:
          number: of the evaluation; its environment's seed is made from it.
          params: the actor's.
          stop: ends it early.
          num_episodes: if not as many as the experiment says.
          on_step: called with the environment after every step.

        Returns:
          The episodes; None if it was ended early.
        """
        self._actor.params = params
        environment = self._experiment.make_environment("evaluator", number, render=self._render)
        loop = EnvironmentLoop(environment, self._actor)
        episodes: list[Episode] = []
        while len(episodes) < (num_episodes or self._experiment.eval_episodes):
            if stop is not None and stop.is_set():
                return None
            episode = loop.step()
            if on_step is not None:
                on_step(environment)
            if episode is not None:
                episodes.append(episode)
        return episodes


class _ActorLink:
    """An actor's side of the talk with the coordinator, in a thread of its own."""

    def __init__(self, name: str, coordinator: Any, stop: threading.Event):
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
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="sync", daemon=True)
        self.over = threading.Event()  # set when no further step may be done
        self.abandoned = threading.Event()  # set when not even what was done is wanted any more
        self.start_step = 0

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

    def close(self) -> None:
        """Reports that everything is written."""
        self._closed = True
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
            closed = self._closed
            with self._lock:
                report = ActorReport(
                    self._name, self._life, self._steps, self._num_episodes, list(self._episodes), closed, self._version
                )
            orders: ActorOrders | None = _call(self._coordinator.actor_sync, report)
            if orders is not None:
                self._take(report, orders)
            if closed and (orders is not None or self._stop.is_set()):
                return
            self._wake.wait(_SYNC_SECONDS)
            self._wake.clear()

    def _take(self, report: ActorReport, orders: ActorOrders) -> None:
        snapshot = orders.snapshot
        params = None if snapshot is None else variables.unpack(snapshot)
        with self._lock:
            del self._episodes[: len(report.episodes)]
            if snapshot is not None:
                self._version, self._params = snapshot.version, params
            self.start_step = self.start_step or orders.run_steps
            self._granted = float("inf") if orders.allowance is None else report.steps + orders.allowance
        if orders.abandon:
            self.abandoned.set()
        if orders.finished:
            self.over.set()
        self._answered.set()


def _with_timeout(client: courier.Client) -> courier.Client:
    return courier.Client(client.address, call_timeout=_CALL_SECONDS)


def _call(method: Any, *args: Any) -> Any:
    """Calls a peer; None when it does not answer in time, as while it is being restarted."""
    try:
        return method(*args)
    except Exception as error:  # Courier raises what the status code says, and what the peer raised.
        logging.warning("The learner's process did not answer: %s", str(error).splitlines()[0] if str(error) else error)
        return None


def _wait_for_server(client: reverb.Client, stop: threading.Event) -> None:
    """Returns once the replay server answers or the process is to stop."""
    while not stop.is_set():
        try:
            client.server_info(timeout=1)
            return
        except Exception:  # Reverb raises what its status code says.
            stop.wait(0.05)
