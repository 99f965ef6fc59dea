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


class GRU(hk.Module):
    """A gated recurrent unit, batch-major (Cho et al. 2014, in the form of Haiku's).

    `z, r = sigmoid(split(W_x x_t + W_h h_{t-1} + b))`, `a = tanh(W_a x_t + U_a (r h_{t-1}) + b_a)` and
    `h_t = (1 - z) h_{t-1} + z a`. Equal to Haiku's; the inputs of all steps are multiplied at once, as in `LSTM`.
    """

    def __init__(self, size: int, name: str | None = None):
        """Initialises a GRU of `size` units."""
        super().__init__(name=name)
        self._size = size

    def __call__(self, inputs: Array, state: Array, begins: Array | None = None) -> Array:
        """Processes T steps in order.

        Args:
          inputs: [B, T, F] float32.
          state: h before the first step, [B, H].
          begins: [B, T] bool, whether an episode begins at the step: the state before it is then zero. None: nowhere.

        Returns:
          h_t, [B, T, H].
        """
        chex.assert_rank(inputs, 3)
        chex.assert_shape(state, (inputs.shape[0], self._size))
        size, num_features = self._size, inputs.shape[-1]
        w_x = hk.get_parameter("w_x", (num_features, 3 * size), init=hk.initializers.VarianceScaling())
        w_h = hk.get_parameter("w_h", (size, 3 * size), init=hk.initializers.VarianceScaling())
        b = hk.get_parameter("b", (3 * size,), init=jnp.zeros)

        def step(state: Array, now: tuple[Array, Array | None]) -> tuple[Array, Array]:
            gates, begins = now
            if begins is not None:
                state = jnp.where(begins[:, None], 0.0, state)
            z, r = jnp.split(jax.nn.sigmoid(gates[:, : 2 * size] + state @ w_h[:, : 2 * size]), 2, axis=-1)
            candidate = jnp.tanh(gates[:, 2 * size :] + (r * state) @ w_h[:, 2 * size :])
            state = (1.0 - z) * state + z * candidate
            return state, state

        gates = inputs @ w_x + b[None, None]  # [B, T, 3 H]
        now = (jnp.swapaxes(gates, 0, 1), None if begins is None else begins.T)
        return jnp.swapaxes(jax.lax.scan(step, state, now)[1], 0, 1)
