"""From whole episodes to their rows and items, as for a dataset."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from acme_agents.core.experience.kind import Experience, Piece, Rows
from acme_agents.core.types import Step, Trajectory


class _Part(NamedTuple):
    """The fields of a chunk that `Experience.describe` reads."""

    num_steps: Any
    num_starts: Any
    episode_step: Any
    previous_action: Any
    previous_reward: Any
    version: Any


def of_trajectories(steps: Step, trajectories: Sequence[Trajectory], experience: Experience) -> Rows:
    """The rows of episodes, and all their items in order: NumPy arrays.

    Args:
      steps: the spec of a step; trajectories have no extras, so these are zero.
      trajectories: at least one; they fit the spec.
      experience: the kind of the items.
    """
    lengths = np.array([len(trajectory.discount) for trajectory in trajectories])
    last_rows = np.cumsum(lengths + 1) - 1
    rows: Step = jax.tree.map(lambda s: np.zeros((int(np.sum(lengths + 1)), *s.shape), s.dtype), steps)
    rows.last[last_rows] = True
    acting = np.flatnonzero(~rows.last)
    for field in ("action", "reward", "discount"):
        getattr(rows, field)[acting] = np.concatenate([getattr(trajectory, field) for trajectory in trajectories])
    observations = jax.tree.map(lambda *x: np.concatenate(x), *(t.observation for t in trajectories))
    rows = rows._replace(observation=observations)
    return with_items(rows, experience.layout.cut_all(lengths.tolist()), experience)


def with_items(rows: Step, pieces: Iterable[tuple[int, Piece]], experience: Experience) -> Rows:
    """The rows with all items of their chunks, in order.

    Args:
      rows: [R, ...], NumPy arrays; the one before each chunk that does not begin its episode is among them.
      pieces: the chunks, at least one, each with its first row.
      experience: the kind of the items.
    """
    item_rows, items = [], []
    for row, piece in pieces:
        number = experience.num_items(piece)
        item_rows.append(np.arange(row, row + number, dtype=np.int32))
        follows = piece.first > 0
        part = _Part(
            np.int32(piece.num_steps),
            np.int32(piece.num_starts),
            np.int32(piece.first),
            rows.action[row - 1] if follows else np.zeros_like(rows.action[0]),
            rows.reward[row - 1] if follows else np.zeros_like(rows.reward[0]),
            np.int32(0),
        )
        items.append(jax.tree.map(lambda x, number=number: x[:number], experience.describe(part)))
    return Rows(rows, np.concatenate(item_rows), jax.tree.map(lambda *x: np.concatenate(x), *items))
