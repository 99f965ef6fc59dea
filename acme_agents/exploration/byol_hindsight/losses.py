"""The contrastive loss of BYOL-Hindsight (Jarrett et al. 2022, arXiv 2211.10515, as notes on it have it)."""

import chex
import jax
import jax.numpy as jnp

from acme_agents.core.types import Array, Key


def invariance(scores: Array) -> Array:
    """`L_inv = log(e^{c(x, a, z)} / (1/J sum_j e^{c(x, a, z_j)}))` of each row, the first candidate being its own z.

    An estimate of the pointwise mutual information of (x, a) and z, at most log J: the critic c makes it large, and the
    generator of z makes it small.

    Args:
      scores: [..., J] float32, c of the row's own z and of J - 1 others.

    Returns:
      [...] float32.
    """
    return scores[..., 0] - jax.nn.logsumexp(scores, axis=-1) + jnp.log(scores.shape[-1])


def total(reconstruction: Array, invariance: Array, divisor: float) -> Array:
    """`L_rec / lambda + L_inv`, elementwise: what all but the critic minimise, and what is paid."""
    chex.assert_equal_shape([reconstruction, invariance])
    return reconstruction / divisor + invariance


def candidates(key: Key, hindsight: Array, there: Array, number: int) -> Array:
    """Each row's own z, and those of J - 1 random rows with the same k: [B, T, K, J, Z].

    Args:
      key: random key.
      hindsight: [B, T, K, Z], z.
      there: [B, T, K] bool, which rows there are; others are candidates for none.
      number: J.
    """
    chex.assert_equal_shape_prefix([hindsight, there], 3)
    batch_size, num_rows, horizon = there.shape
    size = batch_size * num_rows

    def of_step(key: Key, values: Array, exists: Array) -> Array:
        """Of one k: values [N, Z], exists [N]."""
        order = jnp.argsort(~exists)  # those that exist first
        rank = jax.random.randint(key, (size, number - 1), 0, jnp.maximum(jnp.sum(exists), 1))
        others = values[order[rank]]  # [N, J - 1, Z]
        return jnp.concatenate([values[:, None], others], axis=1)

    flat = jnp.moveaxis(hindsight.reshape(size, horizon, -1), 1, 0)  # [K, N, Z]
    found = jax.vmap(of_step)(jax.random.split(key, horizon), flat, there.reshape(size, horizon).T)
    return jnp.moveaxis(found, 0, 1).reshape(batch_size, num_rows, horizon, number, -1)
