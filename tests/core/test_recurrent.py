"""The recurrent networks are Haiku's, and the LSTM can be unrolled in pieces."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.core import recurrent

B, T, F, H = 3, 7, 5, 4
RNG = np.random.default_rng(0)
INPUTS = jnp.array(RNG.normal(size=(B, T, F)), jnp.float32)
STATE = recurrent.State(*jnp.array(RNG.normal(size=(2, B, H)), jnp.float32))
NET = hk.without_apply_rng(hk.transform(lambda inputs, state: recurrent.LSTM(H)(inputs, state)))
NET_OF_EPISODES = hk.without_apply_rng(hk.transform(lambda *args: recurrent.LSTM(H)(*args)))
PARAMS = jax.tree.map(lambda x: x + 0.1, NET.init(jax.random.PRNGKey(0), INPUTS, STATE))  # no bias is zero


def test_is_haikus():
    def haikus(inputs, state):
        outputs, state = hk.dynamic_unroll(hk.LSTM(H), inputs, hk.LSTMState(*state), time_major=False)
        return outputs, recurrent.State(*state)

    theirs = hk.without_apply_rng(hk.transform(haikus))
    (ours,) = PARAMS.values()
    shapes = jax.eval_shape(theirs.init, jax.random.PRNGKey(0), INPUTS, STATE)
    (name,) = shapes
    params = {name: {"w": jnp.concatenate([ours["w_x"], ours["w_h"]]), "b": ours["b"]}}
    for mine, other in zip(
        jax.tree.leaves(NET.apply(PARAMS, INPUTS, STATE)), jax.tree.leaves(theirs.apply(params, INPUTS, STATE))
    ):
        np.testing.assert_allclose(mine, other, atol=1e-6)


def test_starts_as_haikus_does():
    big = hk.without_apply_rng(hk.transform(lambda x: recurrent.LSTM(64)(x, recurrent.zero_state(1, 64))))
    (params,) = big.init(jax.random.PRNGKey(0), jnp.zeros((1, 1, 36))).values()
    for name in ("w_x", "w_h"):  # a normal of deviation 1 / sqrt(36 + 64), cut off at two of them, which makes it 0.88
        np.testing.assert_allclose(params[name].std(), 0.088, rtol=0.05)
        assert np.abs(params[name]).max() < 0.2001
    np.testing.assert_array_equal(params["b"], np.zeros(256))


@pytest.mark.parametrize("cut", [1, 3])
def test_pieces_join(cut):
    whole, last = NET.apply(PARAMS, INPUTS, STATE)
    first, state = NET.apply(PARAMS, INPUTS[:, :cut], STATE)
    second, end = NET.apply(PARAMS, INPUTS[:, cut:], state)
    np.testing.assert_allclose(jnp.concatenate([first, second], axis=1), whole, atol=1e-6)
    np.testing.assert_allclose(end.cell, last.cell, atol=1e-6)
    np.testing.assert_array_equal(last.hidden, whole[:, -1])


def test_shapes_are_checked():
    with pytest.raises(AssertionError):
        NET.apply(PARAMS, INPUTS[0], STATE)
    with pytest.raises(AssertionError):
        NET.apply(PARAMS, INPUTS, recurrent.zero_state(1, H))


def test_an_episode_begins_without_memory():
    begins = jnp.zeros((B, T), bool).at[1, 3].set(True)
    outputs, _ = NET_OF_EPISODES.apply(PARAMS, INPUTS, STATE, begins)
    whole, _ = NET.apply(PARAMS, INPUTS, STATE)
    anew, _ = NET.apply(PARAMS, INPUTS[:, 3:], recurrent.zero_state(B, H))
    np.testing.assert_allclose(outputs, whole.at[1, 3:].set(anew[1]), atol=1e-6)
    assert np.abs(outputs[1, 3:] - whole[1, 3:]).max() > 0.01


def test_the_gru_is_haikus():
    def haikus(inputs, state):
        return hk.dynamic_unroll(hk.GRU(H), inputs, state, time_major=False)[0]

    ours = hk.without_apply_rng(hk.transform(lambda *args: recurrent.GRU(H)(*args)))
    theirs = hk.without_apply_rng(hk.transform(haikus))
    params = jax.tree.map(lambda x: x + 0.1, ours.init(jax.random.PRNGKey(0), INPUTS, STATE.hidden))
    (values,), (name,) = params.values(), jax.eval_shape(theirs.init, jax.random.PRNGKey(0), INPUTS, STATE.hidden)
    outputs = ours.apply(params, INPUTS, STATE.hidden)
    other = theirs.apply({name: {"w_i": values["w_x"], "w_h": values["w_h"], "b": values["b"]}}, INPUTS, STATE.hidden)
    np.testing.assert_allclose(outputs, other, atol=1e-6)
    begins = jnp.arange(T)[None] == jnp.array([[3], [3], [3]])
    again = ours.apply(params, INPUTS[:, 3:], jnp.zeros((B, H)))
    np.testing.assert_allclose(ours.apply(params, INPUTS, STATE.hidden, begins)[:, 3:], again, atol=1e-6)
