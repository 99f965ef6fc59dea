"""Mazes for a point that moves continuously, without reward: `maze:four-rooms` and `maze:u`.

For geometric entropy and coverage (Guo et al. 2021, arXiv 2101.02055). **Reconstructed**: that the paper has a
continuous maze is not verified, and maps, sizes and speed are ours.

- A square of 11 x 11 cells. `maze:four-rooms` has four rooms of 5 x 5 cells with four doors, one cell wide; `maze:u`
  has two arms that are three cells wide, and start and far end are at their tips.
- The observation is the position, [2] float32 in [-1, 1]: x to the right and y down, as the map below is read. An
  episode starts uniformly in the cell in the upper left corner, and is cut short after 200 steps.
- The action, [2], moves the point by a fifth of a cell, 2/55, times the action clipped to [-1, 1]: first along x,
  then along y. A move along an axis that would end in a wall or outside is left out.
- There is no reward. A uniformly random policy seldom leaves the first room, or the first arm.

The cells that an episode visited are those of its observations: `cells`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.types import Action, Array, ArraySpec, EnvironmentSpec, Key
from acme_agents.environments import naming, pure
from acme_agents.environments.pure import Pure, TimeStep

_MAPS = {
    "four-rooms": """
.....#.....
.....#.....
...........
.....#.....
.....#.....
##.#####.##
.....#.....
.....#.....
...........
.....#.....
.....#.....
""",
    "u": """
...#####...
...#####...
...#####...
...#####...
...#####...
...#####...
...#####...
...#####...
...........
...........
...........
""",
}
SIZE = 11  # Cells of a side, which is 2 long.
_STEP = 2 / 55  # The longest move along an axis: a fifth of a cell.
_NUM_STEPS = 200


def names() -> list[str]:
    """Returns the known mazes."""
    return list(_MAPS)


def problem(name: str) -> str | None:
    """Returns what is wrong with a maze's name, or None."""
    if name in _MAPS:
        return None
    return f"there is no maze {name!r}, {naming.suggest(name, _MAPS)}"


class State(NamedTuple):
    """Where the point is."""

    position: Array  # [2] float32, x and y


def make_pure(name: str) -> Pure:
    """Makes the functions of a maze."""
    is_wall = jnp.asarray(np.pad(~free(name), 1, constant_values=True))  # [13, 13]; outside is wall too.

    def barred(x: Array, y: Array) -> Array:
        column, row = (jnp.floor((value + 1) * (SIZE / 2)).astype(jnp.int32) for value in (x, y))
        return is_wall[row + 1, column + 1]

    def init(key: Key) -> tuple[State, Array]:
        position = jax.random.uniform(key, (2,)) * (2 / SIZE) - 1
        return State(position), position

    def step(state: State, action: Action) -> tuple[State, TimeStep]:
        x, y = state.position
        to_x, to_y = state.position + _STEP * jnp.clip(action, -1.0, 1.0)
        x = jnp.where(barred(to_x, y), x, to_x)
        y = jnp.where(barred(x, to_y), y, to_y)
        position = jnp.stack([x, y])
        return State(position), TimeStep(jnp.float32(0), jnp.float32(1), jnp.bool_(False), position)

    one = (1.0, 1.0)
    spec = EnvironmentSpec(ArraySpec((2,)), ArraySpec((2,)), action_bounds=((-1.0, -1.0), one))
    return pure.limited(Pure(spec, init, step), _NUM_STEPS)


def free(name: str) -> np.ndarray:
    """Returns [11, 11] bool, row by row: the cells of a maze that are no wall."""
    return np.array([list(line) for line in _MAPS[name].split()]) == "."


def cells(observations: Any) -> np.ndarray:
    """Returns the cell of each position: [..., 2] int, row and column, of observations [..., 2]."""
    found = np.floor((np.asarray(observations, np.float32) + np.float32(1)) * np.float32(SIZE / 2)).astype(int)
    return found[..., ::-1]
