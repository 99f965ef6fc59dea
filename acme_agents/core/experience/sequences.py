"""Experience as stretches of an episode, for recurrent networks."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from acme_agents.core.experience.kind import Layout, Rows
from acme_agents.core.types import Array, ArraySpec, Sequence, Step, Stretch


class _Stretch(NamedTuple):
    """What is stored of a sequence besides its rows; the fields are those of `types.Sequence`."""

    num_steps: Any
    episode_step: Any
    previous_action: Any
    previous_reward: Any


@dataclasses.dataclass(frozen=True)
class Sequences:
    """Overlapping stretches of an episode: batches are `types.Sequence`. A chunk is one sequence.

    Attributes:
      length: T, rows of a sequence: one more than its transitions.
      period: steps from one sequence's first row to the next one's; below `length`, so that each transition is in one.
    """

    length: int
    period: int

    noun = "sequences"
    once = False
    items_per_chunk = 1

    @property
    def layout(self) -> Layout:
        """One chunk for each sequence."""
        return Layout(self.length, self.period, self.length - 1)

    @property
    def reach(self) -> int:
        """Transitions of a sequence."""
        return self.length - 1

    @property
    def problem(self) -> str:
        """Empty if 1 <= period < length: consecutive sequences share at least one row."""
        fits = 1 <= self.period < self.length
        return "" if fits else f"leaves transitions out: it needs 1 <= period < length, not {self}"

    def num_items(self, piece: Any) -> int:
        """Always one: a chunk is a sequence."""
        return 1

    def item_spec(self, steps: Step) -> Any:
        """The specs of its length, its first step, and the action and reward before it."""
        count = ArraySpec((), "int32")
        return _Stretch(count, count, steps.action, steps.reward)

    def describe(self, chunk: Any) -> Any:
        """The same fields of a chunk, [1, ...]."""
        return _Stretch(*(getattr(chunk, field)[None] for field in _Stretch._fields))

    def gather(self, rows: Rows, places: Array, stride: int = 1) -> Sequence:
        """The sequences at `places` [B]; rows behind a sequence's end are zero."""
        first, kept = rows.item_rows[places], jax.tree.map(lambda x: x[places], rows.items)
        index = jnp.arange(self.length)
        window = (first[:, None] + index[None] * stride) % rows.steps.last.shape[0]  # [B, T]
        in_use = index[None] < kept.num_steps[:, None]  # [B, T]

        def stretch(x: Array) -> Array:
            value = x[window]  # [B, T, ...]
            return jnp.where(in_use.reshape(*in_use.shape, *[1] * (value.ndim - 2)), value, jnp.zeros((), x.dtype))

        return Sequence(steps=jax.tree.map(stretch, rows.steps), **kept._asdict())

    def steps_for(self, num_items: int) -> int:
        """The first sequence needs its whole length, each further one a period."""
        return self.length + (num_items - 1) * self.period

    @property
    def unsummed(self) -> "Sequences":
        """Itself."""
        return self

    def stretch(self, batch: Sequence) -> Stretch:
        """The sequence; padding has no transitions."""
        row = jnp.arange(batch.steps.last.shape[1] - 1)
        return Stretch(batch.steps, row[None] < batch.num_steps[:, None] - 1)

    def rewarded(self, batch: Sequence, reward: Array) -> Sequence:
        """The sequences with other rewards to learn from; what actors saw stays what it was."""
        old = batch.steps.reward
        reward = jnp.concatenate([reward, old[:, -1:]], axis=1)
        return batch._replace(steps=batch.steps._replace(reward=reward), reward_seen=old)
