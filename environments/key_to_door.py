"""A key that pays much later, and apples that pay in between: `key-to-door:SPREAD`, an apple's reward's deviation.

After the task of Counterfactual Credit Assignment (Mesnard et al. 2021, arXiv 2011.09464), which has it from Hung et
al. 2019 (arXiv 1810.06721): what the key was worth must be told from what luck the apples brought. **Reconstructed**:
of the paper's are the three rooms, the key whose reward comes with the door, and apples of low and of high variance;
all numbers are ours.

- Three rooms of 5 x 5 cells, one after the other, for 8, 16 and 8 steps. The agent begins each in its middle; what
  lies there lies on other cells, uniformly random. Actions move up, down, left and right, as far as the walls allow.
- In the first room lies a key. Stepping on it picks it up, without reward.
- In the second lie five apples. Each is eaten once, and earns 1 + SPREAD or 1 - SPREAD with equal chance.
- In the third is a door. Stepping on it with the key opens it, once, and earns 5; without the key it earns nothing.
- The episode ends for good after the third room: 32 steps.

The observation, [53] float32, is the agent's cell, one-hot in 25; what still lies in the room, 25 cells; and the room,
one-hot in 3. It does not show whether the agent has the key, nor what an apple will earn.

With key, apples and door a return of 10 in the mean. A uniformly random policy picks up the key in 20 % of the
episodes, opens the door in 4 % and has a return of 1.8 (measured, 20,000 episodes).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.types import Action, Array, ArraySpec, EnvironmentSpec, Key
from acme_agents.environments import naming
from acme_agents.environments.pure import Pure, TimeStep

SIZE = 5
NUM_CELLS = SIZE * SIZE
_MIDDLE = NUM_CELLS // 2
_NUM_THINGS = (1, 5, 1)  # in each room: key, apples, door
ENDS = (8, 24, 32)  # of each room, in steps of the episode
_MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))  # up, down, left, right: rows and columns
APPLE, DOOR = 1.0, 5.0  # what they earn in the mean


def problem(name: str) -> str | None:
    """Returns what is wrong with `SPREAD`, or None."""
    if naming.is_size(name):
        return None
    return f"a way from key to door is key-to-door:SPREAD with a spread of at least 0, and {name!r} is none."


class State(NamedTuple):
    """What changes within an episode, and what is drawn at its start."""

    t: Array  # [] int32, steps taken
    cell: Array  # [] int32, where the agent is, row by row
    things: Array  # [3, 25] bool, what still lies in each room
    signs: Array  # [25] float32, 1 or -1: whether an apple at a cell earns more than usual, or less
    has_key: Array  # [] bool


def make_pure(name: str) -> Pure:
    """Makes the functions of `SPREAD`."""
    return rooms(float(name))


def rooms(spread: float | Array) -> Pure:
    """Makes the functions of rooms whose apples' rewards have this standard deviation, which may be traced."""
    elsewhere = np.delete(np.arange(NUM_CELLS), _MIDDLE)

    def room_at(t: Array) -> Array:
        return jnp.minimum(jnp.searchsorted(jnp.array(ENDS), t, side="right"), 2)

    def observe(state: State) -> Array:
        room = room_at(state.t)
        here, rest = jax.nn.one_hot(state.cell, NUM_CELLS), state.things[room].astype(jnp.float32)
        return jnp.concatenate([here, rest, jax.nn.one_hot(room, 3)])

    def init(key: Key) -> tuple[State, Array]:
        sign_key, *room_keys = jax.random.split(key, 4)
        things = jnp.zeros((3, NUM_CELLS), bool)
        for room, (room_key, number) in enumerate(zip(room_keys, _NUM_THINGS)):
            things = things.at[room, jax.random.permutation(room_key, elsewhere)[:number]].set(True)
        signs = jax.random.rademacher(sign_key, (NUM_CELLS,), jnp.float32)
        state = State(jnp.int32(0), jnp.int32(_MIDDLE), things, signs, jnp.bool_(False))
        return state, observe(state)

    def step(state: State, action: Action) -> tuple[State, TimeStep]:
        room = room_at(state.t)
        place = jnp.stack(jnp.divmod(state.cell, SIZE)) + jnp.array(_MOVES)[action]
        row, column = jnp.clip(place, 0, SIZE - 1)
        cell = row * SIZE + column
        found = state.things[room, cell]
        earned = jnp.stack([jnp.float32(0), APPLE + spread * state.signs[cell], DOOR * state.has_key])[room]
        t = state.t + 1
        after = State(
            t,
            jnp.where(jnp.isin(t, jnp.array(ENDS)), _MIDDLE, cell),
            state.things.at[room, cell].set(found & (room == 2) & ~state.has_key),  # A locked door stays.
            state.signs,
            state.has_key | (found & (room == 0)),
        )
        last = t == ENDS[-1]
        return after, TimeStep(jnp.where(found, earned, 0.0), 1.0 - last.astype(jnp.float32), last, observe(after))

    spec = EnvironmentSpec(
        ArraySpec((2 * NUM_CELLS + 3,)), ArraySpec((), "int32", len(_MOVES)), action_bounds=((0,), (len(_MOVES) - 1,))
    )
    return Pure(spec, init, step)
