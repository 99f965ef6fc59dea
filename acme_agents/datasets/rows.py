"""The rows of one episode as a file has them, of no environment yet: what every format is read as first."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from acme_agents.core import types


class Rows(NamedTuple):
    """One episode of T rows, in the file's own dtypes, its actions those of the file."""

    observation: Any  # a pytree of [T + 1, *O], or of [T, *O] where the one after the last action is not known
    action: np.ndarray  # [T, *A]
    reward: np.ndarray  # [T] or [T, K]
    discount: np.ndarray  # [T] float32: its last is 0 if the episode ended for good
    truncated: bool  # whether the file says that the last action was followed by a cut

    @property
    def terminated(self) -> bool:
        """Whether the episode ended for good."""
        return bool(len(self.discount)) and bool(self.discount[-1] == 0)

    @property
    def lacks_final(self) -> bool:
        """Whether the observation after the last action is not known."""
        return len(jax.tree.leaves(self.observation)[0]) == len(self.reward)


def trajectory(rows: Rows) -> types.Trajectory:
    """Returns the steps that can be learned from: T, or T - 1 where the episode was cut short and lacks its final one.

    Of an episode that terminated and lacks its final observation the last one is repeated: nothing is learnt from it.
    """
    observation, action, reward, discount, _ = rows
    if rows.lacks_final and rows.terminated:
        observation = jax.tree.map(lambda x: np.concatenate([x, x[-1:]]), observation)
    elif rows.lacks_final:
        action, reward, discount = action[:-1], reward[:-1], discount[:-1]
    return types.Trajectory(observation, action, reward, discount)


def discounts(length: int, terminated: bool) -> np.ndarray:
    """Returns [length] float32: 1, and at last 0 if the episode terminated."""
    discount = np.ones(length, np.float32)
    discount[-1:] = 0 if terminated else 1
    return discount
