"""Bodies: the LayerNorm network's layers, and every kind of observation made one vector."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.core import torsos
from acme_agents.core.types import ArraySpec, EnvironmentSpec

ACTION = ArraySpec((1,))


def _transform(function):
    net = hk.without_apply_rng(hk.transform(function))
    return net._replace(init=jax.jit(net.init), apply=jax.jit(net.apply))


def _encoder(observation_spec):
    return _transform(lambda o: torsos.encode(o, EnvironmentSpec(observation_spec, ACTION)))


@pytest.mark.parametrize("sizes", [(4,), (4, 5), (4, 5, 6)])
def test_layer_norm_mlp_has_a_layer_of_each_size(sizes):
    net = _transform(lambda x: torsos.layer_norm_mlp(x, sizes))
    params = net.init(jax.random.PRNGKey(0), jnp.zeros((1, 3)))
    linear = [module["w"].shape for name, module in params.items() if name.startswith("linear")]
    assert linear == list(zip((3, *sizes), sizes))
    assert {k: v.shape for k, v in params["layer_norm"].items()} == {"scale": (4,), "offset": (4,)}
    assert net.apply(params, jnp.zeros((7, 3))).shape == (7, sizes[-1])
    assert net.apply(params, jnp.zeros((2, 7, 3))).shape == (2, 7, sizes[-1])


def test_layer_norm_mlp_by_hand():
    net = _transform(lambda x: torsos.layer_norm_mlp(x, (2, 2)))
    x = jnp.array([[3.0, 1.0]])
    params = net.init(jax.random.PRNGKey(0), x)
    identity = {"w": jnp.eye(2), "b": jnp.zeros(2)}
    # (3, 1) normalised is (1, -1); then tanh; then ELU, which is exp(x) - 1 below zero.
    params = params | {"linear": identity, "linear_1": identity}
    t = np.tanh(1.0)
    np.testing.assert_allclose(net.apply(params, x), [[t, np.exp(-t) - 1]], rtol=1e-4)


def test_linear_layers_start_uniform_within_one_over_the_root_of_the_width():
    # VarianceScaling(1/3, fan_out, uniform): limit sqrt(3 (1/3) / width) = 1 / sqrt(width).
    net = _transform(lambda x: torsos.layer_norm_mlp(x, (64, 256)))
    params = net.init(jax.random.PRNGKey(0), jnp.zeros((1, 100)))
    for name, width in (("linear", 64), ("linear_1", 256)):
        w = np.abs(params[name]["w"])
        assert 0.99 / np.sqrt(width) < w.max() <= 1 / np.sqrt(width)
        np.testing.assert_allclose(w.mean(), 0.5 / np.sqrt(width), rtol=0.05)


def test_encode_concatenates_vectors_in_the_order_of_the_tree():
    spec = {"b": ArraySpec((2, 2)), "a": {"x": ArraySpec(()), "y": ArraySpec((1,), "int32")}}
    observation = {
        "b": jnp.array([[[1.0, 2.0], [3.0, 4.0]]] * 2),
        "a": {"x": jnp.array([5.0, 6.0]), "y": jnp.array([[7], [8]], jnp.int32)},
    }
    net = _encoder(spec)
    features = net.apply(net.init(jax.random.PRNGKey(0), observation), observation)
    assert features.dtype == jnp.float32
    np.testing.assert_array_equal(features, [[5, 7, 1, 2, 3, 4], [6, 8, 1, 2, 3, 4]])


def test_encode_leaves_float64_and_uint8_vectors_as_numbers():
    # Only uint8 of rank three is an image.
    net = _encoder({"bytes": ArraySpec((3,), "uint8"), "map": ArraySpec((2, 2), "uint8")})
    observation = {"bytes": jnp.array([[0, 128, 255]], jnp.uint8), "map": jnp.array([[[1, 2], [3, 4]]], jnp.uint8)}
    params = net.init(jax.random.PRNGKey(0), observation)
    assert params == {}
    features = net.apply(params, observation)
    assert features.dtype == jnp.float32
    np.testing.assert_array_equal(features, [[0, 128, 255, 1, 2, 3, 4]])


@pytest.mark.parametrize(
    ("shape", "num_features"),
    [
        ((84, 84, 3), 11 * 11 * 64),  # 84 -> 21 -> 11 -> 11, padded, strides 4, 2, 1
        ((16, 16, 1), 4 * 4 * 64),  # 16 -> 8 (stride 2) -> 4 (stride 2) -> 4
        ((1, 1, 1), 64),
        ((5, 9, 2), 5 * 9 * 64),  # too small for any stride
    ],
)
def test_encode_shrinks_images_as_far_as_they_allow(shape, num_features):
    net = _encoder(ArraySpec(shape, "uint8"))
    image = jnp.zeros((2, *shape), jnp.uint8)
    features = jax.eval_shape(lambda key: net.apply(net.init(key, image), image), jax.random.PRNGKey(0))
    assert features.shape == (2, num_features)
    assert features.dtype == jnp.float32


def test_encode_mixes_images_and_vectors_and_scales_the_images():
    spec = {"image": ArraySpec((8, 8, 3), "uint8"), "vector": ArraySpec((2,))}
    net = _encoder(spec)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 8, 8, 3))
    observation = {"image": jnp.array(images, jnp.uint8), "vector": jnp.array([[1.0, 2.0], [3.0, 4.0]])}
    params = net.init(jax.random.PRNGKey(0), observation)
    features = net.apply(params, observation)
    np.testing.assert_array_equal(features[:, -2:], [[1, 2], [3, 4]])
    assert np.abs(features[0, :-2] - features[1, :-2]).max() > 1e-3  # the image is seen

    # With zero biases the convolutions and ReLUs are positively homogeneous, so a brighter image scales the features.
    half = observation | {"image": jnp.array(images // 2 * 2 // 2, jnp.uint8)}
    double = observation | {"image": jnp.array(images // 2 * 2, jnp.uint8)}
    np.testing.assert_allclose(
        net.apply(params, double)[:, :-2], 2 * net.apply(params, half)[:, :-2], rtol=1e-4, atol=1e-6
    )
    assert np.abs(features[:, :-2]).max() < 10  # of [0, 1] inputs; 0 .. 255 would give hundreds


def test_encode_lets_a_grids_cells_see_their_neighbours():
    net = _encoder(ArraySpec((7, 7, 20)))
    rng = np.random.default_rng(0)
    grid = jnp.array(rng.integers(0, 2, (1, 7, 7, 20)), jnp.float32)
    params = net.init(jax.random.PRNGKey(0), grid)
    before = net.apply(params, grid).reshape(7, 7, 16)
    after = net.apply(params, grid.at[0, 3, 3].set(1.0 - grid[0, 3, 3])).reshape(7, 7, 16)
    changed = np.any(before != after, axis=-1)
    np.testing.assert_array_equal(changed, np.pad(np.ones((5, 5), bool), 1))  # two cells in every direction

    # Neither numbers of rank two nor integers are grids.
    flat = {"map": ArraySpec((2, 2)), "counts": ArraySpec((2, 2, 2), "int32")}
    zeros = torsos.zeros_like(flat)
    assert _encoder(flat).init(jax.random.PRNGKey(0), zeros) == {}


def test_encode_takes_any_leading_dimensions():
    spec = {"grid": ArraySpec((3, 3, 2)), "image": ArraySpec((8, 8, 3), "uint8"), "speed": ArraySpec(())}
    rng = np.random.default_rng(0)
    observation = {
        "grid": jnp.array(rng.normal(size=(2, 5, 3, 3, 2)), jnp.float32),
        "image": jnp.array(rng.integers(0, 256, (2, 5, 8, 8, 3)), jnp.uint8),
        "speed": jnp.array(rng.normal(size=(2, 5)), jnp.float32),
    }
    net = _encoder(spec)
    params = net.init(jax.random.PRNGKey(0), torsos.zeros_like(spec))
    features = net.apply(params, observation)
    assert features.shape[:2] == (2, 5)
    for b in range(2):
        row = net.apply(params, jax.tree.map(lambda x, b=b: x[b], observation))
        np.testing.assert_allclose(features[b], row, atol=1e-6)
    single = net.apply(params, jax.tree.map(lambda x: x[1, 3], observation))
    np.testing.assert_allclose(features[1, 3], single, atol=1e-6)


def test_zeros_like_is_a_batch_of_one():
    zeros = torsos.zeros_like({"image": ArraySpec((2, 2, 1), "uint8"), "vector": ArraySpec((3,))})
    assert zeros["image"].shape == (1, 2, 2, 1)
    assert zeros["image"].dtype == np.uint8
    assert zeros["vector"].shape == (1, 3)
    assert zeros["vector"].dtype == np.float32
