"""Which cells an episode visited, from its record alone, in the environments that were made to explore.

For heat maps and coverage: `trackers:NOISE`, `maze:NAME` and `noisy-tv:SCREEN`, also inside of the wrappers
`scaled:`, `delayed:`, `energy:` and `persistive:`, through which all of this can still be seen. `repeat:` hides
moves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from acme_agents.core import errors
from acme_agents.environments import mazes, naming, noisy_tv, trackers

_TRANSPARENT = ("scaled", "delayed", "energy", "persistive")


def free(name: str) -> np.ndarray:
    """Returns the cells that can be visited at all, [H, W] bool; the chain of a noisy television is [1, 9].

    Raises:
      UserError: there is no such reading of this environment.
    """
    source, rest = _inner(name)
    if source == "trackers":
        return trackers.FREE
    return mazes.free(rest) if source == "maze" else np.ones((1, noisy_tv.NUM_STATES), bool)


def visits(name: str, observations: Any, actions: Any) -> np.ndarray:
    """Counts the visits to each cell in one episode, its first and its last observation among them.

    Args:
      name: of the environment.
      observations: [T + 1, *O] of one whole episode, from its first on, as a dataset's `Trajectory` has them.
      actions: [T, *A].

    Returns:
      [H, W] int64; the sum over episodes of this, where it is above 0, is what they cover of `free(name)`.

    Raises:
      UserError: there is no such reading of this environment.
    """
    source, _ = _inner(name)
    if source == "trackers":
        cells = trackers.positions(observations, actions)
    elif source == "maze":
        cells = mazes.cells(observations)
    else:
        places = noisy_tv.places(observations)
        cells = np.stack([np.zeros_like(places), places], axis=-1)
    counts = np.zeros(free(name).shape, np.int64)
    np.add.at(counts, tuple(cells.T), 1)
    return counts


def _inner(name: str) -> tuple[str, str]:
    """The source and the rest of the name inside of wrappers."""
    _, inner = naming.unwrap(name, _TRANSPARENT)
    source, _, rest = inner.partition(":")
    if source not in ("trackers", "maze", "noisy-tv"):
        raise errors.UserError(
            f"Visited cells are read from trackers:NOISE, maze:NAME and noisy-tv:SCREEN, and {name!r} is none of them."
        )
    return source, rest
