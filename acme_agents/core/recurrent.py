"""Recurrent networks."""

from typing import NamedTuple

import chex
import haiku as hk
import jax
import jax.numpy as jnp

from acme_agents.core.types import Array


class State(NamedTuple):
    """The state of an LSTM of H units."""

    hidden: Array  # [B, H]
    cell: Array  # [B, H]


def zero_state(batch_size: int, size: int) -> State:
    """The state before anything was seen."""
    return State(jnp.zeros((batch_size, size)), jnp.zeros((batch_size, size)))


class LSTM(hk.Module):
    """A long short-term memory, batch-major (Hochreiter and Schmidhuber 1997, in the form of Zaremba et al. 2014).

    `i, g, f, o = split(W_x x_t + W_h h_{t-1} + b)`, `c_t = sigmoid(f + 1) c_{t-1} + sigmoid(i) tanh(g)` and
    `h_t = sigmoid(o) tanh(c_t)`. Equal to Haiku's, its initialiser and its forget gates' bias of one (Jozefowicz et al.
    2015) included, but the inputs of all steps are multiplied at once: the loop over time is left with the product that
    needs it, and an update on a CPU takes less time.
    """

    def __init__(self, size: int, name: str | None = None):
        """Initialises an LSTM of `size` units."""
        super().__init__(name=name)
        self._size = size

    def __call__(self, inputs: Array, state: State, begins: Array | None = None) -> tuple[Array, State]:
        """Processes T steps in order.

        Args:
          inputs: [B, T, F] float32.
          state: before the first step, [B, H].
          begins: [B, T] bool, whether an episode begins at the step: the state before it is then zero. None: nowhere.

        Returns:
          The outputs h_t, [B, T, H], and the state after the last step.
        """
        chex.assert_rank(inputs, 3)
        chex.assert_shape(state, (inputs.shape[0], self._size))
        num_features = inputs.shape[-1]
        init = hk.initializers.TruncatedNormal(1.0 / (num_features + self._size) ** 0.5)
        w_x = hk.get_parameter("w_x", (num_features, 4 * self._size), init=init)
        w_h = hk.get_parameter("w_h", (self._size, 4 * self._size), init=init)
        b = hk.get_parameter("b", (4 * self._size,), init=jnp.zeros)

        def step(state: State, now: tuple[Array, Array | None]) -> tuple[State, Array]:
            gates, begins = now
            if begins is not None:
                state = State(*(jnp.where(begins[:, None], 0.0, x) for x in state))
            i, g, f, o = jnp.split(gates + state.hidden @ w_h, 4, axis=-1)
            cell = jax.nn.sigmoid(f + 1.0) * state.cell + jax.nn.sigmoid(i) * jnp.tanh(g)
            hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
            return State(hidden, cell), hidden

        gates = inputs @ w_x + b[None, None]  # [B, T, 4 H]
        now = (jnp.swapaxes(gates, 0, 1), None if begins is None else begins.T)
        state, outputs = jax.lax.scan(step, state, now)
        return jnp.swapaxes(outputs, 0, 1), state
