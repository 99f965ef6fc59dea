"""Experience that is learned from once, in order: for agents that learn from what their own policy just did."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.experience.kind import Layout, Rows
from acme_agents.core.types import Array, ArraySpec, Step, Stretch, Unroll


@dataclasses.dataclass(frozen=True)
class Unrolls:
    """Consecutive stretches of what one environment went through: batches are `types.Unroll`. A chunk is one unroll.

    Episodes follow one another within an unroll, so that every unroll is full and no shape depends on where they end.
    Each transition is in one unroll.

    Attributes:
      length: T, rows of an unroll, the one to bootstrap from aside.
    """

    length: int

    noun = "unrolls"
    once = True
    items_per_chunk = 1

    @property
    def layout(self) -> Layout:
        """One chunk for each unroll."""
        return Layout(self.length + 1, self.length, self.length, across=True)

    @property
    def reach(self) -> int:
        """Transitions of an unroll within one episode."""
        return self.length

    @property
    def problem(self) -> str:
        """Empty if an unroll has a row."""
        return "" if self.length >= 1 else f"asks for unrolls of {self.length} steps, and one is the least"

    def num_items(self, piece: Any) -> int:
        """Always one: a chunk is an unroll."""
        return 1

    def item_spec(self, steps: Step) -> Any:
        """The spec of the version."""
        return ArraySpec((), "int32")

    def describe(self, chunk: Any) -> Any:
        """The chunk's version, [1]."""
        return np.asarray(chunk.version)[None]

    def gather(self, rows: Rows, places: Array, stride: int = 1) -> Unroll:
        """The unrolls at `places` [B]."""
        window = rows.item_rows[places][:, None] + jnp.arange(self.length + 1)[None] * stride  # [B, T + 1]
        window = window % rows.steps.last.shape[0]
        return Unroll(jax.tree.map(lambda x: x[window], rows.steps), rows.items[places])

    def steps_for(self, num_items: int) -> int:
        """Each has T steps, or fewer where an episode ends."""
        return num_items * self.length

    @property
    def unsummed(self) -> "Unrolls":
        """Itself."""
        return self

    def stretch(self, batch: Unroll) -> Stretch:
        """The unroll; it goes on into the next episode."""
        return Stretch(batch.steps, ~batch.steps.last[:, :-1])

    def rewarded(self, batch: Unroll, reward: Array) -> Unroll:
        """The unrolls with other rewards."""
        last = batch.steps.reward[:, -1:]
        return batch._replace(steps=batch.steps._replace(reward=jnp.concatenate([reward, last], axis=1)))
