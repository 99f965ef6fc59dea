"""R2D2 without its memory, an agent that is there to be compared: every step's LSTM begins from the zero state.

Inputs, layers, loss, rescaling, priorities, updates and exploration are R2D2's, so that what differs is memory alone.
"""

import dataclasses

import jax
import jax.numpy as jnp

from acme_agents.agents import r2d2
from acme_agents.agents.r2d2 import networks
from acme_agents.agents.r2d2.config import Config
from acme_agents.core import recurrent
from acme_agents.core.types import Array, EnvironmentSpec, Params


@dataclasses.dataclass(frozen=True)
class Memoryless(r2d2.R2D2):
    """R2D2 whose network sees one step at a time: the observation, and the previous action and reward."""

    def _networks(self, spec: EnvironmentSpec) -> networks.Networks:
        remembering = networks.make_networks(self.config, spec)

        def unroll(params: Params, inputs: networks.Inputs, state: recurrent.State) -> tuple[Array, recurrent.State]:
            batch_size, length = inputs.reward.shape
            steps = jax.tree.map(lambda x: x.reshape(batch_size * length, 1, *x.shape[2:]), inputs)
            zero = recurrent.zero_state(batch_size * length, self.config.lstm_size)
            q_values, _ = remembering.unroll(params, steps, zero)  # [B T, 1, A]
            return q_values.reshape(batch_size, length, -1), jax.tree.map(jnp.zeros_like, state)

        return remembering._replace(unroll=unroll)


make = Memoryless
__all__ = ["Config", "make"]
