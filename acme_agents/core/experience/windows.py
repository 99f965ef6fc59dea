"""Experience as the rows of n-step transitions: for whoever changes rewards before they are summed."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from acme_agents.core.experience.kind import Layout, Rows
from acme_agents.core.types import Array, Step, Stretch, Window

_PERIOD = 32  # steps from one chunk to the next: large enough for a step to cost microseconds to write and send


@dataclasses.dataclass(frozen=True)
class Windows:
    """The rows t .. t + n of n-step transitions: batches are `types.Window`.

    A chunk also holds the n steps behind its last item, so that it can be understood without its neighbours.

    Attributes:
      n: steps of a window.
    """

    n: int

    noun = "transitions"
    once = False
    items_per_chunk = _PERIOD

    @property
    def layout(self) -> Layout:
        """Chunks of 32 items and n further rows."""
        return Layout(_PERIOD + self.n, _PERIOD, _PERIOD)

    @property
    def reach(self) -> int:
        """n steps."""
        return self.n

    @property
    def problem(self) -> str:
        """Empty if n >= 1."""
        return f"asks for transitions of {self.n} steps, and one is the least" if self.n < 1 else ""

    def num_items(self, piece: Any) -> Any:
        """One item for each row at which an action was taken."""
        return piece.num_starts

    def item_spec(self, steps: Step) -> Any:
        """Empty: an item is made from its rows alone."""
        return ()

    def describe(self, chunk: Any) -> Any:
        """Empty, as `item_spec` is."""
        return ()

    def gather(self, rows: Rows, places: Array, stride: int = 1) -> Any:
        """The windows at `places` [B]; those that meet the episode's end stay at its final observation."""
        steps, first = rows.steps, rows.item_rows[places]  # [B]
        num_rows = steps.last.shape[0]
        index = jnp.arange(self.n + 1)
        window = (first[:, None] + index[None] * stride) % num_rows  # [B, n + 1]
        valid = jnp.cumprod(~steps.last[window[:, :-1]], axis=1).astype(bool)  # [B, n]
        end = jnp.sum(valid, axis=1, dtype=jnp.int32)[:, None]  # [B, 1]
        window = (first[:, None] + jnp.minimum(index[None], end) * stride) % num_rows
        return Window(jax.tree.map(lambda x: x[window], steps), valid)

    def steps_for(self, num_items: int) -> int:
        """One step for each item."""
        return num_items

    @property
    def unsummed(self) -> "Windows":
        """Itself."""
        return Windows(self.n)

    def stretch(self, batch: Window) -> Stretch:
        """The window."""
        return Stretch(batch.steps, batch.valid)

    def rewarded(self, batch: Window, reward: Array) -> Any:
        """The windows with other rewards."""
        last = batch.steps.reward[:, -1:]
        return batch._replace(steps=batch.steps._replace(reward=jnp.concatenate([reward, last], axis=1)))
