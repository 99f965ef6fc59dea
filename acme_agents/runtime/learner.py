"""An agent's `LearnerCore` as a learner, fed from a replay."""

import itertools
import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core import finite
from acme_agents.core.interfaces import LearnerCore, TrainingState
from acme_agents.core.types import Array, Params
from acme_agents.experiments import making
from acme_agents.replay.replay import Replay

MAX_UPDATES = 16  # updates that one step does at most
_IDLE_SECONDS = 0.002  # that `run` sleeps when there is nothing to do


class LearnerState(NamedTuple):
    """A learner's checkpoint: the training state, and the counts that fit its replay."""

    training: TrainingState
    counts: dict[str, Any]  # JSON-serialisable


class Learner:
    """Does the updates that its replay allows.

    If the learner draws, the seed and the update's number decide what an update draws, so an interrupted learner goes
    on exactly as it would have. With priorities it does not, because all priorities start equal again.

    It has the methods of `acme.core.Learner`, and `acme_interfaces` makes it one.

    Attributes:
      replay: what it draws from.
    """

    def __init__(self, core: LearnerCore, seed: int, replay: Replay):
        """Initialises an untrained learner.

        Args:
          core: the agent's functions.
          seed: of the training state.
          replay: does the updates.
        """
        self._core = core
        self.replay = replay
        self._state = jax.jit(self._core.init)(making.init_key(seed))
        self._checker = finite.Checker(self._state)
        self._checked = 0  # the newest update after which the state was checked
        self._steps = 0
        self._metrics: dict[str, Array] = {}

    @property
    def steps(self) -> int:
        """Updates done."""
        return self._steps

    def step(self, max_updates: float = math.inf) -> int:
        """Does at most `MAX_UPDATES` updates, after replay has taken in the chunks they need.

        Args:
          max_updates: a lower limit than `MAX_UPDATES`, if given.

        Returns:
          How many updates were done; 0 when there is nothing to do.

        Raises:
          NotFinite: a metric was NaN or infinite. The learner cannot be used any more: its state was donated.
        """
        number = int(min(self.replay.ingest(), MAX_UPDATES, max_updates))
        if not number:
            return 0
        self._state, metrics, done = self.replay.update(self._state, self._steps, number)
        self._metrics = metrics or self._metrics
        self._steps += done
        return done

    def run(self, num_steps: int | None = None) -> None:
        """Calls `step` `num_steps` times, or for ever, as Acme's learners do; pauses a little when there is no data."""
        for _ in itertools.count() if num_steps is None else range(num_steps):
            if not self.step():
                time.sleep(_IDLE_SECONDS)

    def compile(self) -> None:
        """Compiles the update before the first one is due, by doing one and dropping its result."""
        self.replay.compile(jax.tree.map(jnp.copy, self._state))

    def check_finite(self) -> None:
        """Checks that the training state is finite; call it before handing out or saving the state.

        Raises:
          NotFinite: it is not.
        """
        if self._checked != self._steps:
            self._checker.check(self._state, self._steps)
            self._checked = self._steps

    def metrics(self) -> dict[str, float]:
        """The metrics of the newest updates, averaged over one step."""
        return {name: float(value) for name, value in self._metrics.items()}

    @property
    def training(self) -> TrainingState:
        """The training state as it is now; the next step overwrites it."""
        return self._state

    def params(self) -> Params:
        """What actors need, as it is now; the next step overwrites it."""
        return self._core.params(self._state)

    def get_variables(self, names: Sequence[str]) -> list[Params]:
        """Acme's name for `params`: a copy for each name."""
        return [jax.tree.map(np.asarray, self.params()) for _ in names]

    def save(self) -> LearnerState:
        """What `restore` continues from; its arrays are copies."""
        counts = {"learner_steps": self._steps, "replay": self.replay.save()}
        return LearnerState(jax.tree.map(np.asarray, self._state), counts)

    def restore(self, state: LearnerState) -> None:
        """Continues from a checkpoint."""
        self._state = jax.tree.map(_put_there, state.training, self._state)
        self._steps = self._checked = state.counts["learner_steps"]
        self.replay.restore(state.counts["replay"], self._steps)

    def close(self) -> None:
        """Closes its replay."""
        self.replay.close()


def _put_there(x: Array, where: Array) -> Array:
    """A copy of an array, on the device or the devices where another one is."""
    return jax.device_put(jnp.array(x), where.sharding)
