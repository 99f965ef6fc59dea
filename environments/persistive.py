"""Any pixel environment with noise that lasts and answers to actions: `persistive:NAME`.

The persistive noise of Curiosity in Hindsight (Jarrett et al. 2023, arXiv 2211.10515, appendix B.2, which adds it to
Montezuma's Revenge): `persistive:ale:MontezumaRevenge`. Each pixel has a random walk of its own, modulo 50, that is
added to it. In every step it moves up or down with equal chance, by 1 or by 11 depending on the parity of the last
action's number:

    noise_t = (noise_{t-1} + s(a_{t-1}) u_t) mod 50,   u_t in {-1, 1} for each pixel

From readers' notes of the appendix. **Unverified**: that even actions move it by 1 and odd ones by 11; that it begins
at 0 in every episode; that what exceeds 255 is cut off there. Colours of a pixel get the same noise. In a stack of
frames, such as Atari's four, each frame keeps the noise that it had when it was new, and before there are four the
first is repeated.

It takes a picture for its observation and discrete actions. A picture is [H, W, C] uint8.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import dm_env
import jax
import jax.numpy as jnp
import numpy as np

from acme_agents import environments
from acme_agents.core import errors
from acme_agents.core.types import Action, Array, ArraySpec, Key
from acme_agents.environments import pure, wrapping

_MODULUS = 50
_STEPS = (1, 11)  # After even actions, and after odd ones.
_SALT = 0x9E3779B9  # Apart from what the environment draws with the same seed.

problem = wrapping.problem


def make(name: str, seed: int, *, render: bool = False) -> dm_env.Environment:
    """Makes the environment NAME with noise on its pictures; `render` shows it without.

    Raises:
      UserError: its observation is not one picture, or its actions are not discrete.
    """
    functions = make_pure(name)
    if functions is not None:
        return pure.PureEnvironment(functions, seed)
    inner = environments.make(name, seed, render=render)
    try:
        return Persistive(inner, seed)
    except errors.UserError:
        inner.close()
        raise


def make_pure(name: str) -> pure.Pure | None:
    """Makes its functions, or returns None if NAME is not pure JAX.

    Raises:
      UserError: as `make`.
    """
    functions = environments.find_pure(name)
    return None if functions is None else noisy(functions)


class Persistive(wrapping.Wrapper):
    """An environment whose pictures carry noise; everything else is unchanged."""

    def __init__(self, environment: dm_env.Environment, seed: int):
        """Wraps a canonical environment, whose attribute `num_frames` says how many frames are stacked in a picture.

        Raises:
          UserError: its observation is not one picture, or its actions are not discrete.
        """
        super().__init__(environment)
        spec = environments.spec(environment)
        _check(spec.observation, spec.action)
        height, width, channels = spec.observation.shape
        self._num_frames = getattr(environment, "num_frames", 1)
        self._per_frame = channels // self._num_frames
        self._noise = np.zeros((height, width, self._num_frames), np.int32)  # Of each frame, the oldest first.
        self._seed_noise(seed)

    def reseed(self, seed: int) -> None:
        """Makes the episodes from the next reset on those of a new environment with this seed."""
        self._environment.reseed(seed)
        self._seed_noise(seed)

    def reset(self) -> dm_env.TimeStep:
        self._noise = np.zeros_like(self._noise)
        return self._noisy(self._environment.reset())

    def step(self, action: Any) -> dm_env.TimeStep:
        timestep = self._environment.step(action)
        if timestep.first():
            self._noise = np.zeros_like(self._noise)
        else:
            signs = 2 * self._rng.integers(0, 2, self._noise.shape[:2], np.int32) - 1
            newest = (self._noise[..., -1] + _STEPS[int(action) % 2] * signs) % _MODULUS
            self._noise = np.concatenate([self._noise[..., 1:], newest[..., None]], axis=-1)
        return self._noisy(timestep)

    def _noisy(self, timestep: dm_env.TimeStep) -> dm_env.TimeStep:
        noise = self._noise.repeat(self._per_frame, axis=-1)
        return timestep._replace(observation=np.minimum(timestep.observation + noise, 255).astype(np.uint8))

    def _seed_noise(self, seed: int) -> None:
        self._rng = np.random.default_rng((seed, _SALT))


class State(NamedTuple):
    """The state of a pure environment with noise."""

    state: pure.State
    noise: Array  # [H, W, 1] int32
    key: Key


def noisy(functions: pure.Pure) -> pure.Pure:
    """Pure functions whose pictures, of one frame each, carry noise.

    Raises:
      UserError: their observation is not one picture, or their actions are not discrete.
    """
    spec = functions.spec
    _check(spec.observation, spec.action)
    shape = (*spec.observation.shape[:2], 1)

    def seen(observation: Array, noise: Array) -> Array:
        return jnp.minimum(observation + noise, 255).astype(jnp.uint8)

    def init(key: Key) -> tuple[State, Array]:
        state, observation = functions.init(key)
        noise = jnp.zeros(shape, jnp.int32)
        return State(state, noise, jax.random.fold_in(key, _SALT)), seen(observation, noise)

    def step(before: State, action: Action) -> tuple[State, pure.TimeStep]:
        state, timestep = functions.step(before.state, action)
        key, sign_key = jax.random.split(before.key)
        signs = 2 * (jax.random.bits(sign_key, shape, jnp.uint8) & 1).astype(jnp.int32) - 1
        noise = (before.noise + jnp.asarray(_STEPS)[action % 2] * signs) % _MODULUS
        return State(state, noise, key), timestep._replace(observation=seen(timestep.observation, noise))

    return functions._replace(init=init, step=step)


def _check(observation: Any, action: ArraySpec) -> None:
    if not isinstance(observation, ArraySpec) or len(observation.shape) != 3 or observation.dtype != "uint8":
        raise errors.UserError("Persistive noise lies on a picture, and this environment's observation is none.")
    if action.num_values is None:
        raise errors.UserError("Persistive noise answers to discrete actions, and this environment's are continuous.")
