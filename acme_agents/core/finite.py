"""Whether learning has diverged: a metric or a parameter that is NaN or infinite ends the run."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core import errors
from acme_agents.core.types import Array

_ADVICE = "lower the learning rate, clip the gradient, or scale the rewards"


def note(metrics: Mapping[str, Array], update: Array) -> Array:
    """Notes which metrics are not finite. Pure; for use within a jitted update.

    Args:
      metrics: M scalars, of one update.
      update: [] int32, its number; the first update is 1.

    Returns:
      [M] int32, in the order of the metrics' names: the update's number where it is not finite, else 0.
    """
    finite = [jnp.all(jnp.isfinite(metrics[name])) for name in sorted(metrics)]
    return jnp.where(jnp.array(finite, bool), 0, update).astype(jnp.int32)


def merge(first: Array, later: Array) -> Array:
    """From what `note` says of several updates: the first at which each metric was not finite, [M] int32."""
    return jnp.where(first == 0, later, first)


def check_metrics(first: Array, metrics: Mapping[str, Array]) -> None:
    """Checks that all metrics were finite.

    Args:
      first: what `note` says of them.
      metrics: the metrics, whose names the error uses.

    Raises:
      NotFinite: a metric was not; the message says which was the first, and at which update.
    """
    updates = np.asarray(first)
    if not updates.any():
        return
    update = np.min(updates[updates > 0])
    names = [name for name, number in zip(sorted(metrics), updates) if number == update]
    verb = "is" if len(names) == 1 else "are"
    raise errors.NotFinite(
        f"Learning has diverged: {', '.join(names)} {verb} no longer finite at update {update:,}: {_ADVICE}."
    )


class Checker:
    """Checks a training state, except for numbers that are not finite at the start, such as a running minimum."""

    def __init__(self, state: Any):
        """Takes note of what is finite in the untrained state."""
        leaves = jax.tree.leaves(state)
        numbers = [i for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
        self._checked = [i for i, finite in zip(numbers, _are_finite([leaves[i] for i in numbers])) if finite]

    def check(self, state: Any, update: int) -> None:
        """Checks that all numbers of the state are finite.

        Args:
          state: the training state.
          update: updates done.

        Raises:
          NotFinite: a number is not.
        """
        leaves = jax.tree.leaves(state)
        finite = _are_finite([leaves[i] for i in self._checked])
        if finite.all():
            return
        paths = [path for path, _ in jax.tree_util.tree_flatten_with_path(state)[0]]
        name = jax.tree_util.keystr(paths[self._checked[int(np.argmin(finite))]])
        raise errors.NotFinite(
            f"Learning has diverged: the training state{name} is no longer finite after update {update:,}: {_ADVICE}."
        )


def _are_finite(leaves: list[Array]) -> np.ndarray:
    """Whether all numbers of each array are finite, [L] bool."""
    if jax.default_backend() == "cpu":  # Nothing is copied, and as fast as XLA, which takes seconds to compile this.
        return np.array([np.isfinite(np.asarray(leaf)).all() for leaf in leaves], bool)
    return np.asarray(jnp.stack([_is_finite(leaf) for leaf in leaves])) if leaves else np.ones(0, bool)


@jax.jit
def _is_finite(leaf: Array) -> Array:
    return jnp.all(jnp.isfinite(leaf))
