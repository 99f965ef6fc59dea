"""Four rooms in a row with oscillating blocks at their doors, and four kinds of noise: `trackers:NOISE`.

The grid world of Curiosity in Hindsight (Jarrett et al. 2023, arXiv 2211.10515, section 5.1). Of the paper's maze
only this is known, from notes of readers: it is a Pycolab maze, seen 5 x 5 cells at a time around the agent; four
trackers, R1 to R4, lie behind oscillating blocks; an episode has 500 steps; and there are the four kinds of noise
below, with the quarter of the frames and the no-op. **Reconstructed**: the map, the order and size of the rooms, what
a view holds, how blocks turn round, and that the pixels of noise are bits.

- The map is below. The agent starts at S. Tracker 1 lies in the door from the first room to the second, and so on
  round the four rooms; tracker 4 lies in a niche of the last. A block moves to and fro on the seven cells (`:`) in
  front of each, and nobody reaches a tracker without crossing them.
- Actions: 0 does nothing, 1 to 4 move up, down, left and right. First the agent moves, if in the observation that it
  acted on the cell ahead was neither wall nor block. Then each block moves one cell; where the track ends, or the
  agent stands, it stays for the step and turns round.
- Observations: [175] float32, a view of [5, 5, 7], row by row, 0 or 1: walls, blocks, the floor of rooms 1 to 4 (a
  door belongs to the room that it leads out of), and the noise. The agent stands in the middle. Trackers are not
  seen. It is flat because convolutions gain nothing on so few cells, and cost ten times as much.
- The reward is 1 for the first visit to each tracker in an episode, so the return is the number of trackers reached.
  An agent that shall explore without reward trains on `scaled:0:trackers:NOISE`. Episodes are cut short after 500
  steps.

| NOISE | what is random |
|---|---|
| `none` | nothing |
| `brownian` | each block moves to either side with equal chance, whatever it did before |
| `pixels` | the last plane is random bits in a quarter of the frames, and 0 in the others |
| `no-op` | the last plane is random bits after action 0, and 0 after every other |

Which cells an episode visited can be told from its observations and actions: `positions`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.types import Action, Array, ArraySpec, EnvironmentSpec, Key
from acme_agents.environments import naming, pure
from acme_agents.environments.pure import Pure, TimeStep

_MAP = """
#################
#......:#.......#
#......:#.......#
#......:#.......#
#S.....:1.......#
#......:#.......#
#......:#.......#
#......:#:::::::#
############2####
#:......#:......#
#:......#:......#
#:......#:......#
4:......3:......#
#:......#:......#
#:......#:......#
#:......#:......#
#################
"""
_NOISES = ("none", "brownian", "pixels", "no-op")
_NUM_STEPS = 500

NOOP, UP, DOWN, LEFT, RIGHT = range(5)  # The actions.
WALL, BLOCK, FIRST_FLOOR, NOISE = 0, 1, 2, 6  # The planes of a view; floors are 2 to 5.
_MOVES = np.array([(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)], np.int32)
_REACH = 2  # Cells seen to each side of the agent.

_CELLS = np.array([list(line) for line in _MAP.split()])
_START = np.argwhere(_CELLS == "S")[0].astype(np.int32)
TRACKERS = np.array([np.argwhere(_CELLS == str(i))[0] for i in (1, 2, 3, 4)], np.int32)
"""[4, 2] row and column of each tracker."""
FREE = _CELLS != "#"
"""[17, 17] bool, the cells that are no wall."""


def _room_of(row: int, column: int) -> int:
    """The room of a free cell, 0 to 3."""
    if _CELLS[row, column] in "1234":
        return int(_CELLS[row, column]) - 1
    if row < 8:
        return 0 if column < 8 else 1
    return 3 if column < 8 else 2


def _static_planes() -> np.ndarray:
    """[21, 21, 5] float32: walls and floors, with a margin of wall as wide as a view reaches."""
    planes = np.zeros((*_CELLS.shape, 5), np.float32)
    planes[~FREE, WALL] = 1
    for row, column in np.argwhere(FREE):
        planes[row, column, 1 + _room_of(row, column)] = 1
    padded = np.pad(planes, ((_REACH, _REACH), (_REACH, _REACH), (0, 0)))
    padded[..., WALL] = np.pad(planes[..., WALL], _REACH, constant_values=1)
    return padded


_STATIC = _static_planes()
# [4, 7, 2] the cells of each block's track, from its top or left end.
_TRACKS = np.array(
    [[cell for cell in np.argwhere(_CELLS == ":") if _room_of(*cell) == room] for room in range(4)],
    np.int32,
)
_LENGTH = _TRACKS.shape[1]


def names() -> list[str]:
    """Returns the kinds of noise."""
    return list(_NOISES)


def problem(name: str) -> str | None:
    """Returns what is wrong with a kind of noise, or None."""
    if name in _NOISES:
        return None
    return f"trackers:NOISE has no noise {name!r}, {naming.suggest(name, _NOISES)}"


class State(NamedTuple):
    """What changes within an episode."""

    position: Array  # [2] int32, row and column
    blocks: Array  # [4] int32, each block's place on its track, 0 to 6
    directions: Array  # [4] int32, -1 or 1, where each block moves next
    reached: Array  # [4] bool, the trackers visited in this episode
    key: Key


def make_pure(name: str) -> Pure:
    """Makes the functions of the grid with a kind of noise."""

    def observe(state: State, action: Array | None) -> tuple[State, Array]:
        """The view, and the state with the key of what comes next; `action` led here, None in a first observation."""
        static = jax.lax.dynamic_slice(_STATIC, (*state.position, 0), (5, 5, 5))
        relative = _block_cells(state.blocks) - state.position[None] + _REACH  # [4, 2]
        rows, columns = jax.nn.one_hot(relative[:, 0], 5), jax.nn.one_hot(relative[:, 1], 5)  # All 0 out of view.
        blocks = jnp.einsum("br,bc->rc", rows, columns)
        noise = jnp.zeros((5, 5))
        if name in ("pixels", "no-op"):
            key, noise_key = jax.random.split(state.key)
            state = state._replace(key=key)
            word = jax.random.bits(noise_key, dtype=jnp.uint32)
            # 25 of its bits are the pixels, and two more say whether there are any: in a quarter of the frames.
            is_noisy = (word >> 30) == 0 if name == "pixels" else jnp.asarray(action == NOOP)
            noise = is_noisy * ((word >> jnp.arange(25, dtype=jnp.uint32)) & 1).reshape(5, 5).astype(jnp.float32)
        planes = (static[..., :1], blocks[..., None], static[..., 1:], noise[..., None])
        return state, jnp.concatenate(planes, axis=-1).ravel()

    def init(key: Key) -> tuple[State, Array]:
        blocks, ones = jnp.zeros(4, jnp.int32), jnp.ones(4, jnp.int32)
        return observe(State(jnp.asarray(_START), blocks, ones, jnp.zeros(4, bool), key), None)

    def step(state: State, action: Action) -> tuple[State, TimeStep]:
        ahead = state.position + jnp.asarray(_MOVES)[action]
        is_wall = jnp.asarray(_STATIC)[ahead[0] + _REACH, ahead[1] + _REACH, WALL] > 0
        barred = is_wall | jnp.any(_same(_block_cells(state.blocks), ahead))
        position = jnp.where(barred, state.position, ahead)
        key, directions = state.key, state.directions
        if name == "brownian":
            key, block_key = jax.random.split(key)
            word = jax.random.bits(block_key, dtype=jnp.uint32)
            directions = 2 * ((word >> jnp.arange(4, dtype=jnp.uint32)) & 1).astype(jnp.int32) - 1
        places = state.blocks + directions
        moves = (places >= 0) & (places < _LENGTH)
        places = jnp.where(moves, places, state.blocks)
        moves &= ~_same(_block_cells(places), position)
        now = _same(jnp.asarray(TRACKERS), position) & ~state.reached
        state = State(
            position,
            jnp.where(moves, places, state.blocks),
            jnp.where(moves, directions, -directions),
            state.reached | now,
            key,
        )
        state, observation = observe(state, action)
        return state, TimeStep(jnp.sum(now).astype(jnp.float32), jnp.float32(1), jnp.bool_(False), observation)

    spec = EnvironmentSpec(ArraySpec((175,)), ArraySpec((), "int32", 5), action_bounds=((0,), (4,)))
    return pure.limited(Pure(spec, init, step), _NUM_STEPS)


def positions(observations: Any, actions: Any) -> np.ndarray:
    """Returns where the agent was, from an episode's record alone: its start, and each move that was not barred.

    Args:
      observations: [T + 1, 175], o_0 to o_T; the last is not looked at.
      actions: [T].

    Returns:
      [T + 1, 2] int, row and column, of the array `FREE`.
    """
    actions = np.asarray(actions)
    moves, steps = _MOVES[actions], np.arange(len(actions))
    views = np.asarray(observations).reshape(-1, 5, 5, 7)
    ahead = views[steps, _REACH + moves[:, 0], _REACH + moves[:, 1]]  # [T, 7]
    is_free = (ahead[:, WALL] == 0) & (ahead[:, BLOCK] == 0)
    return np.cumsum(np.vstack([_START, moves * is_free[:, None]]), axis=0)


def _block_cells(places: Array) -> Array:
    """[4, 2] the cells of blocks at these places on their tracks."""
    return jnp.asarray(_TRACKS)[jnp.arange(4), places]


def _same(cells: Array, cell: Array) -> Array:
    """[4] whether each of the cells [4, 2] is this one [2]."""
    return jnp.all(cells == cell[None], axis=-1)
