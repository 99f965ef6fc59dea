"""Network bodies: from an observation to features."""

from collections.abc import Sequence

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.types import Array, EnvironmentSpec, Key, Observation

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


def relu_mlp(
    inputs: Array, sizes: Sequence[int], *, layer_norm: bool = False, dropout: float = 0.0, key: Key | None = None
) -> Array:
    """Layers of Linear and ReLU; in between, where asked for, dropout and then LayerNorm (DroQ, arXiv 2110.02034).

    Args:
      inputs: [..., F] float32.
      sizes: width of each layer, at least one.
      layer_norm: whether each layer has a LayerNorm.
      dropout: chance that a unit is left out.
      key: of the dropout; None leaves nothing out.

    Returns:
      [..., sizes[-1]] float32.
    """
    x = inputs
    for i, size in enumerate(sizes):
        x = hk.Linear(size)(x)
        if dropout and key is not None:
            x = hk.dropout(jax.random.fold_in(key, i), dropout, x)
        if layer_norm:
            x = hk.LayerNorm(axis=-1, create_scale=True, create_offset=True)(x)
        x = jax.nn.relu(x)
    return x


def encode(observation: Observation, spec: EnvironmentSpec, *, normalised: bool = False) -> Array:
    """Turns any observation into one vector: images and grids through a small convolutional net, the rest flattened.

    Args:
      observation: a pytree of [..., *O] arrays as `spec.observation` describes, with any leading dimensions, the same
        for all leaves. uint8 leaves of rank three are images of 0 .. 255 and pass three convolutions, scaled to [0, 1];
        float32 leaves of rank three are grids of features, such as one-hot planes, and pass two, which keep their size.
      spec: the environment's spec.
      normalised: whether images are of normalised numbers rather than of 0 .. 255.

    Returns:
      [..., F] float32, leaves in the pytree's order.
    """
    features = []
    for leaf, leaf_spec in zip(jax.tree.leaves(observation), jax.tree.leaves(spec.observation), strict=True):
        leading = leaf.shape[: leaf.ndim - len(leaf_spec.shape)]
        leaf = leaf.reshape(-1, *leaf_spec.shape)
        if len(leaf_spec.shape) == 3 and leaf_spec.dtype == "uint8":
            leaf = _image_convolutions(leaf.astype(jnp.float32) / (1.0 if normalised else 255.0))
        elif len(leaf_spec.shape) == 3 and leaf_spec.dtype == "float32":
            leaf = _grid_convolutions(leaf)
        features.append(leaf.reshape(*leading, -1).astype(jnp.float32))
    return jnp.concatenate(features, axis=-1)


def _image_convolutions(images: Array) -> Array:
    """[B, H, W, C] float32 to [B, H', W', 64]; strides shrink only as far as the image allows."""
    x = images
    for channels, kernel, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1)):
        side = min(x.shape[1:3])
        x = jax.nn.relu(hk.Conv2D(channels, min(kernel, side), min(stride, max(1, side // kernel)))(x))
    return x


def _grid_convolutions(grids: Array) -> Array:
    """[N, H, W, C] float32 to [N, H, W, 16]: every cell sees its neighbours, and theirs."""
    x = grids
    for _ in range(2):
        x = jax.nn.relu(hk.Conv2D(16, 3)(x))
    return x


def zeros_like(spec: object) -> object:
    """A batch of one, all zeros, for a pytree of `ArraySpec`: what network initialisation needs."""
    return jax.tree.map(lambda s: np.zeros((1, *s.shape), s.dtype), spec)
