"""Deep sea: a grid that a diver sinks through, where only N right moves in N steps find the treasure.

`deep-sea:N` is the deterministic task of bsuite (Osband et al. 2020, arXiv 1908.03568; first in Osband et al. 2019,
arXiv 1703.07608), `deep-sea:N:stochastic` its stochastic one, after bsuite's `environments/deep_sea.py`:

- The diver starts in the top left corner of an N x N grid. Each step sinks one row and moves one column, left or right,
  as far as the sides allow; the N-th step ends the episode for good.
- Moving right costs 0.01 / N. Moving right from the bottom right corner earns 1 more.
- Which of the two actions moves right differs from cell to cell. The mapping is drawn from N alone: it is the same for
  every seed, and so for all actors and evaluators of a run, and it is learnable.
- Stochastic: a right move fails with probability 1 / N, and then stays in its column, at the same cost; and a step
  from the bottom left or the bottom right corner earns standard normal noise besides.

The best policy's return is 0.99, and in the mean just above (1 - 1/N)^(N - 1) - 0.01 where it is stochastic; one that
never moves right has 0. A uniformly random policy finds the treasure in one episode of 2^N, or fewer yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dm_env
import numpy as np

from acme_agents.core import errors
from acme_agents.environments.batched import TimeSteps

_SIZES = range(2, 201)
_MAPPING_SEED = 42  # bsuite's.
_MOVE_COST = 0.01  # Of N right moves.


def problem(name: str) -> str | None:
    """Returns what is wrong with `N` or `N:stochastic`, or None."""
    size, colon, variant = name.partition(":")
    if not (size.isascii() and size.isdecimal() and int(size) in _SIZES):
        return (
            f"a deep sea is deep-sea:N or deep-sea:N:stochastic with N from {_SIZES[0]} to {_SIZES[-1]}, and {size!r} "
            "is no such N."
        )
    if colon and variant != "stochastic":
        return f"a deep sea is deep-sea:N or deep-sea:N:stochastic, and {variant!r} is no variant of it."
    return None


def make(name: str, seed: int, *, render: bool = False) -> DeepSea:
    """Makes the deep sea of `N` or `N:stochastic`. `render` makes no difference: it always has a picture."""
    del render
    size, _, variant = name.partition(":")
    return DeepSea(int(size), seed, stochastic=bool(variant))


def make_batch(name: str, seeds: Sequence[int], *, max_episode_steps: int | None = None) -> DeepSeas | None:
    """Makes N deep seas of `N` that step as one; None for a stochastic one, each of which draws for itself."""
    size, _, variant = name.partition(":")
    return None if variant else DeepSeas(int(size), len(seeds), max_episode_steps)


class DeepSea(dm_env.Environment):
    """An N x N deep sea.

    Observations: [N, N] float32, 1 in the diver's cell, which is in row t before step t, and 0 elsewhere; all 0 at the
    end. Actions: 0 and 1.
    """

    def __init__(self, size: int, seed: int, *, stochastic: bool = False):
        """Makes an N x N deep sea; `seed` affects only its stochastic parts."""
        self._size = size
        self._stochastic = stochastic
        self.reseed(seed)
        self._right = np.random.RandomState(_MAPPING_SEED).binomial(1, 0.5, (size, size))  # The action that does so.
        self._row = self._column = 0
        self._reset_next_step = True

    def reseed(self, seed: int) -> None:
        """Makes the episodes from the next reset on those of a new environment with this seed."""
        self._rng = np.random.default_rng(seed)

    def reset(self) -> dm_env.TimeStep:
        self._row = self._column = 0
        self._reset_next_step = False
        return dm_env.restart(self._observe())

    def step(self, action: Any) -> dm_env.TimeStep:
        """Takes one step, or resets after a last one; raises UserError if the action is neither 0 nor 1."""
        if self._reset_next_step:
            return self.reset()
        if action not in (0, 1):
            raise errors.UserError(f"Expected an action from 0 to 1, got {action}.")
        bottom = self._size - 1
        right = bool(action == self._right[self._row, self._column])
        reward = 0.0
        if self._stochastic and self._row == bottom and self._column in (0, bottom):
            reward += self._rng.standard_normal()
        if right:
            reward += (self._column == bottom) - _MOVE_COST / self._size
        moves = not (right and self._stochastic) or self._rng.random() >= 1 / self._size
        if moves:
            self._column = min(max(self._column + (1 if right else -1), 0), bottom)
        self._row += 1
        self._reset_next_step = last = self._row == self._size
        step_type = dm_env.StepType.LAST if last else dm_env.StepType.MID
        return dm_env.TimeStep(step_type, np.float32(reward), np.float32(not last), self._observe())

    def observation_spec(self) -> dm_env.specs.Array:
        return dm_env.specs.Array((self._size, self._size), np.float32, name="observation")

    def action_spec(self) -> dm_env.specs.DiscreteArray:
        return dm_env.specs.DiscreteArray(2, np.int32, name="action")

    def reward_spec(self) -> dm_env.specs.Array:
        return dm_env.specs.Array((), np.float32, name="reward")

    def discount_spec(self) -> dm_env.specs.BoundedArray:
        return dm_env.specs.BoundedArray((), np.float32, 0.0, 1.0, name="discount")

    def expert_action(self) -> np.int32:
        """Returns the best action now: right while that can still lead to the treasure, else left, which costs nothing.

        At the end of an episode there is no best action, and this returns 0.
        """
        if self._row == self._size:
            return np.int32(0)
        right = self._right[self._row, self._column]
        return np.int32(right if self._column == self._row else 1 - right)

    def render(self) -> np.ndarray:
        """Returns [8 N, 8 N, 3] uint8: the diver in white, the treasure in green. It needs no GL library."""
        frame = np.zeros((self._size, self._size, 3), np.uint8)
        frame[-1, -1] = (0, 160, 0)
        if self._row < self._size:
            frame[self._row, self._column] = 255
        return frame.repeat(8, axis=0).repeat(8, axis=1)

    def _observe(self) -> np.ndarray:
        observation = np.zeros((self._size, self._size), np.float32)
        if self._row < self._size:
            observation[self._row, self._column] = 1
        return observation


class DeepSeas:
    """Deterministic deep seas that step as one, a `BatchedEnvironment`; each is a `DeepSea`."""

    def __init__(self, size: int, num_environments: int, max_steps: int | None = None):
        """Makes deep seas of `size` x `size` cells, whose episodes are cut short after `max_steps` steps."""
        self.num_environments = num_environments
        self._one = DeepSea(size, 0)
        self._size = size
        self._length = size if max_steps is None else min(size, max_steps)
        self._row = np.zeros(num_environments, int)
        self._column = np.zeros(num_environments, int)

    def reset(self) -> TimeSteps:
        self._row[:] = self._column[:] = 0
        return self._timesteps(np.zeros(self.num_environments, np.float32))

    def step(self, actions: np.ndarray, num_active: int) -> TimeSteps:
        """Steps the first `num_active`, or begins an episode after a last step; raises UserError for an odd action."""
        odd = (actions != 0) & (actions != 1)
        if odd[:num_active].any():
            raise errors.UserError(f"Expected actions from 0 to 1, got {actions[odd][0]}.")
        bottom = self._size - 1
        active = np.arange(self.num_environments) < num_active
        begins = active & (self._row == self._length)
        moves = active & ~begins
        row, column = np.minimum(self._row, bottom), self._column
        right = moves & (actions == self._one._right[row, column])
        reward = right * ((column == bottom) - _MOVE_COST / self._size)
        self._column = np.clip(column + np.where(right, 1, -1), 0, bottom) * moves + column * ~active
        self._row = (self._row + moves) * ~begins
        return self._timesteps(reward.astype(np.float32))

    def observation_spec(self) -> dm_env.specs.Array:
        return self._one.observation_spec()

    def action_spec(self) -> dm_env.specs.DiscreteArray:
        return self._one.action_spec()

    def reward_spec(self) -> dm_env.specs.Array:
        return self._one.reward_spec()

    def close(self) -> None:
        """Holds nothing to close."""

    def _timesteps(self, reward: np.ndarray) -> TimeSteps:
        """The time steps of where the divers are."""
        step_type = np.full(self.num_environments, int(dm_env.StepType.MID))
        step_type[self._row == 0] = dm_env.StepType.FIRST
        step_type[self._row == self._length] = dm_env.StepType.LAST
        observation = np.zeros((self.num_environments, self._size, self._size), np.float32)
        (inside,) = np.nonzero(self._row < self._size)
        observation[inside, self._row[inside], self._column[inside]] = 1
        return TimeSteps(step_type, reward, (self._row < self._size).astype(np.float32), observation)
