"""Gymnasium environments, canonical.

Actions: a bounded float Box becomes [-1, 1] float32; a Discrete becomes int32 from 0, whatever it starts from.
Observations: pictures become [H, W, C] uint8 whatever their layout, as `acme_agents.core.pictures` says, any other Box
and MultiBinary become float32, a Discrete becomes a one-hot float32 vector, and a Dict a dict of these. Every other
space is refused, and so is an observation that is not in its space.
A MiniGrid or BabyAI task observes as `environments.minigrid` says.
Endings: termination gives discount 0, truncation keeps discount 1; both at once is a termination.
"""

from __future__ import annotations

import difflib
import importlib
import operator
import sys
from collections.abc import Callable, Iterator
from typing import Any

import dm_env
import gymnasium
import numpy as np
from gymnasium import spaces

from acme_agents.core import errors, pictures
from acme_agents.environments import rendering

# Packages that register the ids with these prefixes; such ids need no MODULE.
_MODULES = {"MiniGrid-": "minigrid", "BabyAI-": "minigrid", "ALE/": "ale_py"}
# Names of the limit, as argument or attribute, in environments that count their steps themselves.
_LIMITS = (
    "max_episode_steps",
    "_max_episode_steps",
    "max_steps",
    "max_num_frames_per_episode",
    "time_limit",
    "horizon",
)


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
    except ModuleNotFoundError as error:
        return f"importing {module!r} failed with {type(error).__name__}: {error}."
    except Exception as error:  # A module's import can raise anything.
        raise errors.EnvironmentFault(f"importing {module!r} raised {type(error).__name__}: {error}") from error
    return None


def make(name: str, seed: int, *, render: bool = False) -> Gym:
    """Makes `ID`, which `problem` has found to be known, or `MODULE:ID`; its first reset is seeded with `seed`.

    Raises:
      UserError: Gymnasium cannot make it, as where it needs a package that is not installed, or takes no render_mode
        and pictures are asked for; or its observation or action space cannot be made canonical.
      EnvironmentFault: its constructor raised.
    """
    backend = rendering.enable() if render else None
    mode: dict[str, Any] = {"render_mode": "rgb_array"} if render else {}
    # The checker warns about an environment's first steps, and slows all of them.
    try:
        environment = gymnasium.make(name, disable_env_checker=True, **mode)
    except Exception as error:  # An environment's constructor can raise anything.
        if isinstance(error, (gymnasium.error.Error, ImportError)) or _is_gymnasiums(error):
            raise errors.UserError(f"Gymnasium cannot make {name!r}: {error}") from error
        what = f"{type(error).__name__}: {error}"
        fault = errors.EnvironmentFault(f"the constructor of gym:{name} raised {what}")
        raise fault from (error.__cause__ or error)  # Gymnasium wraps a TypeError in another.
    try:
        if "minigrid" in sys.modules:
            environment = importlib.import_module("acme_agents.environments.minigrid").with_planes(environment)
        needs_gl = "mujoco" in type(environment.unwrapped).__module__
        no_gl = rendering.NO_GL if needs_gl and not backend else None
        return Gym(environment, seed, unrenderable=no_gl if render else rendering.NOT_ASKED)
    except errors.UserError:
        environment.close()
        raise


class Gym(dm_env.Environment):
    """A `gymnasium.Env` as a canonical `dm_env.Environment`."""

    def __init__(self, environment: gymnasium.Env, seed: int, unrenderable: str | None = None):
        """Wraps an environment; `unrenderable` says why it cannot render, if it cannot.

        Raises:
          UserError: if its observation or action space cannot be made canonical.
        """
        self._environment = environment
        self._seed: int | None = seed
        self._unrenderable = unrenderable
        self._reset_next_step = True
        self._notes: list[str] = []
        space = environment.observation_space
        self._observation_spec, self.canonical_observation = _observation(space, notes=self._notes)
        self._action_spec, self.native_action = _action(environment.action_space)
        self.action_bounds = _bounds(environment.action_space)

    @property
    def notes(self) -> tuple[str, ...]:
        """How its observations are interpreted, if they are changed at all."""
        return tuple(self._notes)

    @property
    def has_time_limit(self) -> bool:
        """Whether it declares a limit: in its registration, as a wrapper, or by an argument or attribute."""
        layers = list(_layers(self._environment))
        spec = self._environment.spec
        if (spec is not None and spec.max_episode_steps) or any(map(_is_time_limit, layers)):
            return True
        arguments = {} if spec is None else spec.kwargs
        return any(arguments.get(name) or _is_number(getattr(layers[-1], name, None)) for name in _LIMITS)

    @property
    def num_frames(self) -> int:
        """How many frames a wrapper of Gymnasium's stacks in an observation; 1 if there is none."""
        stacks = [each for each in _layers(self._environment) if isinstance(each, _Stack)]
        return stacks[0].stack_size if stacks else 1

    def reseed(self, seed: int) -> None:
        """Makes the episodes from the next reset on those of a new environment with this seed."""
        self._seed = seed

    @property
    def frames_per_second(self) -> float | None:
        """Steps in a second, as the environment declares; None if it does not."""
        return self._environment.metadata.get("render_fps")

    def reset(self) -> dm_env.TimeStep:
        """Begins an episode.

        Raises:
          EnvironmentFault: what it returned is not Gymnasium's two values, or the observation is not in its space.
        """
        if self._seed is not None:
            for layer in _layers(self._environment):  # Spaces have their own generators.
                layer.observation_space.seed(self._seed)
                layer.action_space.seed(self._seed)
        returned = self._environment.reset(seed=self._seed)
        if not (isinstance(returned, (tuple, list)) and len(returned) == 2):
            raise _fault(f"{_describe(returned)}, and Gymnasium's reset returns an observation and a dict")
        self._seed = None  # A second reset with the same seed would repeat the first episode.
        self._reset_next_step = False
        return dm_env.restart(self.canonical_observation(returned[0]))

    def step(self, action: Any) -> dm_env.TimeStep:
        """Takes one step, or resets after a last one.

        Args:
          action: [*A] clipped to [-1, 1], or one of 0 .. num_values - 1.

        Raises:
          UserError: a continuous action has another shape, or a discrete one is out of range.
          EnvironmentFault: what it returned is not Gymnasium's five values, the reward is not one number, or the
            observation is not in its space.
        """
        if self._reset_next_step:
            return self.reset()
        action = self.native_action(action)
        try:
            returned = self._environment.step(action)
        except ValueError as error:
            if "values to unpack" in str(error) and _is_gymnasiums(error):  # A wrapper's, such as TimeLimit's.
                raise _fault(f"something else than {_FIVE} ({error})") from error
            raise
        if not (isinstance(returned, (tuple, list)) and len(returned) == 5):
            raise _fault(f"{_describe(returned)}, and Gymnasium's step returns {_FIVE}")
        observation, reward, terminated, truncated, _ = returned
        self._reset_next_step = bool(terminated or truncated)
        return dm_env.TimeStep(
            dm_env.StepType.LAST if self._reset_next_step else dm_env.StepType.MID,
            _one_number(reward),
            np.float32(0 if terminated else 1),
            self.canonical_observation(observation),
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
        """Returns Gymnasium's `rgb_array`, [H, W, 3] uint8; raises UserError if there is none."""
        if self._unrenderable:
            raise errors.UserError(self._unrenderable)
        try:
            frame = self._environment.render()
        except (gymnasium.error.Error, NotImplementedError) as error:
            raise errors.UserError(f"{self._environment} cannot render: {error}") from error
        if not isinstance(frame, np.ndarray):
            returned = type(frame).__name__
            raise errors.UserError(f"{self._environment} cannot render: it returned {returned} for a picture.")
        return frame

    def close(self) -> None:
        self._environment.close()


def _bounds(space: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns the lowest and the highest action of a space that `_action` takes."""
    if isinstance(space, spaces.Discrete):
        return (int(space.start),), (int(space.start + space.n - 1),)
    return tuple(space.low.ravel().tolist()), tuple(space.high.ravel().tolist())


_FIVE = "five values: observation, reward, terminated, truncated and a dict"


_Stack = gymnasium.wrappers.FrameStackObservation


def _layers(environment: gymnasium.Env) -> Iterator[gymnasium.Env]:
    """Yields an environment's wrappers from the outermost on, and itself."""
    while isinstance(environment, gymnasium.Wrapper):
        yield environment
        environment = environment.env
    yield environment


def _is_time_limit(layer: gymnasium.Env) -> bool:
    return isinstance(layer, gymnasium.wrappers.TimeLimit)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and bool(0 < value < float("inf"))


def _is_gymnasiums(error: Exception) -> bool:
    """Whether an exception was raised by Gymnasium's own code about what it was given."""
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    trace = root.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = "" if trace is None else trace.tb_frame.f_globals.get("__name__", "")
    return module.startswith(("gymnasium.core", "gymnasium.wrappers", "gymnasium.envs.registration"))


def _fault(what: str) -> errors.EnvironmentFault:
    """The fault of a wrong value, which a restart does not mend."""
    return errors.EnvironmentFault(f"returned {what}", permanent=True)


def _describe(value: Any) -> str:
    """`a tuple of 4`, `a reward of shape [2]`: what a sentence calls a value."""
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    shape = np.shape(value) if isinstance(value, (np.ndarray, np.generic)) else ()
    return f"an array of shape {list(shape)}" if shape else f"{value!r:.60}"


def _one_number(reward: Any) -> np.float32:
    """Returns a reward that may come as a number of any type or as an array of one."""
    if type(reward) in (float, np.float64, np.float32):
        return np.float32(reward)
    array = np.asarray(reward)
    if array.size != 1 or array.dtype.kind not in "fiub":
        raise _fault(f"{_describe(reward)} for a reward, which is one number")
    return np.float32(array.reshape(()))


def _observation(
    space: spaces.Space, name: str = "observation", notes: list[str] | None = None
) -> tuple[Any, Callable[[Any], Any]]:
    """Returns the spec of a space's canonical observations, and the function that makes an observation canonical.

    Args:
      space: the observations'.
      name: what a message calls it: "observation['image']".
      notes: receives a sentence for each array that is changed.
    """
    if isinstance(space, spaces.Dict):
        parts = {key: _observation(subspace, f"{name}[{key!r}]", notes) for key, subspace in space.spaces.items()}

        def convert_all(observation: Any) -> dict[str, Any]:
            try:
                return {key: convert(observation[key]) for key, (_, convert) in parts.items()}
            except (KeyError, IndexError) as error:
                raise _fault(f"an {name} without {error}, which its space has") from error

        return {key: spec for key, (spec, _) in parts.items()}, convert_all
    if isinstance(space, spaces.Discrete):
        n, start = int(space.n), int(space.start)

        def one_hot(observation: Any) -> np.ndarray:
            try:
                value = operator.index(observation)
            except TypeError:  # It may be one number in an array, or a whole one among the floats.
                value = (
                    observation.item() if np.size(observation) == 1 and hasattr(observation, "item") else observation
                )
            if not isinstance(value, (int, float)) or not start <= value < start + n or value != int(value):
                raise _fault(f"{_describe(observation)} for an {name}, which is not in {space}")
            vector = np.zeros(n, np.float32)
            vector[int(value) - start] = 1
            return vector

        return dm_env.specs.Array((n,), np.float32), one_hot
    if isinstance(space, (spaces.Box, spaces.MultiBinary)):
        low, high = (space.low, space.high) if isinstance(space, spaces.Box) else (0, 1)
        taken = pictures.canonical(space.shape, space.dtype, low, high)
        if taken.note is not None and notes is not None:
            notes.append(f"{name}: {taken.note}")
        is_binary, is_uint8 = isinstance(space, spaces.MultiBinary), space.dtype == np.uint8

        def convert(observation: Any) -> np.ndarray:
            array = np.asarray(observation)
            if array.shape != space.shape or array.dtype.kind not in "fiub":
                raise _fault(f"{_describe(observation)} for an {name}, which is {_space(space)}")
            # A dtype other than bytes may hold numbers that would be cut off.
            is_whole = not (is_binary or (is_uint8 and array.dtype != np.uint8))
            if not (is_whole or ((array >= low) & (array <= high) & (array == np.rint(array))).all()):
                raise _fault(f"an {name} with {array.min()} to {array.max()}, which is {_space(space)}")
            try:
                return taken.convert(array)  # A copy, for environments that write the next one into the same array.
            except ValueError as error:
                raise _fault(f"an {name} with {error}, which is {_space(space)}") from error

        return dm_env.specs.Array(taken.shape, np.dtype(taken.dtype)), convert
    raise errors.UserError(
        f"Observations must be Box, Discrete, MultiBinary or a Dict of these, and this space is {space}."
    )


def _space(space: spaces.Box | spaces.MultiBinary) -> str:
    """Describes a space in a few words, however large its bounds are."""
    return f"{type(space).__name__} of {space.dtype} {list(space.shape)}"


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
