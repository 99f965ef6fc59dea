"""Experience as n-step transitions."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from acme_agents.core import returns
from acme_agents.core.experience.kind import Layout, Rows
from acme_agents.core.types import Array, Step, Transition

_PERIOD = 32  # steps from one chunk to the next: large enough for a step to cost microseconds to write and send


@dataclasses.dataclass(frozen=True)
class Transitions:
    """n-step transitions, their rewards summed: batches are `types.Transition`.

    A chunk also holds the n steps behind its last item, so that it can be understood without its neighbours.

    Attributes:
      n: steps of reward before the bootstrap.
      discount: gamma, per environment step.
    """

    n: int
    discount: float

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
        """Empty if n >= 1 and the discount lies in [0, 1]."""
        if self.n < 1:
            return f"asks for transitions of {self.n} steps, and one is the least"
        return "" if 0.0 <= self.discount <= 1.0 else f"has a discount of {self.discount}, not in [0, 1]"

    def num_items(self, piece: Any) -> Any:
        """One item for each row at which an action was taken."""
        return piece.num_starts

    def item_spec(self, steps: Step) -> Any:
        """Empty: a transition is made from its rows alone."""
        return ()

    def describe(self, chunk: Any) -> Any:
        """Empty, as `item_spec` is."""
        return ()

    def gather(self, rows: Rows, places: Array, stride: int = 1) -> Transition:
        """The transitions at `places` [B].

        A window that meets the episode's end stops there and bootstraps from its final observation, with discount zero
        after a termination.
        """
        steps, row = rows.steps, rows.item_rows[places]  # [B]
        num_rows = steps.last.shape[0]
        window = (row[:, None] + jnp.arange(self.n)[None] * stride) % num_rows  # [B, n]
        valid = jnp.cumprod(~steps.last[window], axis=1).astype(bool)
        reward, discount, num_steps = returns.n_step(steps.reward[window], steps.discount[window], valid, self.discount)
        next_row = (row + num_steps * stride) % num_rows
        return Transition(
            observation=jax.tree.map(lambda x: x[row], steps.observation),
            action=steps.action[row],
            reward=reward,
            discount=discount,
            next_observation=jax.tree.map(lambda x: x[next_row], steps.observation),
            next_action=steps.action[next_row],
            next_last=steps.last[next_row],
            extras=jax.tree.map(lambda x: x[row], steps.extras),
        )

    def steps_for(self, num_items: int) -> int:
        """One step for each item."""
        return num_items
