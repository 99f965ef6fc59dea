"""Key and door: a room to search for a key, with a door that only the key opens, through a view that shows little.

`key-door:N` is the project's own test of exploration and memory, in the spirit of MiniGrid's DoorKey
(Chevalier-Boisvert et al. 2023, arXiv 2306.13831) and of the tasks of R2D3 (Paine et al. 2019, arXiv 1909.01387): a
sparse reward, partial views, and starts that vary.

- An N x N grid has walls around it and a column of wall inside it, with one locked door in that. Left of it are the
  agent and a key, right of it a goal. The column, the door's row, all places and the agent's heading are uniformly
  random in every episode.
- Actions: 0 turns left, 1 turns right, 2 goes forward, 3 picks up, 4 opens. Forward is blocked by walls, by the key and
  by the closed door. Picking up takes the key from the cell ahead, and opening opens the door there if the agent
  has the key; anywhere else these two do nothing.
- The reward is 1 for stepping on the goal, which ends the episode for good, and 0 otherwise. After 10 N steps time is
  up: the episode is cut short, with discount 1.

The view is of 3 x 3 cells, as MiniGrid's of that size: the agent stands in the middle of the bottom row and looks up
the page. It sees through walls. It does not see what it holds: having the key changes no observation, except
that the key no longer lies where it lay. There is no compass, and nothing of what went out of view.

Measured: how often uniformly random actions succeed, over 20,000 episodes, and how many steps the expert takes, the
mean over 1,000 episodes.

| N | random | expert |
|---|---|---|
| 6 | 1.1 % | 11.2 |
| 7 | 0.6 % | 13.1 |
| 8 | 0.36 % | 15.0 |
"""

from __future__ import annotations

import collections
from typing import Any, NamedTuple

import dm_env
import numpy as np

from acme_agents.core import errors

_SIZES = range(5, 33)
_STEPS_PER_SIZE = 10

WALL, FLOOR, KEY, CLOSED, OPEN, GOAL = range(6)  # The planes of an observation; outside the grid is wall too.
TURN_LEFT, TURN_RIGHT, FORWARD, PICK_UP, OPEN_DOOR = range(5)  # The actions.
_HEADINGS = ((-1, 0), (0, 1), (1, 0), (0, -1))  # Rows and columns per step: up, right, down, left.
_ONE_HOT = np.eye(6, dtype=np.float32)
_COLOURS = np.array([(100, 100, 100), (0, 0, 0), (255, 220, 0), (200, 0, 0), (90, 0, 0), (0, 160, 0)], np.uint8)
_PIXELS = 16  # Per cell, and even.


def problem(name: str) -> str | None:
    """Returns what is wrong with `N`, or None."""
    if name.isascii() and name.isdecimal() and int(name) in _SIZES:
        return None
    return f"a key and a door are key-door:N with N from {_SIZES[0]} to {_SIZES[-1]}, and {name!r} is no such N."


def make(name: str, seed: int, *, render: bool = False) -> KeyDoor:
    """Makes the task of size `N`. `render` makes no difference: it always has a picture."""
    del render
    return KeyDoor(int(name), seed)


class State(NamedTuple):
    """What changes within an episode."""

    cell: int  # Where the agent is: an index into the padded grid, row by row.
    heading: int  # Where it looks: an index into _HEADINGS.
    has_key: bool
    is_open: bool


class KeyDoor(dm_env.Environment):
    """A grid of N x N cells with a key, a door and a goal.

    Observations: [3, 3, 6] float32, one-hot over wall, floor, key, closed door, open door and goal.
    Actions: 0 .. 4.
    """

    def __init__(self, size: int, seed: int):
        """Makes an N x N task; `seed` is of all that is random in it."""
        self._size = size
        self._width = size + 2  # The grid has a margin of wall, because a view reaches two cells ahead.
        self._moves = [row * self._width + column for row, column in _HEADINGS]
        self._views = np.array([_view(ahead, self._width) for ahead in _HEADINGS])  # [4, 9]
        self._t = 0
        self._reset_next_step = True
        self._state: State
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Makes the episodes from the next reset on those of a new environment with this seed."""
        self._rng = np.random.default_rng(seed)
        self._begin()  # As a new one does.

    def reset(self) -> dm_env.TimeStep:
        self._t = 0
        self._reset_next_step = False
        self._begin()
        return dm_env.restart(self._observe())

    def step(self, action: Any) -> dm_env.TimeStep:
        """Takes one step, or resets after a last one; raises UserError if the action is not one of 0 .. 4."""
        if self._reset_next_step:
            return self.reset()
        index = int(action)
        if not 0 <= index < 5:
            raise errors.UserError(f"Expected an action from 0 to 4, got {index}.")
        self._t += 1
        self._state = state = self._after(self._state, index)
        if state.has_key:
            self._cells[self._key] = FLOOR
        if state.is_open:
            self._cells[self._door] = OPEN
        done = state.cell == self._goal
        self._reset_next_step = last = done or self._t == _STEPS_PER_SIZE * self._size
        step_type = dm_env.StepType.LAST if last else dm_env.StepType.MID
        return dm_env.TimeStep(step_type, np.float32(done), np.float32(not done), self._observe())

    def observation_spec(self) -> dm_env.specs.Array:
        return dm_env.specs.Array((3, 3, 6), np.float32, name="observation")

    def action_spec(self) -> dm_env.specs.DiscreteArray:
        return dm_env.specs.DiscreteArray(5, np.int32, name="action")

    def reward_spec(self) -> dm_env.specs.Array:
        return dm_env.specs.Array((), np.float32, name="reward")

    def discount_spec(self) -> dm_env.specs.BoundedArray:
        return dm_env.specs.BoundedArray((), np.float32, 0.0, 1.0, name="discount")

    def expert_action(self) -> np.int32:
        """Returns the first action of a shortest way to the goal, by breadth-first search through the full state.

        Of several shortest ways it takes the one whose actions come first in their order. At the goal it returns 0.
        """
        first = {self._state: 0}  # {a state that was reached: the action that the way there begins with}
        queue = collections.deque(first)
        while queue:
            state = queue.popleft()
            if state.cell == self._goal:
                return np.int32(first[state])
            for action in range(5):
                after = self._after(state, action)
                if after not in first:
                    first[after] = action if state is self._state else first[state]
                    queue.append(after)
        raise AssertionError("Every goal can be reached.")

    def render(self) -> np.ndarray:
        """Returns [16 N, 16 N, 3] uint8. It needs no GL library.

        Walls are grey, the floor black, the key yellow, the door red, darker once it is open, and the goal green; the
        agent is white with a blue mark towards where it looks, and has a yellow core while it has the key.
        """
        grid = self._cells.reshape(self._width, self._width)[1:-1, 1:-1]
        frame = _COLOURS[grid].repeat(_PIXELS, axis=0).repeat(_PIXELS, axis=1)
        row, column = divmod(self._state.cell, self._width)
        middle = np.array([row - 1, column - 1]) * _PIXELS + _PIXELS // 2
        _square(frame, middle, _PIXELS // 2 - 2, (255, 255, 255))
        _square(frame, middle + 4 * np.array(_HEADINGS[self._state.heading]), 2, (0, 80, 255))
        if self._state.has_key:
            _square(frame, middle, 2, _COLOURS[KEY])
        return frame

    def _begin(self) -> None:
        """Draws an episode."""
        rng, size = self._rng, self._size
        wall = int(rng.integers(2, size - 2))  # The column, counted from 0 as rows are.
        grid = np.full((self._width, self._width), WALL, np.int8)
        inside = grid[1:-1, 1:-1]
        inside[1:-1, 1:wall] = inside[1:-1, wall + 1 : -1] = FLOOR
        cells = np.arange(grid.size).reshape(grid.shape)[1:-1, 1:-1]
        self._key, cell = map(int, rng.choice(cells[1:-1, 1:wall].ravel(), 2, replace=False))
        self._door = int(rng.choice(cells[1:-1, wall]))
        self._goal = int(rng.choice(cells[1:-1, wall + 1 : -1].ravel()))
        self._cells = grid.ravel()  # [(N + 2)^2] int8, a plane's index for every cell, as it is now
        self._walls = (self._cells == WALL).tolist()  # The door, which is not yet in it, is one.
        self._cells[[self._key, self._door, self._goal]] = KEY, CLOSED, GOAL
        self._state = State(cell, int(rng.integers(4)), False, False)

    def _after(self, state: State, action: int) -> State:
        """Returns what an action makes of a state of this episode."""
        cell, heading, has_key, is_open = state
        ahead = cell + self._moves[heading]
        if action == TURN_LEFT:
            return State(cell, (heading - 1) % 4, has_key, is_open)
        if action == TURN_RIGHT:
            return State(cell, (heading + 1) % 4, has_key, is_open)
        if action == PICK_UP:
            return State(cell, heading, has_key or ahead == self._key, is_open)
        if action == OPEN_DOOR:
            return State(cell, heading, has_key, is_open or (has_key and ahead == self._door))
        if ahead == self._door:
            blocked = not is_open
        else:
            blocked = self._walls[ahead] or (ahead == self._key and not has_key)
        return state if blocked else State(ahead, heading, has_key, is_open)

    def _observe(self) -> np.ndarray:
        return _ONE_HOT[self._cells[self._state.cell + self._views[self._state.heading]]].reshape(3, 3, 6)


def _view(ahead: tuple[int, int], width: int) -> list[int]:
    """Returns [9] how far each cell of a view, row by row, is from the agent's own in a grid of this width."""
    row, column = ahead
    right = (column, -row)
    return [
        (depth * row + side * right[0]) * width + depth * column + side * right[1]
        for depth in (2, 1, 0)
        for side in (-1, 0, 1)
    ]


def _square(frame: np.ndarray, middle: np.ndarray, radius: int, colour: Any) -> None:
    """Paints the pixels that are less than the radius away from between four pixels."""
    (top, left), (bottom, right) = middle - radius, middle + radius
    frame[top:bottom, left:right] = colour
