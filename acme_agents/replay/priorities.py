"""Priorities of many items on the device; drawing and changing take a time that hardly grows with their number.

They are the leaves of a tree of three levels, each inner node the sum of its `_FAN_OUT` children. All functions are
pure and can be jitted. Schaul et al. 2016, arXiv 1511.05952, keep a binary tree, which takes many more small steps.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core import errors
from acme_agents.core.types import Array, Key

_FAN_OUT = 128
_LEAST = 1e-6  # of a priority, so that nothing held is out of reach; Schaul et al. add as much, OpenAI Baselines' value


class Priorities(NamedTuple):
    """The tree. An item's weight is its priority to the power of the exponent; 0 for an item that cannot be drawn."""

    weights: Array  # [S * F, F] float32, with F = `_FAN_OUT`: item i at [i // F, i % F]
    sums: Array  # [S, F] float32, of the rows of `weights`
    largest: Array  # [] float32, of the priorities so far: what new items get


def make(num_items: int) -> Priorities:
    """An empty tree for up to `num_items` items."""
    num_sums = -(-num_items // _FAN_OUT**2)
    return Priorities(
        weights=jnp.zeros((num_sums * _FAN_OUT, _FAN_OUT)),
        sums=jnp.zeros((num_sums, _FAN_OUT)),
        largest=jnp.float32(1.0),
    )


def add(tree: Priorities, items: Array, exponent: float) -> Priorities:
    """Gives items [M] int32 the largest priority so far; indices out of range are ignored."""
    return _set(tree, items, jnp.full(items.shape, tree.largest**exponent))


def remove(tree: Priorities, items: Array) -> Priorities:
    """Removes items [M] int32, so that they cannot be drawn; indices out of range are ignored."""
    return _set(tree, items, jnp.zeros(items.shape))


def change(tree: Priorities, items: Array, priorities: Array, exponent: float) -> Priorities:
    """Gives items [M] int32 new priorities [M] float32; items that were removed are ignored."""
    priorities = jnp.maximum(priorities, _LEAST)
    held = tree.weights[items // _FAN_OUT, items % _FAN_OUT] > 0.0
    tree = _set(tree, items, jnp.where(held, priorities**exponent, 0.0))
    return tree._replace(largest=jnp.maximum(tree.largest, jnp.max(priorities)))


def check(priorities: np.ndarray, update: int) -> None:
    """Checks that an agent's priorities [M] float32 are finite and not negative.

    Args:
      priorities: the new priorities, or the largest of them.
      update: updates done.

    Raises:
      NotFinite: a priority is not finite.
      UserError: a priority is negative.
    """
    if not np.all(np.isfinite(priorities)):
        raise errors.NotFinite(
            f"The agent's priorities are no longer finite at update {update:,}: lower its learning rate or clip its "
            "rewards."
        )
    if np.any(priorities < 0.0):
        raise errors.UserError(
            f"The agent gives a priority of {np.min(priorities)} at update {update:,}: make its `update` return none "
            "below 0."
        )


def sample(tree: Priorities, key: Key, num_samples: int) -> tuple[Array, Array]:
    """Draws items with probabilities proportional to their weights, with replacement.

    Args:
      tree: holding at least one item.
      key: random key.
      num_samples: B.

    Returns:
      items [B] int32, and the probabilities [B] float32 with which each was drawn.
    """
    tops = jnp.sum(tree.sums, axis=1)  # [S]
    total = jnp.sum(tops)
    left = jax.random.uniform(key, (num_samples,)) * total
    top, left = _descend(jnp.broadcast_to(tops, (num_samples, *tops.shape)), left)
    middle, left = _descend(tree.sums[top], left)
    row = top * _FAN_OUT + middle
    column, _ = _descend(tree.weights[row], left)
    return row * _FAN_OUT + column, tree.weights[row, column] / total


def _descend(children: Array, left: Array) -> tuple[Array, Array]:
    """The child of [B, F] in which `left` [B] falls, and what is left of it within that child."""
    cumulative = jnp.cumsum(children, axis=1)
    chosen = jnp.sum(cumulative <= left[:, None], axis=1, dtype=jnp.int32)
    # Rounding may point behind the last child that has any weight.
    last = children.shape[1] - 1 - jnp.argmax(children[:, ::-1] > 0.0, axis=1).astype(jnp.int32)
    chosen = jnp.minimum(chosen, last)
    before = jnp.take_along_axis(cumulative - children, chosen[:, None], axis=1)[:, 0]
    return chosen, left - before


def _set(tree: Priorities, items: Array, weights: Array) -> Priorities:
    rows = items // _FAN_OUT
    leaves = tree.weights.at[rows, items % _FAN_OUT].set(weights, mode="drop")
    sums = jnp.sum(leaves.at[rows].get(mode="clip"), axis=1)  # [M], of whole rows
    return tree._replace(weights=leaves, sums=tree.sums.at[rows // _FAN_OUT, rows % _FAN_OUT].set(sums, mode="drop"))
