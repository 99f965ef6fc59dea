"""A learner with what surrounds it in a run: the part that one process and many have in common."""

import contextlib
import dataclasses
import logging
import math
import pathlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import reverb

from acme_agents import datasets
from acme_agents.core import checkpoint, errors
from acme_agents.core.experience import Sequences
from acme_agents.core.interfaces import ReplaySpec
from acme_agents.core.types import EnvironmentSpec, Params, Step, Trajectory
from acme_agents.experiments import making
from acme_agents.experiments.experiment import Experiment
from acme_agents.replay import chunks, sizes, store, tables
from acme_agents.replay.chunks import Chunk
from acme_agents.replay.demonstrations import Demonstrations
from acme_agents.replay.intake import Intake
from acme_agents.runtime import background, variables
from acme_agents.runtime.coordinator import Coordinator
from acme_agents.runtime.gathering import GatheredUpdates
from acme_agents.runtime.learner import MAX_UPDATES, Learner, LearnerState, Updates
from acme_agents.runtime.lease import Lease
from acme_agents.runtime.loggers import RunLogger
from acme_agents.runtime.recording import Recorder
from acme_agents.runtime.sampling import SampledUpdates

_LOG_PERIOD = 200  # updates between rows of learner.csv
_CHECKPOINT_ATTEMPTS = 3
_LEASE_SECONDS = 1.0  # between looks at whether another learner has taken over
_PUBLISH_PERIOD = 32  # updates between snapshots of the parameters


class TrainingSession:
    """A learner with its coordinator, log and checkpoints."""

    def __init__(
        self,
        experiment: Experiment,
        run_dir: pathlib.Path,
        client: reverb.Client | None,
        *,
        wandb: bool = False,
        bytes_per_second: float = math.inf,
        stop: threading.Event | None = None,
        on_wait: Callable[[float], None] = lambda _: None,
    ):
        """Makes the learner, and continues from the newest checkpoint if there is one.

        Args:
          experiment: what to run.
          run_dir: its directory.
          client: of the replay server, whose durable table's chunks are collected; None where there is none.
          wandb: whether to log to W&B.
          bytes_per_second: of parameters, to hand to all actors together; what is handed out then depends on time.
          stop: set to make calls return that wait for a replay server that has died, or for a compilation.
          on_wait: called several times a second while the learner is being made, with the seconds so far.

        Raises:
          DatasetError: the experiment's dataset cannot be learned from.
          Stopped: `stop` was set before there was a learner; nothing was changed.
        """
        experiment.environment_spec()  # An environment may insist on the thread that it is made in.
        self.learner = background.call(lambda: _make_learner(experiment, client, stop), stop, on_wait)
        self._experiment = experiment
        self._stop = stop
        self._directory = run_dir / checkpoint.DIRECTORY
        self._client = client
        self._lease = Lease(run_dir)
        self._lease_checked_at = time.monotonic()
        self._recorder = Recorder(experiment, run_dir) if experiment.record is not None else None
        self._publisher = variables.Publisher(max(1, experiment.budget().num_actors), bytes_per_second)
        self._logger = RunLogger(run_dir, wandb=wandb, config=dataclasses.asdict(experiment))
        capacity = self.learner.replay_capacity
        self.coordinator = Coordinator(experiment.budget(), self._publisher, self._logger, capacity)
        if self.learner.intake is not None:
            self.learner.intake.on_new = self._take_note
        self._restore()
        self._saved_at = time.monotonic()
        self._published = self._logged = self.learner.steps
        self._report()
        self._publish()

    def _restore(self) -> None:
        """Continues from the newest checkpoint, if there is one, and takes what the replay server holds."""
        num_pieces = 0
        found = checkpoint.load(self._directory, self.learner.save().training)
        if found is None:
            self._logger.restore({})
        else:
            training, meta = found
            self.learner.restore(LearnerState(training, meta["learner"]))
            self.coordinator.restore(meta["coordinator"])
            num_pieces = meta["recorded_pieces"]
        known = [] if self.learner.intake is None else self.learner.intake.collect()
        if self._recorder is not None:
            self._recorder.restore(num_pieces, known)

    def _take_note(self, new: Sequence[Chunk]) -> None:
        """Counts the steps of chunks that come in, and records them."""
        for chunk in new:
            self.coordinator.written(int(chunk.writer), int(chunk.num_starts))
        if self._recorder is not None:
            self._recorder.add(new)

    def step(self) -> int:
        """Lets the learner step, and publishes, logs and checkpoints what is due; returns the updates done.

        Raises:
          CheckpointError: the disk did not take a checkpoint.
          NotFinite: learning has diverged; what is not finite was neither published nor written.
          Superseded: another learner continues the run.
        """
        if time.monotonic() - self._lease_checked_at > _LEASE_SECONDS:
            self._lease.check()
            self._lease_checked_at = time.monotonic()
        before = self.learner.steps
        with self._naming_the_checkpoint():
            num_updates = self.learner.step(self.coordinator.updates_left())
        self._report()
        if self.learner.steps // _PUBLISH_PERIOD > self._published // _PUBLISH_PERIOD and self._publisher.is_due():
            self._publish()
        if self.learner.steps // _LOG_PERIOD > before // _LOG_PERIOD:
            self._log()
        if time.monotonic() - self._saved_at > self._experiment.checkpoint_seconds:
            self.save()
        return num_updates

    def compile(self, on_wait: Callable[[float], None] = lambda _: None) -> None:
        """Compiles the updates that come next, if they are not; returns early when the run is to stop.

        Args:
          on_wait: called several times a second meanwhile, with the seconds so far.
        """
        if self.learner.is_compiled:
            return
        self.coordinator.compiling = True
        with contextlib.suppress(background.Stopped):
            background.call(self.learner.compile, self._stop, on_wait)
        self.coordinator.compiling = False

    def params(self) -> Params:
        """What actors need, as it is now; the next step overwrites it.

        Raises:
          NotFinite: it is of no use: learning has diverged.
        """
        self._check_finite()
        return self.learner.params()

    def is_over(self) -> bool:
        """Whether the budget is used up; asked when there was nothing to do, so that no data is left behind."""
        return self.coordinator.updates_left() == 0 or self.coordinator.steps_used_up()

    def finish_training(self) -> None:
        """Publishes the last parameters, and has them evaluated; the last updates have their row."""
        if self.learner.steps > self._logged:
            self._log()
        self._publish()
        self.coordinator.finish()

    def save(self) -> None:
        """Writes a checkpoint: the replay server's tables first, which then hold at least what the learner has seen.

        While that server is being restarted only the learner's part is written.

        Raises:
          CheckpointError: the disk did not take it.
          NotFinite: learning has diverged; nothing was written.
          Superseded: another learner continues the run.
        """
        self._check_finite()
        self._lease.check()
        if self._client is not None:
            self._checkpoint_replay(self._client)
        state = self.learner.save()
        meta = {
            "learner": state.counts,
            "coordinator": self.coordinator.save(),
            "recorded_pieces": 0 if self._recorder is None else self._recorder.save(),
        }
        checkpoint.save(
            self._directory,
            self.learner.steps,
            state.training,
            meta,
            keep=self._experiment.keep_checkpoints,
            keep_every=self._experiment.keep_every,
        )
        self._saved_at = time.monotonic()

    def close(self) -> None:
        """Closes the log, and writes the dataset if the run is recorded."""
        self.learner.close()
        self._logger.close()
        if self._recorder is not None:
            self._recorder.close()

    def close_after_failure(self) -> None:
        """Closes as `close` does; what prevents that is logged, not raised, for the failure itself is what matters."""
        try:
            self.close()
        except Exception as error:
            logging.warning("The run could not be closed in order: %s", error)

    def _checkpoint_replay(self, client: reverb.Client) -> None:
        """Has the replay server write a checkpoint; only a warning while it is away."""
        for attempt in range(_CHECKPOINT_ATTEMPTS):
            try:
                tables.keep_newest(self._directory / tables.CHECKPOINTS)
                client.checkpoint()
                return
            except Exception as error:  # Reverb raises what its status code says.
                is_here = isinstance(error, OSError) and not isinstance(error, ConnectionError)
                if not is_here and not answers(client):
                    break
                # It may just have been restarted; a disk that is full stays so.
                if is_here or attempt == _CHECKPOINT_ATTEMPTS - 1:
                    raise checkpoint.CheckpointError(
                        f"the replay server cannot write its checkpoint ({str(error).splitlines()[0]}); the one before "
                        "it is intact: free some space, then continue with --resume."
                    ) from error
        logging.warning("The replay server is away; its newest checkpoint is older than the learner's.")

    def _log(self) -> None:
        self.coordinator.learner_log(**self.learner.metrics())
        self._logged = self.learner.steps

    def _publish(self) -> None:
        self._publisher.publish(self.learner.steps, self.params())
        self._published = self.learner.steps

    def _check_finite(self) -> None:
        with self._naming_the_checkpoint():
            self.learner.check_finite()

    @contextlib.contextmanager
    def _naming_the_checkpoint(self) -> Iterator[None]:
        """Has the sentence that says that learning has diverged name the checkpoint that is from before."""
        try:
            yield
        except errors.NotFinite as error:
            saved = checkpoint.steps(self._directory)
            newest = f"the newest checkpoint is of update {saved[-1]:,}" if saved else "there is no checkpoint yet"
            raise errors.NotFinite(f"{str(error).removesuffix('.')}; {newest}.") from error

    def _report(self) -> None:
        learner = self.learner
        self.coordinator.learner_report(learner.steps, learner.replay_size, learner.samples_per_insert)


def _make_learner(experiment: Experiment, client: reverb.Client | None, stop: threading.Event | None) -> Learner:
    """The untrained learner, with all that it draws from: actors unless nobody acts, a dataset if one is given."""
    agent, spec, seed = making.make_agent(experiment), experiment.environment_spec(), experiment.seed
    core, replay, steps = agent.learner(spec), making.replay_spec(experiment, spec), chunks.step_spec(agent, spec)
    trajectories = _load(experiment, spec, steps, replay) if experiment.dataset is not None else []
    intake = None
    if client is not None and not experiment.is_offline:
        intake = Intake(steps, replay, client, tolerance=float(MAX_UPDATES * replay.batch_size))
    updates: Updates
    if isinstance(replay.experience, Sequences):
        sent = Demonstrations(client, steps, replay, trajectories, stop=stop) if trajectories else None
        updates = SampledUpdates(core, replay, steps, seed, client, intake=intake, dataset=sent)
    else:
        held = store.from_trajectories(steps, trajectories) if trajectories else None
        updates = GatheredUpdates(core, replay, seed, intake=intake, dataset=held)
    return Learner(core, seed, updates, offline_updates=experiment.budget().offline_updates)


def _load(experiment: Experiment, spec: EnvironmentSpec, steps: Step, replay: ReplaySpec) -> list[Trajectory]:
    """The episodes of the experiment's dataset."""
    assert experiment.dataset is not None
    trajectories = datasets.load(
        experiment.dataset,
        spec,
        keep_good=experiment.keep_good,
        good_return=experiment.good_return,
        seed=experiment.seed,
        bad_episodes=experiment.bad_episodes,
        clip_actions=experiment.clip_actions,
    )
    num_steps = sum(len(trajectory.discount) for trajectory in trajectories)
    sizes.check_dataset(experiment.dataset, steps, replay, num_steps + len(trajectories))
    logging.info("%s: %s episodes, %s steps.", experiment.dataset, f"{len(trajectories):,}", f"{num_steps:,}")
    return trajectories


def answers(client: reverb.Client, timeout: int = 1) -> bool:
    """Whether a replay server answers within `timeout` seconds."""
    try:
        client.server_info(timeout=timeout)
    except Exception:  # Reverb raises what its status code says.
        return False
    return True
