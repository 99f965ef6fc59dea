"""A learner with what surrounds it in a run: the part that one process and many have in common."""

import dataclasses
import logging
import pathlib
import time

import reverb

from acme_agents.experiments.experiment import Experiment
from acme_agents.runtime import checkpoint, variables
from acme_agents.runtime.coordinator import Coordinator
from acme_agents.runtime.learner import Learner, LearnerState
from acme_agents.runtime.loggers import RunLogger

_LOG_PERIOD = 200  # updates between rows of learner.csv
_PUBLISH_PERIOD = 32  # updates between snapshots of the parameters


class LearnerRun:
    """A learner with its coordinator, log and checkpoints."""

    def __init__(self, experiment: Experiment, run_dir: pathlib.Path, client: reverb.Client, *, wandb: bool = False):
        """Makes the learner, and continues from the newest checkpoint if there is one.

        Args:
          experiment: what to run.
          run_dir: its directory.
          client: of the replay server; what its durable table holds is collected.
          wandb: whether to log to W&B.
        """
        self._experiment = experiment
        self._directory = run_dir / checkpoint.DIRECTORY
        self._client = client
        agent = experiment.make_agent()
        spec = experiment.environment_spec()
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
        self._published = self.learner.steps
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

        While that server is being restarted only the learner's part is written.

        Raises:
          CheckpointError: the disk did not take it.
        """
        try:
            self._client.checkpoint()
        except Exception as error:  # Reverb raises what its status code says.
            if answers(self._client):
                raise checkpoint.CheckpointError(
                    f"the replay server cannot write its checkpoint ({str(error).splitlines()[0]}); the one before it "
                    "is intact: free some space, then continue with --resume."
                ) from error
            logging.warning("The replay server is away; its newest checkpoint is older than the learner's.")
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


def answers(client: reverb.Client, timeout: int = 1) -> bool:
    """Whether a replay server answers within `timeout` seconds."""
    try:
        client.server_info(timeout=timeout)
    except Exception:  # Reverb raises what its status code says.
        return False
    return True
