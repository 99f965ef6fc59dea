"""Specs, and episodes of them whose every number is known."""

import jax
import numpy as np

from acme_agents.core.types import ArraySpec, EnvironmentSpec, Trajectory

SPEC = EnvironmentSpec(ArraySpec((2,)), ArraySpec((1,)))


def values(spec, length, rng):
    if isinstance(spec, dict):
        return {key: values(item, length, rng) for key, item in spec.items()}
    if spec.num_values:
        return rng.integers(spec.num_values, size=(length, *spec.shape)).astype(spec.dtype)
    if spec.dtype == "uint8":
        return rng.integers(256, size=(length, *spec.shape)).astype(np.uint8)
    return rng.uniform(-1, 1, size=(length, *spec.shape)).astype(spec.dtype)


def episode(spec=SPEC, length=3, final_discount=0.0, seed=0, reward=None):
    """Random values; discounts 1 and at last `final_discount`."""
    rng = np.random.default_rng((seed, length))
    discount = np.ones(length, np.float32)
    discount[-1] = final_discount
    rewards = values(spec.reward, length, rng)
    if reward is not None:
        rewards[:] = 0
        rewards[-1] = reward
    return Trajectory(values(spec.observation, length + 1, rng), values(spec.action, length, rng), rewards, discount)


def episodes(spec=SPEC, num=4):
    """Episodes of 1, 2, 3 ... steps; every other one terminated, the rest were cut short."""
    return [episode(spec, number + 1, final_discount=number % 2, seed=number) for number in range(num)]


def assert_same(found, expected):
    """Every bit, dtype and key."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        assert jax.tree.structure(one) == jax.tree.structure(other)
        for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other)):
            assert (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, np.ascontiguousarray(y).tobytes())
