"""Network bodies: from an observation to features."""

from collections.abc import Sequence

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.types import Array, EnvironmentSpec, Observation

_MLP_INIT = hk.initializers.VarianceScaling(distribution="uniform", mode="fan_out", scale=1 / 3)


def layer_norm_mlp(inputs: Array, sizes: Sequence[int]) -> Array:
    """The control suite's body: Linear, LayerNorm, tanh, then Linear and ELU for each further size.

    Source: `LayerNormMLP` of Acme, with its initialiser (uniform, fan-out, scale 1/3).

    Args:
      inputs: [..., F] float32.
      sizes: width of each layer, at least one.

    Returns:
      [..., sizes[-1]] float32.
    """
    first, *rest = sizes
    x = hk.Linear(first, w_init=_MLP_INIT)(inputs)
    x = jnp.tanh(hk.LayerNorm(axis=-1, create_scale=True, create_offset=True)(x))
    for size in rest:
        x = jax.nn.elu(hk.Linear(size, w_init=_MLP_INIT)(x))
    return x


def encode(observation: Observation, spec: EnvironmentSpec) -> Array:
    """Turns any observation into one vector: images through a small convolutional net, the rest flattened.

    Args:
      observation: a pytree of [B, *O] arrays as `spec.observation` describes; uint8 leaves of rank three are images
        of 0 .. 255 and pass three convolutions, scaled to [0, 1].
      spec: the environment's spec.

    Returns:
      [B, F] float32, leaves in the pytree's order.
    """
    features = []
    for leaf, leaf_spec in zip(jax.tree.leaves(observation), jax.tree.leaves(spec.observation), strict=True):
        if leaf_spec.dtype == "uint8" and len(leaf_spec.shape) == 3:
            leaf = _convolutions(leaf.astype(jnp.float32) / 255.0)
        features.append(leaf.reshape(leaf.shape[0], -1).astype(jnp.float32))
    return jnp.concatenate(features, axis=-1)


def _convolutions(images: Array) -> Array:
    """[B, H, W, C] float32 to [B, H', W', 64]; strides shrink only as far as the image allows."""
    x = images
    for channels, kernel, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1)):
        side = min(x.shape[1:3])
        x = jax.nn.relu(hk.Conv2D(channels, min(kernel, side), min(stride, max(1, side // kernel)))(x))
    return x


def zeros_like(spec: object) -> object:
    """A batch of one, all zeros, for a pytree of `ArraySpec`: what network initialisation needs."""
    return jax.tree.map(lambda s: np.zeros((1, *s.shape), s.dtype), spec)
