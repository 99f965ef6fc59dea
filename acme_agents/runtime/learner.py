"""An agent's `LearnerCore` as a learner, fed from a replay server, a dataset or both."""

import itertools
import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.interfaces import LearnerCore, TrainingState
from acme_agents.core.types import Array, Params
from acme_agents.replay.intake import Intake
from acme_agents.runtime import finite

MAX_UPDATES = 16  # updates that one step does at most
_IDLE_SECONDS = 0.002  # that `run` sleeps when there is nothing to do


class LearnerState(NamedTuple):
    """A learner's checkpoint: the training state, and what ties it to the replay server."""

    training: TrainingState
    counts: dict[str, Any]  # JSON-serialisable


class Updates(Protocol):
    """Does updates on batches that it draws: `gathering.GatheredUpdates` or `sampling.SampledUpdates`.

    Attributes:
      intake: what actors see; None where nobody acts.
      dataset_size: items of the dataset; 0 for none.
      batch_size: items per update.
    """

    intake: Intake | None
    dataset_size: int
    batch_size: int

    def do(
        self, state: TrainingState, first: int, number: int, *, offline: bool
    ) -> tuple[TrainingState, dict[str, Array], int]:
        """Does updates.

        Args:
          state: the training state, which is donated.
          first: updates done before.
          number: how many to do, at least 1.
          offline: draw from the dataset alone.

        Returns:
          The training state, the metrics' means, and how many were done: fewer where there was nothing to draw.

        Raises:
          NotFinite: a metric was NaN or infinite at one of the updates.
        """

    def compile(self, state: TrainingState, *, offline: bool) -> None:
        """Compiles what `do` calls; the state is not donated."""

    def close(self) -> None:
        """Ends what it has begun."""


class Learner:
    """Does the updates that its sources allow: offline ones as they are asked for, online ones as experience comes in.

    What an update draws from a learner's own stores is decided by the seed and the update's number, so an interrupted
    learner goes on exactly as it would have; but not one that draws by priority, whose priorities begin anew.

    It has the methods of `acme.core.Learner`, and `acme_interfaces` makes it one.
    """

    def __init__(self, core: LearnerCore, seed: int, updates: Updates, *, offline_updates: float = 0):
        """Initialises an untrained learner.

        Args:
          core: the agent's functions.
          seed: of the training state.
          updates: does them.
          offline_updates: the first so many updates draw from the dataset alone, whatever the sources' shares; infinite
            where nobody acts.
        """
        self._core = core
        self._updates = updates
        self._state = jax.jit(self._core.init)(jax.random.split(jax.random.PRNGKey(seed))[0])
        self._checker = finite.Checker(self._state)
        self._checked = 0  # the newest update after which the state was
        self._compiled: set[bool] = set()  # whether offline: the updates that need not be compiled any more
        self._steps = 0
        self._offline_updates = offline_updates
        self._metrics: dict[str, Array] = {}

    @property
    def intake(self) -> Intake | None:
        """What actors see; None where nobody acts."""
        return self._updates.intake

    @property
    def steps(self) -> int:
        """Updates done."""
        return self._steps

    @property
    def replay_size(self) -> int:
        """Items to draw from now."""
        return self._updates.dataset_size + (0 if self.intake is None else self.intake.size)

    @property
    def replay_capacity(self) -> int:
        """Items that there can be to draw from."""
        return self._updates.dataset_size + (0 if self.intake is None else self.intake.capacity)

    @property
    def samples_per_insert(self) -> float | None:
        """The ratio measured so far; None where there is none."""
        return None if self.intake is None else self.intake.rate.samples_per_insert()

    @property
    def is_offline(self) -> bool:
        """Whether the next update draws from the dataset alone."""
        return self._steps < self._offline_updates

    def step(self, max_updates: int | None = None) -> int:
        """Does at most `MAX_UPDATES` updates, after it has taken in what they wait for.

        Args:
          max_updates: fewer than that; None for no further limit.

        Returns:
          How many updates were done; 0 when there is nothing to do.

        Raises:
          NotFinite: a metric was NaN or infinite. The learner is of no use any more: its state was the updates'.
        """
        offline = self.is_offline
        if offline:
            allowed = self._offline_updates - self._steps
        else:
            assert self.intake is not None
            allowed = self.intake.take_in()
        num_updates = int(min(allowed, MAX_UPDATES, math.inf if max_updates is None else max_updates))
        if not num_updates:
            return 0
        self._state, metrics, done = self._updates.do(self._state, self._steps, num_updates, offline=offline)
        self._compiled.add(offline)
        self._metrics = metrics or self._metrics
        self._steps += done
        if not offline:
            assert self.intake is not None
            self.intake.rate.sampled += done * self._updates.batch_size
        return done

    def run(self, num_steps: int | None = None) -> None:
        """Calls `step` `num_steps` times, or for ever, as Acme's learners do; pauses a little when there is no data."""
        for _ in itertools.count() if num_steps is None else range(num_steps):
            if not self.step():
                time.sleep(_IDLE_SECONDS)

    @property
    def is_compiled(self) -> bool:
        """Whether the next update need not be compiled."""
        return self.is_offline in self._compiled

    def compile(self) -> None:
        """Compiles the update now rather than when the first is done, by one whose result is dropped."""
        offline = self.is_offline
        self._updates.compile(jax.tree.map(jnp.copy, self._state), offline=offline)
        self._compiled.add(offline)

    def check_finite(self) -> None:
        """Returns if the training state is finite, as it must be before anyone is given it.

        Raises:
          NotFinite: it is not.
        """
        if self._checked != self._steps:
            self._checker.check(self._state, self._steps)
            self._checked = self._steps

    def metrics(self) -> dict[str, float]:
        """The metrics of the newest updates, averaged over one step."""
        return {name: float(value) for name, value in self._metrics.items()}

    def params(self) -> Params:
        """What actors need, as it is now; the next step overwrites it."""
        return self._core.params(self._state)

    def get_variables(self, names: Sequence[str]) -> list[Params]:
        """Acme's name for `params`: a copy for each name."""
        return [jax.tree.map(np.asarray, self.params()) for _ in names]

    def save(self) -> LearnerState:
        """What `restore` continues from; its arrays are copies."""
        counts = {"learner_steps": self._steps, "intake": None if self.intake is None else self.intake.save()}
        return LearnerState(jax.tree.map(np.asarray, self._state), counts)

    def restore(self, state: LearnerState) -> None:
        """Continues from a checkpoint."""
        self._state = jax.tree.map(jnp.array, state.training)
        self._steps = self._checked = state.counts["learner_steps"]
        if self.intake is not None and state.counts["intake"] is not None:
            self.intake.restore(state.counts["intake"])

    def close(self) -> None:
        """Ends what draws for it."""
        self._updates.close()
