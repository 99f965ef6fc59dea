"""Experience as n-step transitions."""

import dataclasses

import jax
import jax.numpy as jnp

from acme_agents.core import returns
from acme_agents.core.experience.kind import Rows
from acme_agents.core.experience.windows import Windows
from acme_agents.core.types import Array, Transition, Window


@dataclasses.dataclass(frozen=True)
class Transitions(Windows):
    """n-step transitions, their rewards summed: batches are `types.Transition`. Episodes are cut as for `Windows`.

    Attributes:
      n: steps of reward before the bootstrap.
      discount: gamma, per environment step.
    """

    discount: float

    @property
    def problem(self) -> str:
        """Empty if n >= 1 and the discount lies in [0, 1]."""
        possible = 0.0 <= self.discount <= 1.0
        return super().problem or ("" if possible else f"has a discount of {self.discount}, not in [0, 1]")

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

    def rewarded(self, batch: Window, reward: Array) -> Transition:
        """The transitions of windows, summed from other rewards: with the windows' own, what `gather` returns."""
        steps = batch.steps
        reward, discount, num_steps = returns.n_step(reward, steps.discount[:, :-1], batch.valid, self.discount)
        elements = jnp.arange(num_steps.shape[0])
        return Transition(
            observation=jax.tree.map(lambda x: x[:, 0], steps.observation),
            action=steps.action[:, 0],
            reward=reward,
            discount=discount,
            next_observation=jax.tree.map(lambda x: x[elements, num_steps], steps.observation),
            next_action=steps.action[elements, num_steps],
            next_last=steps.last[elements, num_steps],
            extras=jax.tree.map(lambda x: x[:, 0], steps.extras),
            sample_info=batch.sample_info,
        )
