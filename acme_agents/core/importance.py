"""Prioritised replay (Schaul et al. 2016, arXiv 1511.05952): priorities, and the weights that correct for them."""

import chex
import jax.numpy as jnp

from acme_agents.core.types import Array, SampleInfo


def weights(info: SampleInfo, exponent: float) -> Array:
    """The weight of each element of a batch: `w_i = (1 / p_i)^exponent`, over the largest of its source in the batch.

    The N of Schaul et al.'s `(1 / (N p_i))^beta` (section 3.4) cancels. Two sources may hold very different numbers of
    items; each is normalised separately, so that a small source keeps its weight beside a large one. That is ours: R2D3
    divides by the largest of the whole batch, which gives demonstrations less weight than their share (r2d3's README
    measures both).

    Args:
      info: of B elements.
      exponent: beta; 0 weighs all elements equally, 1 corrects in full for the priorities.

    Returns:
      [B] float32, in (0, 1].
    """
    chex.assert_rank([info.probability, info.source], 1)
    chex.assert_equal_shape([info.probability, info.source])
    same_source = info.source[:, None] == info.source[None, :]  # [B, B]
    least = jnp.min(jnp.where(same_source, info.probability[None, :], jnp.inf), axis=1)  # [B]
    return (least / info.probability) ** exponent


def sequence_priorities(errors: Array, valid: Array, max_share: float) -> Array:
    """A sequence's priority: `p = max_share max_t |delta_t| + (1 - max_share) mean_t |delta_t|`.

    Source: Kapturowski et al. 2019 (R2D2), section 2.3, with max_share = 0.9.

    Args:
      errors: [B, T] float32, temporal-difference errors.
      valid: [B, T] bool, which errors count; a sequence without any gets 0.
      max_share: eta, in [0, 1].

    Returns:
      [B] float32.
    """
    chex.assert_rank([errors, valid], 2)
    chex.assert_equal_shape([errors, valid])
    absolute = jnp.where(valid, jnp.abs(errors), 0.0)
    mean = jnp.sum(absolute, axis=1) / jnp.maximum(jnp.sum(valid, axis=1), 1)
    return max_share * jnp.max(absolute, axis=1) + (1.0 - max_share) * mean
