"""A chain of states with a television at its end, which shows something else at every look: `noisy-tv:SCREEN`.

The project's own unit test of curiosity, after the thought experiment of Burda et al. 2018 (arXiv 1808.04355): a
bonus that pays for what cannot be predicted stays at the television.

- Nine states in a row: eight of a chain, where the episode starts at the left end, and the television at the right
  end. Action 0 moves left, 1 moves right, as far as the ends allow.
- There is no reward. Episodes are cut short after 64 steps.
- `noisy-tv:symbols`: the observation is [25] float32, the state, one-hot in 9, and what is on the screen, one-hot in
  16 symbols that are equally likely; all 0 away from the television. There are 8 + 16 observations in all, so a bonus
  whose targets are a function of the observation, as RND's are, ends even there.
- `noisy-tv:pixels`: [171] float32, the state and a screen of 162 pixels, each uniform in [0, 1), all 0 away from the
  television. No two frames there are alike.
- `noisy-tv:picture`: the same as a picture, [18, 18, 1] uint8, which takes an encoder for pictures. Its upper half is
  the screen, each pixel uniform in 0 .. 255; in the lower half the two columns of the state are white.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.types import Action, Array, ArraySpec, EnvironmentSpec, Key
from acme_agents.environments import naming, pure
from acme_agents.environments.pure import Pure, TimeStep

NUM_STATES = 9
TELEVISION = NUM_STATES - 1
NUM_SYMBOLS = 16
_NUM_STEPS = 64
_SCREEN = (NUM_STATES, 2 * NUM_STATES)  # Pixels: the upper half of a picture.


def names() -> list[str]:
    """Returns the kinds of screen."""
    return list(_SCREENS)


def problem(name: str) -> str | None:
    """Returns what is wrong with a kind of screen, or None."""
    if name in _SCREENS:
        return None
    return f"noisy-tv:SCREEN has no screen {name!r}, {naming.suggest(name, _SCREENS)}"


class State(NamedTuple):
    """Where the agent is, and the key of the screens to come."""

    place: Array  # [] int32, 0 to 8
    key: Key


def make_pure(name: str) -> Pure:
    """Makes the functions of the chain with a kind of screen."""
    observation_spec, look = _SCREENS[name]

    def observe(place: Array, key: Key) -> tuple[State, Array]:
        key, screen_key = jax.random.split(key)
        return State(place, key), look(place, screen_key)

    def init(key: Key) -> tuple[State, Array]:
        return observe(jnp.int32(0), key)

    def step(state: State, action: Action) -> tuple[State, TimeStep]:
        place = jnp.clip(state.place + jnp.where(action == 1, 1, -1), 0, TELEVISION)
        state, observation = observe(place, state.key)
        return state, TimeStep(jnp.float32(0), jnp.float32(1), jnp.bool_(False), observation)

    spec = EnvironmentSpec(observation_spec, ArraySpec((), "int32", 2), action_bounds=((0,), (1,)))
    return pure.limited(Pure(spec, init, step), _NUM_STEPS)


def places(observations: Any) -> np.ndarray:
    """Returns the states, [T] int from 0 to 8, of the observations [T, ...] of any kind."""
    observations = np.asarray(observations)
    states = observations[:, -1, ::2, 0] if observations.ndim == 4 else observations[:, :NUM_STATES]
    return np.argmax(states, axis=-1)


def _symbols(place: Array, key: Key) -> Array:
    """[9 + 16] float32"""
    symbol = jax.random.randint(key, (), 0, NUM_SYMBOLS)
    return _beside(place, jax.nn.one_hot(symbol, NUM_SYMBOLS))


def _pixels(place: Array, key: Key) -> Array:
    """[9 + 162] float32"""
    return _beside(place, _noise(key).astype(jnp.float32).ravel() / 256)


def _picture(place: Array, key: Key) -> Array:
    """[18, 18, 1] uint8"""
    screen = jnp.where(place == TELEVISION, _noise(key), jnp.uint8(0))
    is_white = jnp.repeat(jnp.arange(NUM_STATES) == place, 2)
    below = jnp.broadcast_to(jnp.where(is_white, jnp.uint8(255), jnp.uint8(0)), _SCREEN)
    return jnp.concatenate([screen, below])[..., None]


def _beside(place: Array, shown: Array) -> Array:
    """The state, one-hot, and beside it what is shown if that is the television."""
    return jnp.concatenate([jax.nn.one_hot(place, NUM_STATES), (place == TELEVISION) * shown])


def _noise(key: Key) -> Array:
    return jax.random.bits(key, _SCREEN, jnp.uint8)


_SCREENS = {
    "symbols": (ArraySpec((NUM_STATES + NUM_SYMBOLS,)), _symbols),
    "pixels": (ArraySpec((NUM_STATES + _SCREEN[0] * _SCREEN[1],)), _pixels),
    "picture": (ArraySpec((2 * _SCREEN[0], _SCREEN[1], 1), "uint8"), _picture),
}
