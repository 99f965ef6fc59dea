"""The noise-contrastive objective of geometric entropy, and how alike two states are.

Reconstructed: derived from what the abstract of Guo et al. 2021 (arXiv 2101.02055) states; see this folder's README.
"""

import chex
import jax
import jax.numpy as jnp

from acme_agents.core import masks
from acme_agents.core.types import Array

_DOUBT = 0.01  # of the classifier of adjacent pairs, where both states are the same: its loss stays finite


def squared_distances(x: Array, y: Array) -> Array:
    """`||x_i - y_j||^2`: [N, M] float32, of [N, E] and [M, E]."""
    chex.assert_rank([x, y], 2)
    inner = jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)
    return jnp.maximum(jnp.sum(x**2, axis=1)[:, None] + jnp.sum(y**2, axis=1)[None] - 2.0 * inner, 0.0)


def gaussian(squared: Array, bandwidth: Array | float) -> Array:
    """`g = exp(-d^2 / (2 h^2))`, in [0, 1] and 1 for equal states; elementwise, of squared distances."""
    return jnp.exp(-squared / (2.0 * bandwidth**2))


def entropy(log_rarity: Array, similarity: Array, counts: Array, pairs: Array) -> Array:
    """`mean_i u_i - mean_{i, j} exp(u_i) g_ij + 1`: the geometric entropy, in nats, at the best u, and less at others.

    The best u is the log of `f(s) = 1 / E_{s'} g(s, s')` of the law that the states are drawn from. The first mean is
    over states, the data; the second over pairs of independent states, the noise.

    Args:
      log_rarity: [M] float32, u.
      similarity: [M, M] float32, g.
      counts: [M] bool, which states count.
      pairs: [M, M] bool, which pairs are of independent states that count.

    Returns:
      [] float32.
    """
    chex.assert_equal_shape([log_rarity, counts])
    chex.assert_equal_shape([similarity, pairs])
    noise = masks.mean_where(jnp.exp(log_rarity)[:, None] * similarity, pairs)
    return masks.mean_where(log_rarity, counts) - noise + 1.0


def crowding(log_rarity: Array, similarity: Array, pairs: Array) -> Array:
    """`E_{s'} f(s') g(s', s)`, what the gradient of the entropy at s takes off `log f(s)`; its mean over s is 1.

    Args:
      log_rarity: [M] float32, of states s' drawn from the law.
      similarity: [M, N] float32, of each with the states s.
      pairs: [M, N] bool, which pairs are independent.

    Returns:
      [N] float32, 0 for a state without a pair.
    """
    chex.assert_equal_shape([similarity, pairs])
    chex.assert_equal_shape_prefix([log_rarity, similarity], 1)
    total = jnp.sum(jnp.where(pairs, jnp.exp(log_rarity)[:, None] * similarity, 0.0), axis=0)
    return total / jnp.maximum(jnp.sum(pairs, axis=0), 1)


def adjacency(positive: Array, counts: Array, negative: Array, pairs: Array) -> Array:
    """Cross-entropy of telling pairs that follow each other within a few steps from independent ones.

    `-mean log p(positive) - mean log(1 - p(negative))` with `p = (1 - doubt) exp(-d^2)`, doubt = 0.01.

    Args:
      positive: [N] float32, squared distances of the embeddings of adjacent states. counts: [N] bool, which there are.
      negative: [M, M] float32, of pairs of independent states. pairs: [M, M] bool, which there are.

    Returns:
      [] float32, in nats.
    """
    chex.assert_equal_shape([positive, counts])
    chex.assert_equal_shape([negative, pairs])
    near = positive - jnp.log1p(-_DOUBT)
    far = -jnp.log1p(-(1.0 - _DOUBT) * jnp.exp(-negative))
    return masks.mean_where(near, counts) + masks.mean_where(far, pairs)


def followers(valid: Array, batch: Array, row: Array, offset: Array) -> tuple[Array, Array]:
    """The rows some steps behind others, and whether an episode leads there.

    Args:
      valid: [B, T] bool, whether row t has a transition, to row t + 1.
      batch: [M] int32. row: [M] int32, 0 .. T - 1, of each state. offset: [M] int32, steps from there.

    Returns:
      The row [M] int32, at most T, and [M] bool.
    """
    chex.assert_equal_shape([batch, row, offset])
    so_far = jnp.pad(jnp.cumsum(valid, axis=1), ((0, 0), (1, 0)))  # [B, T + 1], transitions before each row
    later = jnp.minimum(row + offset, valid.shape[1])
    return later, so_far[batch, later] - so_far[batch, row] == offset
