"""Histograms of what a learner trains, and of how its updates change it."""

from typing import Any

import jax
import numpy as np

_NOT_TRAINED = ("optimizer", "opt_state", "target")  # in the name of a part of a training state


class Histograms:
    """Finds the arrays of a training state, and how they changed since the state that was seen before."""

    def __init__(self) -> None:
        self._before: dict[str, np.ndarray] = {}
        self._steps = 0

    def of(self, state: Any, steps: int) -> dict[str, np.ndarray]:
        """The arrays of a training state, and the mean change of each by an update.

        Left out are target networks and optimisers, by the names of their parts, and single numbers.

        Args:
          state: the training state.
          steps: updates done.

        Returns:
          `parameters/PATH` and, from the second call on, `updates/PATH` -> the array.
        """
        found = {}
        for path, leaf in jax.tree_util.tree_leaves_with_path(state):
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            array = np.asarray(leaf)
            if array.size > 1 and array.dtype.kind == "f" and not any(part in name for part in _NOT_TRAINED):
                found[name] = np.array(array)  # A copy: the next update takes the buffer.
        histograms = {f"parameters/{name}": array for name, array in found.items()}
        if steps > self._steps:
            for name, before in self._before.items():
                histograms[f"updates/{name}"] = (found[name] - before) / (steps - self._steps)
        self._before, self._steps = found, steps
        return histograms
