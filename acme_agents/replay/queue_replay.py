"""Batches of what the policy just did: each item is learned from once, oldest first."""

import collections
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core import contract, finite
from acme_agents.core.experience import Experience, Rows
from acme_agents.core.interfaces import REPLAY, LearnerCore, ReplaySpec, TrainingState, UpdateOutput
from acme_agents.core.types import Array, Step
from acme_agents.replay import chunks
from acme_agents.replay.chunks import Chunk
from acme_agents.replay.intake import OnNew
from acme_agents.replay.replay import Metrics
from acme_agents.replay.transport import Receiver


class QueueReplay:
    """Does one update with every `batch_size` chunks, in the order in which they arrived, of all writers.

    It takes in only what the next batch needs, so that a transport that is full holds the actors back. A chunk whose
    policy is more than `max_policy_lag` updates away from the learner's is dropped and counted. The metrics say how old
    the batch was (`policy_lag`, in updates, and `largest_policy_lag`) and how many chunks were dropped since the run
    began (`dropped_items`).

    A checkpoint holds the counts. Chunks that wait for a batch to become full are in it where the transport keeps what
    it delivered, as within one process, and are otherwise dropped when a run is continued.
    """

    def __init__(self, core: LearnerCore, replay: ReplaySpec, steps: Step, receiver: Receiver, on_new: OnNew):
        """Initialises with nothing held.

        Args:
          core: the agent's functions.
          replay: the agent's; its experience is learned from once.
          steps: `chunks.step_spec` of the agent and the environment.
          receiver: brings the chunks.
          on_new: receives each chunk that comes in, once.
        """
        self._replay, self._steps, self._receiver, self._on_new = replay, steps, receiver, on_new
        self._held: collections.deque[Chunk] = collections.deque()
        self._num_held = 0  # in the checkpoint that was restored
        self._num_updates = self._num_used = self._num_dropped = 0
        self._is_compiled = False

        def update(
            state: TrainingState, steps: Step, items: Any, number: Array
        ) -> tuple[TrainingState, UpdateOutput, Array]:
            state, output = core.update(state, to_batch(replay.experience, steps, items))
            return state, output, finite.note(output.metrics, number)

        self._update = jax.jit(update, donate_argnums=0)

    @property
    def size(self) -> int:
        """Chunks that wait for a batch to become full."""
        return len(self._held)

    @property
    def capacity(self) -> int:
        """Chunks of a batch."""
        return self._replay.batch_size

    @property
    def samples_per_insert(self) -> float:
        """The share of the chunks that was learned from, at most 1; those that wait are not counted. NaN before any."""
        past = self._num_used + self._num_dropped
        return self._num_used / past if past else math.nan

    @property
    def is_compiled(self) -> bool:
        """Whether the update is compiled."""
        return self._is_compiled

    def ingest(self) -> float:
        """Takes in what the next batch lacks; returns 1 if it is full, otherwise 0."""
        self._drop_old()
        while missing := self._replay.batch_size - len(self._held):
            new = self._receiver.poll(missing)
            if not new:
                return 0
            self._on_new(new)
            self._held.extend(new)
            self._drop_old()
        return 1

    def update(self, state: TrainingState, first: int, number: int) -> tuple[TrainingState, Metrics, int]:
        """Does one update, if a batch is full; `Replay.update` says the rest."""
        if len(self._held) < self._replay.batch_size:
            return state, {}, 0
        batch = [self._held.popleft() for _ in range(self._replay.batch_size)]
        lags = first - np.array([int(chunk.version) for chunk in batch])
        state, output, not_finite = self._update(state, *self._stack(batch), np.int32(first + 1))
        self._is_compiled = True
        finite.check_metrics(not_finite, output.metrics)
        self._num_updates = first + 1
        self._num_used += len(batch)
        metrics = {
            "policy_lag": np.mean(lags),
            "largest_policy_lag": np.max(np.abs(lags)),
            "dropped_items": self._num_dropped,
        }
        return state, output.metrics | {name: jnp.float32(value) for name, value in metrics.items()}, 1

    def compile(self, state: TrainingState) -> None:
        """Compiles the update by doing one and dropping its result; where nothing is compiled, does nothing."""
        self._is_compiled = True
        if contract.is_debugging():
            return
        size, experience = self._replay.batch_size, self._replay.experience
        steps = chunks.zeros(self._steps, size, experience.layout.num_rows)
        items = jax.tree.map(lambda s: np.zeros((size, *s.shape), s.dtype), experience.item_spec(self._steps))
        self._update(state, steps, items, np.int32(1))

    def checkpoint(self) -> None:
        """Saves what waits, where the transport does."""
        self._receiver.checkpoint()

    def save(self) -> dict[str, Any]:
        """The counts, JSON-serialisable."""
        counts = {
            "used": self._num_used,
            "dropped": self._num_dropped,
            "held": len(self._held),
            "receiver": self._receiver.save(),
        }
        return {REPLAY: counts}

    def restore(self, counts: dict[str, Any], num_updates: int) -> None:
        """Continues from what `save` returned after `num_updates`."""
        saved = counts[REPLAY]
        self._num_updates, self._num_held = num_updates, saved["held"]
        self._num_used, self._num_dropped = saved["used"], saved["dropped"]
        self._receiver.restore(saved["receiver"])

    def recover(self) -> Sequence[Chunk]:
        """Holds again the chunks that waited at the checkpoint, as far as the transport has them."""
        before = self._receiver.recover()
        self._held.extend(before[max(0, len(before) - self._num_held) :])
        self._num_dropped += self._num_held - len(self._held)
        return before

    def close(self) -> None:
        """Holds nothing to close."""

    def _drop_old(self) -> None:
        """Drops the chunks of a policy too many updates away: older, or newer than a learner that was set back."""
        fresh = [c for c in self._held if abs(self._num_updates - int(c.version)) <= self._replay.max_policy_lag]
        self._num_dropped += len(self._held) - len(fresh)
        self._held = collections.deque(fresh)

    def _stack(self, batch: Sequence[Chunk]) -> tuple[Step, Any]:
        """The rows [B, T, ...] of chunks, and what the kind of experience stores besides, [B, ...]."""
        steps = jax.tree.map(lambda *x: np.stack(x), *(chunk.steps for chunk in batch))
        return steps, jax.tree.map(lambda *x: np.concatenate(x), *map(self._replay.experience.describe, batch))


def to_batch(experience: Experience, steps: Step, items: Any) -> Any:
    """The batch of whole chunks, each an item. Pure.

    Args:
      experience: the agent's.
      steps: the chunks' rows, [B, T, ...], T = `Layout.num_rows`.
      items: what the kind stores of each item besides its rows, [B, ...]: of `Unrolls` the versions [B] int32.
    """
    size, num_rows = steps.last.shape
    rows = jax.tree.map(lambda x: x.reshape(size * num_rows, *x.shape[2:]), steps)
    places = jnp.arange(size)
    return experience.gather(Rows(rows, places * num_rows, items), places)
