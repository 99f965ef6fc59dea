"""Actor, replay server and learner in this process, taking turns: the same agent code, and nothing depends on time."""

import contextlib
import dataclasses
import functools
import os
import pathlib
import threading
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import reverb

from acme_agents.core import errors
from acme_agents.experiments import making
from acme_agents.experiments.experiment import Experiment
from acme_agents.replay import tables
from acme_agents.runtime import acting, background, loopback, replay_server, seeding, variables
from acme_agents.runtime.coordinator import ActorReport, Phase
from acme_agents.runtime.loop import EnvironmentLoop, Episode
from acme_agents.runtime.status import Status
from acme_agents.runtime.training_session import TrainingSession

_NAME = "actor/0"


def run(
    experiment: Experiment,
    run_dir: pathlib.Path,
    *,
    wandb: bool = False,
    stop: threading.Event,
    on_status: Callable[[Status], None],
) -> None:
    """Runs an experiment to its end, or until `stop` is set; leaves a checkpoint in both cases.

    The actor acts until it has written a chunk; the learner then does every update that the chunk allows, and the actor
    goes on with the new parameters. Nothing depends on time, so equal seeds give equal metrics,
    except where the replay server draws, as sequences: its chance takes no seed.

    Args:
      experiment: what to run; its number of actors is taken as one.
      run_dir: its directory; a checkpoint in it is continued.
      wandb: whether to log to W&B.
      stop: set to end the run early.
      on_status: called after every chunk and evaluation.
    """
    experiment = dataclasses.replace(experiment, num_actors=1)
    with contextlib.suppress(background.Stopped):  # before there was anything to save
        _run(experiment, run_dir, wandb, stop, on_status)


def _run(
    experiment: Experiment,
    run_dir: pathlib.Path,
    wandb: bool,
    stop: threading.Event,
    on_status: Callable[[Status], None],
) -> None:
    phase = "compiling" if experiment.dataset is None else "loading the dataset"

    def make_session(client: reverb.Client | None) -> TrainingSession:
        def show(seconds: float) -> None:
            on_status(Status(phase, 0, experiment.max_steps, 0, experiment.max_updates, walltime=seconds))

        return TrainingSession(experiment, run_dir, client, wandb=wandb, stop=stop, on_wait=show)

    if not making.has_server(experiment):
        _Turns(experiment, make_session(None), stop, on_status).run()
        return
    server = tables.serve(
        functools.partial(replay_server.make_tables, experiment), replay_server.replay_directory(run_dir)
    )
    loopback.only_this_machine()
    client = reverb.Client(f"localhost:{server.port}")
    try:
        session = make_session(client)
        if experiment.is_offline:
            _Turns(experiment, session, stop, on_status).run()
        else:
            seed = experiment.worker_seed("actor", 0, session.coordinator.actor_steps)
            with seeding.own_generators(seed):
                _ActingTurns(experiment, session, client, stop, on_status).run()
    finally:
        server.stop()


class _Turns:
    """The learner and the evaluator, where nobody acts."""

    def __init__(
        self,
        experiment: Experiment,
        session: TrainingSession,
        stop: threading.Event,
        on_status: Callable[[Status], None],
    ):
        self._evaluator = acting.Evaluator(experiment) if experiment.eval_every else None
        self._session = session
        self._coordinator = session.coordinator
        self._stop = stop
        self._on_status = on_status

    def run(self) -> None:
        """Runs to the end, or until it is stopped; leaves a checkpoint, also where an environment fails."""
        try:
            self._run()
        except Exception as error:
            if isinstance(error, errors.EnvironmentFault):  # What was learned before is as good as ever.
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
            elif not self._session.learner.is_compiled:
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
        if self._evaluator is not None:
            self._evaluator.close()

    def _turn(self) -> None:
        """Learns a little offline."""
        self._session.step()
        self._evaluate()

    def _evaluate(self) -> None:
        """Runs the evaluation that is due, if one is."""
        orders = self._coordinator.evaluator_sync()
        if self._evaluator is not None and orders.evaluation is not None and orders.snapshot is not None:
            self._on_status(self._coordinator.status()._replace(phase="evaluating"))
            params = variables.unpack(orders.snapshot)
            episodes = self._evaluator.evaluate(orders.evaluation, params, self._stop)
            if episodes is not None:
                self._coordinator.evaluation_report(orders.evaluation, episodes)
        self._on_status(self._coordinator.status())


class _ActingTurns(_Turns):
    """One actor and the learner, each acting on what the other has just done."""

    def __init__(
        self,
        experiment: Experiment,
        session: TrainingSession,
        client: reverb.Client,
        stop: threading.Event,
        on_status: Callable[[Status], None],
    ):
        super().__init__(experiment, session, stop, on_status)
        start = session.coordinator.actor_steps
        self._environment = experiment.make_environment("actor", 0, start)
        try:
            self._actor, self._writer = acting.make_actor(experiment, self._environment, client, 0, start, stop)
        except BaseException:
            acting.close(self._environment)
            raise
        self._loop = EnvironmentLoop(self._environment, self._actor)
        self._began = False
        self._life = os.urandom(6).hex()
        self._steps = self._num_episodes = self._num_chunks = 0
        self._granted: float = 0

    def _close(self) -> None:
        super()._close()
        acting.close(self._environment)
        self._writer.close()

    def _turn(self) -> None:
        """Learns offline while there is that to do; then lets the actor take a step, and the learner follow."""
        if self._coordinator.is_offline:
            super()._turn()
        elif not self._began:
            self._began = True
            self._sync()
            self._learn()
        elif self._steps >= self._granted:
            self._learn()
            self._sync(closed=True)
        else:
            self._act()

    def _act(self) -> None:
        """Takes one step; after one that completed a chunk, the learner has its turn."""
        try:
            episode = self._loop.step()
        except errors.EnvironmentFault:
            self._sync()
            raise
        self._steps += 1
        if episode is not None:
            self._num_episodes += 1
            self._sync([episode])
        if self._writer.num_chunks != self._num_chunks or self._steps >= self._granted:
            self._num_chunks = self._writer.num_chunks
            self._sync()
            self._learn()
            self._evaluate()

    def _sync(self, episodes: Sequence[Episode] = (), *, closed: bool = False) -> None:
        version = self._session.learner.steps
        orders = self._coordinator.actor_sync(
            ActorReport(_NAME, self._life, self._steps, self._num_episodes, list(episodes), closed, version)
        )
        self._granted = float("inf") if orders.allowance is None else self._steps + orders.allowance

    def _learn(self) -> None:
        self._writer.flush()
        while self._session.step() and not self._stop.is_set():
            pass
        # A copy: the learner's next update takes the buffers.
        self._actor.params = jax.tree.map(jnp.copy, self._session.params())
