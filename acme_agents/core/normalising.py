"""What on-policy agents normalise: observations, by all learned from, and rewards, by the discounted returns."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from acme_agents.core import returns, running
from acme_agents.core.running import Moments
from acme_agents.core.types import Array, ArraySpec, EnvironmentSpec, Observation, Step

_OBSERVATION_LIMIT = 10.0  # of normalised observations
_REWARD_LIMIT = 10.0  # of normalised rewards


class Scale(NamedTuple):
    """How an observation is normalised: trees like the observation, an empty tuple for what is left alone."""

    mean: Any
    stddev: Any


def init_moments(spec: EnvironmentSpec, *, enabled: bool) -> Any:
    """The moments of each leaf of an observation, an empty tuple for leaves that are left alone.

    Images and grids are, and with `enabled` false all.
    """

    def init(leaf: ArraySpec) -> Any:
        is_picture = len(leaf.shape) == 3 and leaf.dtype in ("uint8", "float32")  # see `torsos.encode`
        return running.init(leaf.shape) if enabled and not is_picture else ()

    return jax.tree.map(init, spec.observation)


def add_to_moments(moments: Any, observation: Observation, counts: Array | None = None) -> Any:
    """The moments with the observations of unrolls, [B, T + 1, *O]; the last row is the next unroll's first.

    Args:
      moments: of `init_moments`.
      observation: the unrolls'.
      counts: [B, T] bool, which rows count; None for all.
    """

    def add(x: Array, moments: Any) -> Any:
        if not moments:
            return ()
        rows = x[:, :-1].reshape(-1, *x.shape[2:]).astype(jnp.float32)
        return running.add(moments, rows, jnp.ones(rows.shape[0], bool) if counts is None else counts.reshape(-1))

    return jax.tree.map(add, observation, moments)


def scale_of(moments: Any, spec: EnvironmentSpec) -> Scale:
    """What actors need of the moments."""
    means = jax.tree.map(lambda _, m: m.mean if m else (), spec.observation, moments)
    return Scale(means, jax.tree.map(lambda _, m: running.stddev(m) if m else (), spec.observation, moments))


def normalise(observation: Observation, scale: Scale) -> Observation:
    """The observation [..., *O] as the networks see it."""

    def one(x: Array, mean: Any, stddev: Any) -> Array:
        if isinstance(mean, tuple):  # It is left alone.
            return x
        return running.normalise(x, mean, stddev, limit=_OBSERVATION_LIMIT)

    return jax.tree.map(one, observation, scale.mean, scale.stddev)


def rewards(moments: Moments, steps: Step, *, gamma: float, enabled: bool) -> tuple[Array, Array, Moments]:
    """Rewards divided by the deviation of all discounted returns so far, these included, and clipped to 10.

    Args:
      moments: of the discounted returns so far.
      steps: of unrolls, [B, T + 1, ...]. If enabled, its extras have `return_so_far`, `sum_i gamma^i r_{t-i}` of the
        episode before each reward; the first row's is used, because a bonus may have changed the unroll's rewards.
      gamma: the agent's discount, per step.
      enabled: whether to normalise; otherwise the deviation is 1.

    Returns:
      The rewards [B, T], 0 in rows without a transition, the deviation [], and the moments with these returns.
    """
    valid = ~steps.last[:, :-1]
    reward = jnp.where(valid, steps.reward[:, :-1], 0.0)
    if not enabled:
        return reward, running.stddev(moments), moments
    so_far = returns.so_far(reward, valid, gamma=gamma, first=steps.extras.return_so_far[:, 0])
    moments = running.add(moments, so_far.reshape(-1), valid.reshape(-1))
    scale = running.stddev(moments)
    return jnp.clip(reward / scale, -_REWARD_LIMIT, _REWARD_LIMIT), scale, moments
