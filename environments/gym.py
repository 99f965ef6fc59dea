"""Gymnasium environments, canonical.

Actions: a bounded float Box becomes [-1, 1] float32; a Discrete becomes int32 from 0, whatever it starts from.
Observations: a Box of uint8 (pixels) stays as it is, any other Box and MultiBinary become float32, a Discrete becomes a
one-hot float32 vector, and a Dict a dict of these. Every other space is refused.
A MiniGrid or BabyAI task observes as `environments.minigrid` says.
Endings: termination gives discount 0, truncation keeps discount 1; both at once is a termination.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable
from typing import Any

import dm_env
import gymnasium
import numpy as np
from gymnasium import spaces

from acme_agents.core import errors
from environments import rendering

# What registers the ids that begin so, which need no MODULE before them.
_MODULES = {"MiniGrid-": "minigrid", "BabyAI-": "minigrid", "ALE/": "ale_py"}


def names() -> list[str]:
    """Returns the ids that are registered now, after importing the packages that need not be named."""
    for module in _MODULES.values():
        importlib.import_module(module)
    return list(gymnasium.registry)


def problem(name: str) -> str | None:
    """Returns what is wrong with `ID` or `MODULE:ID`, or None."""
    module, _, environment_id = name.rpartition(":")
    module = module or next((known for start, known in _MODULES.items() if environment_id.startswith(start)), "")
    try:
        if module:
            importlib.import_module(module)
        gymnasium.spec(environment_id)
    except gymnasium.error.Error:
        close = difflib.get_close_matches(environment_id, names())
        hint = (
            f"did you mean {' or '.join(close)}?"
            if close
            else "and if a package registers it, the package goes first: gym:my_env:Mine-v0."
        )
        return f"Gymnasium has no id {environment_id!r}, {hint}"
    except Exception as error:  # A module's import can raise anything.
        return f"importing {module!r} failed with {type(error).__name__}: {error}."
    return None


def make(name: str, seed: int, *, render: bool = False) -> Gym:
    """Makes `ID`, which `problem` has found to be known, or `MODULE:ID`; its first reset is seeded with `seed`.

    Raises:
      ValueError: if it cannot be made, as where it needs a package that is not installed, or its observation or action
        space cannot be made canonical.
    """
    backend = rendering.enable() if render else None
    mode = "rgb_array" if render else None
    # The checker warns about an environment's first steps, and slows all of them.
    try:
        environment = gymnasium.make(name, render_mode=mode, disable_env_checker=True)
    except Exception as error:  # An environment's constructor can raise anything.
        raise errors.UserError(f"Gymnasium cannot make {name!r}: {error}") from error
    if "minigrid" in sys.modules:
        environment = importlib.import_module("environments.minigrid").with_planes(environment)
    needs_gl = "mujoco" in type(environment.unwrapped).__module__
    no_gl = rendering.NO_GL if needs_gl and not backend else None
    return Gym(environment, seed, unrenderable=no_gl if render else rendering.NOT_ASKED)


class Gym(dm_env.Environment):
    """A `gymnasium.Env` as a canonical `dm_env.Environment`."""

    def __init__(self, environment: gymnasium.Env, seed: int, unrenderable: str | None = None):
        """Wraps an environment; `unrenderable` says why it cannot render, if it cannot.

        Raises:
          ValueError: if its observation or action space cannot be made canonical.
        """
        self._environment = environment
        self._seed: int | None = seed
        self._unrenderable = unrenderable
        self._reset_next_step = True
        self._observation_spec, self._observe = _observation(environment.observation_space)
        self._action_spec, self._act = _action(environment.action_space)
        self.action_bounds = _bounds(environment.action_space)

    def reset(self) -> dm_env.TimeStep:
        observation, _ = self._environment.reset(seed=self._seed)
        self._seed = None  # A second reset with the same seed would repeat the first episode.
        self._reset_next_step = False
        return dm_env.restart(self._observe(observation))

    def step(self, action: Any) -> dm_env.TimeStep:
        """Takes one step, or resets after a last one.

        Args:
          action: [*A] clipped to [-1, 1], or one of 0 .. num_values - 1.

        Raises:
          ValueError: if a continuous action has another shape, or a discrete one is out of range.
        """
        if self._reset_next_step:
            return self.reset()
        observation, reward, terminated, truncated, _ = self._environment.step(self._act(action))
        self._reset_next_step = bool(terminated or truncated)
        return dm_env.TimeStep(
            dm_env.StepType.LAST if self._reset_next_step else dm_env.StepType.MID,
            np.float32(reward),
            np.float32(0 if terminated else 1),
            self._observe(observation),
        )

    def observation_spec(self) -> Any:
        return self._observation_spec

    def action_spec(self) -> dm_env.specs.BoundedArray:
        return self._action_spec

    def reward_spec(self) -> dm_env.specs.Array:
        return dm_env.specs.Array((), np.float32, name="reward")

    def discount_spec(self) -> dm_env.specs.BoundedArray:
        return dm_env.specs.BoundedArray((), np.float32, 0.0, 1.0, name="discount")

    def render(self) -> np.ndarray:
        """Returns Gymnasium's `rgb_array`, [H, W, 3] uint8; raises RuntimeError if there is none."""
        if self._unrenderable:
            raise RuntimeError(self._unrenderable)
        try:
            frame = self._environment.render()
        except (gymnasium.error.Error, NotImplementedError) as error:
            raise RuntimeError(f"{self._environment} cannot render: {error}") from error
        if not isinstance(frame, np.ndarray):
            raise RuntimeError(f"{self._environment} cannot render: it returned {type(frame).__name__} for a picture.")
        return frame

    def close(self) -> None:
        self._environment.close()


def _bounds(space: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns the lowest and the highest action of a space that `_action` takes."""
    if isinstance(space, spaces.Discrete):
        return (int(space.start),), (int(space.start + space.n - 1),)
    return tuple(space.low.ravel().tolist()), tuple(space.high.ravel().tolist())


def _observation(space: spaces.Space) -> tuple[Any, Callable[[Any], Any]]:
    """Returns the spec of a space's canonical observations, and the function that makes an observation canonical."""
    if isinstance(space, spaces.Dict):
        parts = {key: _observation(subspace) for key, subspace in space.spaces.items()}
        return {key: spec for key, (spec, _) in parts.items()}, lambda observation: {
            key: convert(observation[key]) for key, (_, convert) in parts.items()
        }
    if isinstance(space, spaces.Discrete):
        n, start = int(space.n), int(space.start)

        def one_hot(observation: Any) -> np.ndarray:
            vector = np.zeros(n, np.float32)
            vector[int(observation) - start] = 1
            return vector

        return dm_env.specs.Array((n,), np.float32), one_hot
    if isinstance(space, (spaces.Box, spaces.MultiBinary)):
        pixels = isinstance(space, spaces.Box) and space.dtype == np.uint8
        dtype = np.uint8 if pixels else np.float32
        # A copy, for environments that write their next observation into the same array.
        return dm_env.specs.Array(space.shape, dtype), lambda observation: np.array(observation, dtype)
    raise errors.UserError(
        f"Observations must be Box, Discrete, MultiBinary or a Dict of these, and this space is {space}."
    )


def _action(space: spaces.Space) -> tuple[dm_env.specs.BoundedArray, Callable[[Any], Any]]:
    """Returns the spec of a space's canonical actions, and the function from a canonical action to the space's own."""
    if isinstance(space, spaces.Discrete):
        n, start = int(space.n), int(space.start)

        def shift(action: Any) -> int:
            index = int(action)
            if not 0 <= index < n:
                raise errors.UserError(f"Expected an action from 0 to {n - 1}, got {index}.")
            return index + start

        return dm_env.specs.DiscreteArray(n, np.int32, name="action"), shift
    if not isinstance(space, spaces.Box) or not np.issubdtype(space.dtype, np.floating):
        raise errors.UserError(f"Actions must be Discrete or a Box of floats, and this space is {space}.")
    if not space.is_bounded():
        raise errors.UserError(f"Actions must be bounded to be rescaled from [-1, 1], and this space is {space}.")
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    scale, offset = (high - low) / 2, (high + low) / 2

    def rescale(action: Any) -> np.ndarray:
        action = np.asarray(action)
        if action.shape != low.shape:
            raise errors.UserError(f"Expected an action of shape {low.shape}, got {action.shape}.")
        scaled = np.clip(action, -1, 1) * scale + offset
        return np.clip(scaled, low, high).astype(space.dtype)  # Clipped again, because the arithmetic rounds.

    return dm_env.specs.BoundedArray(space.shape, np.float32, -1.0, 1.0, name="action"), rescale
