"""A learner in a run, with coordinator, log and checkpoints: the same in one process and in many."""

import contextlib
import dataclasses
import logging
import math
import pathlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from acme_agents.core import checkpoint, errors
from acme_agents.core.types import Params
from acme_agents.experiments import making
from acme_agents.experiments.experiment import Experiment
from acme_agents.replay.chunks import Chunk
from acme_agents.runtime import background, recording, variables
from acme_agents.runtime.coordinator import Coordinator
from acme_agents.runtime.histograms import Histograms
from acme_agents.runtime.learner import Learner, LearnerState
from acme_agents.runtime.lease import Lease
from acme_agents.runtime.loggers import RunLogger
from acme_agents.runtime.replays import MakeReplay

_LEASE_SECONDS = 1.0  # between looks at whether another learner has taken over


class TrainingSession:
    """A learner with its coordinator, log and checkpoints."""

    def __init__(
        self,
        experiment: Experiment,
        run_dir: pathlib.Path,
        make_replay: MakeReplay,
        *,
        wandb: bool = False,
        bytes_per_second: float = math.inf,
        stop: threading.Event = background.NEVER,
        on_wait: Callable[[float], None] = lambda _: None,
    ):
        """Makes the learner, and continues from the newest checkpoint if there is one.

        Args:
          experiment: what to run.
          run_dir: its directory.
          make_replay: makes the learner's replay; see `replays`.
          wandb: whether to log to W&B.
          bytes_per_second: limit on the parameters sent to all actors together; with a limit, sending depends on time.
          stop: set to end calls that wait for a dead replay server or for a compilation.
          on_wait: called several times a second while the learner is being made, with the seconds so far.

        Raises:
          DatasetError: the experiment's dataset cannot be learned from.
          Stopped: `stop` was set before there was a learner; nothing was changed.
        """
        experiment.environment_spec()  # Here, because some environments work only in the thread that made them.
        self.learner = background.call(lambda: self._make_learner(experiment, make_replay), stop, on_wait)
        self._experiment = experiment
        self._replay = making.replay_spec(experiment, experiment.environment_spec())
        self._stop = stop
        self._directory = run_dir / checkpoint.DIRECTORY
        self._lease = Lease(run_dir)
        self._lease_checked_at = time.monotonic()
        self._recorder = recording.make(experiment, run_dir)
        self._publisher = variables.Publisher(max(1, experiment.budget().num_actors), bytes_per_second)
        self._histograms = Histograms() if experiment.histograms else None
        self._logger = RunLogger(run_dir, wandb=wandb, config=dataclasses.asdict(experiment))
        capacity = self.learner.replay.capacity
        self.coordinator = Coordinator(experiment.budget(), self._publisher, self._logger, capacity)
        self._restore()
        self._saved_at = time.monotonic()
        self._published = self._logged = self.learner.steps
        self._report()
        self._publish()

    def _make_learner(self, experiment: Experiment, make_replay: MakeReplay) -> Learner:
        """The untrained learner and its replay."""
        core = making.make_learner(experiment)
        return Learner(core, experiment.seed, make_replay(experiment, core, self._take_note))

    def _restore(self) -> None:
        """Continues from the newest checkpoint, if there is one, and fills replay with its items."""
        num_pieces = 0
        found = checkpoint.load(self._directory, self.learner.save().training)
        if found is None:
            self._logger.restore({})
        else:
            training, meta = found
            self.learner.restore(LearnerState(training, meta["learner"]))
            self.coordinator.restore(meta["coordinator"])
            num_pieces = meta["recorded_pieces"]
        known = self.learner.replay.recover()
        self._recorder.restore(num_pieces, known)

    def _take_note(self, new: Sequence[Chunk]) -> None:
        """Counts the steps of incoming chunks, and records them."""
        for chunk in new:
            self.coordinator.written(int(chunk.writer), int(chunk.num_starts))
        self._recorder.add(new)

    def step(self) -> int:
        """Lets the learner step; publishes, logs and writes a checkpoint if due. Returns the number of updates done.

        Raises:
          CheckpointError: the disk did not take a checkpoint.
          NotFinite: learning has diverged; the bad state was neither published nor saved.
          Superseded: another learner continues the run.
        """
        self.check_lease()
        before = self.learner.steps
        with self._naming_the_checkpoint():
            left = self.coordinator.updates_left()
            num_updates = self.learner.step(math.inf if left is None else left)
        self._report()
        steps, publish, log = self.learner.steps, self._replay.publish_period, self._replay.log_period
        if steps // publish > self._published // publish and self._publisher.is_due():
            self._publish()
        if steps // log > before // log:
            self._log()
        self.save_if_due()
        return num_updates

    def check_lease(self) -> None:
        """Checks every second that no other learner has taken over.

        Raises:
          Superseded: another learner continues the run.
        """
        if time.monotonic() - self._lease_checked_at > _LEASE_SECONDS:
            self._lease.check()
            self._lease_checked_at = time.monotonic()

    def save_if_due(self) -> None:
        """Writes a checkpoint if the newest one is old enough; see `save`."""
        if time.monotonic() - self._saved_at > self._experiment.checkpoint_seconds:
            self.save()

    def compile(self, on_wait: Callable[[float], None] = lambda _: None) -> None:
        """Compiles the next updates if necessary; returns early when the run is to stop.

        Args:
          on_wait: called several times a second meanwhile, with the seconds so far.
        """
        if self.learner.replay.is_compiled:
            return
        self.coordinator.compiling = True
        with contextlib.suppress(background.Stopped):
            background.call(self.learner.compile, self._stop, on_wait)
        self.coordinator.compiling = False

    def params(self) -> Params:
        """What actors need, as it is now; the next step overwrites it.

        Raises:
          NotFinite: learning has diverged.
        """
        self._check_finite()
        return self.learner.params()

    def is_over(self) -> bool:
        """Whether the budget is used up; ask when the learner had nothing to do, so that no data is left unused."""
        return self.coordinator.updates_left() == 0 or self.coordinator.steps_used_up()

    def finish_training(self) -> None:
        """Logs the last updates, publishes the last parameters and orders their evaluation."""
        if self.learner.steps > self._logged:
            self._log()
        self._publish()
        self.coordinator.finish()

    def take_in(self) -> None:
        """Takes in chunks that wait, as far as samples per insert allows, and so records them; does no update."""
        self.learner.replay.ingest()

    def save(self) -> None:
        """Writes a checkpoint: replay first, so that it holds at least what the learner has seen.

        While a replay server is being restarted only the learner's part is written.

        Raises:
          CheckpointError: the disk did not take it.
          NotFinite: learning has diverged; nothing was written.
          Superseded: another learner continues the run.
        """
        self._check_finite()
        self._lease.check()
        self.learner.replay.checkpoint()
        state = self.learner.save()
        meta = {
            "learner": state.counts,
            "coordinator": self.coordinator.save(),
            "recorded_pieces": self._recorder.save(),
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
        self._recorder.close()

    def close_after_failure(self) -> None:
        """Closes as `close` does, but logs errors instead of raising them, so that they do not hide the failure."""
        try:
            self.close()
        except Exception as error:
            logging.warning("The run could not be closed in order: %s", error)

    def _log(self) -> None:
        self.coordinator.learner_log(**self.learner.metrics())
        if self._histograms is not None:
            found = self._histograms.of(self.learner.training, self.learner.steps)
            self._logger.write_histograms(found, self.coordinator.actor_steps or self.learner.steps)
        self._logged = self.learner.steps

    def _publish(self) -> None:
        self._publisher.publish(self.learner.steps, self.params())
        self._published = self.learner.steps

    def _check_finite(self) -> None:
        with self._naming_the_checkpoint():
            self.learner.check_finite()

    @contextlib.contextmanager
    def _naming_the_checkpoint(self) -> Iterator[None]:
        """Adds the newest checkpoint to the message that learning has diverged."""
        try:
            yield
        except errors.NotFinite as error:
            saved = checkpoint.steps(self._directory)
            newest = f"the newest checkpoint is of update {saved[-1]:,}" if saved else "there is no checkpoint yet"
            raise errors.NotFinite(f"{str(error).removesuffix('.')}; {newest}.") from error

    def _report(self) -> None:
        replay = self.learner.replay
        ratio = replay.samples_per_insert
        self.coordinator.learner_report(self.learner.steps, replay.size, None if math.isnan(ratio) else ratio)
