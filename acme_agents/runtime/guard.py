"""Checks at every step what passes between policy and environment, and says which of them failed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import dm_env
import numpy as np

from acme_agents.core import errors
from acme_agents.environments.batched import BatchedEnvironment, TimeSteps


class _Leaf(NamedTuple):
    """One array of an observation."""

    path: tuple[Any, ...]  # keys that lead to it
    shape: tuple[int, ...]
    dtype: np.dtype
    is_float: bool


class Guard:
    """An environment that lets no NaN, no infinity and nothing of another spec pass, in or out.

    It costs a few microseconds a step: `np.vdot` of an array with itself is finite if its numbers are.
    """

    def __init__(self, environment: dm_env.Environment, name: str = "the environment"):
        """Guards an environment; `name` is what messages call it."""
        self._environment = environment
        self._name = name
        self._leaves = list(_leaves(environment.observation_spec()))
        self._reward_shape = environment.reward_spec().shape
        self._num_episodes = 0  # begun
        self._num_steps = 0  # of this episode, begun

    def reset(self) -> dm_env.TimeStep:
        """Begins an episode.

        Raises:
          EnvironmentFault: the environment raised (its exception is the cause), or the observation is NaN, infinite or
            not of the spec.
        """
        self._num_episodes += 1
        self._num_steps = 0
        try:
            timestep = self._environment.reset()
        except Exception as error:
            raise self._fault(error) from (error.__cause__ or error)
        self._check_observation(timestep.observation)
        return timestep

    def step(self, action: Any) -> dm_env.TimeStep:
        """Takes a step.

        Raises:
          NotFinite: the action is NaN or infinite; the environment was not given it.
          EnvironmentFault: the environment raised, which is the cause, or what it returned is NaN, infinite or not of
            the spec.
        """
        self._num_steps += 1
        if action.dtype.kind == "f" and not _is_finite(action):
            raise errors.NotFinite(
                f"The policy chose an action{_first_odd(action)}, in {self._where()}: learning has diverged, or the "
                "policy cannot take what it observed."
            )
        try:
            timestep = self._environment.step(action)
        except errors.UserError:  # The action is invalid, which is not the environment's fault.
            raise
        except Exception as error:
            raise self._fault(error) from (error.__cause__ or error)
        self._check_reward(timestep.reward)
        self._check_observation(timestep.observation)
        if not math.isfinite(timestep.discount):
            raise self._returned(f"a discount that is {timestep.discount}")
        return timestep

    def _check_reward(self, reward: Any) -> None:
        if self._reward_shape:
            reward = np.asarray(reward)
            if reward.shape != self._reward_shape:
                what = f"a reward of shape {list(reward.shape)}, and its spec says {list(self._reward_shape)}"
                raise self._returned(what, permanent=True)
            if not _is_finite(reward):
                raise self._returned(f"a reward{_first_odd(reward)}")
            return
        try:
            is_finite = math.isfinite(reward)
        except TypeError as error:
            raise self._returned(f"{reward!r:.60} for a reward, which is one number", permanent=True) from error
        if not is_finite:
            raise self._returned(f"a reward that is {reward}")

    def _check_observation(self, observation: Any) -> None:
        for path, shape, dtype, is_float in self._leaves:
            leaf = observation
            try:
                for key in path:
                    leaf = leaf[key]
            except (TypeError, LookupError) as error:
                raise self._returned(f"an observation without {path}, which its spec has", permanent=True) from error
            leaf = np.asarray(leaf)
            if leaf.shape != shape or leaf.dtype != dtype:
                what = f"an {_name(path)} of {leaf.dtype} {list(leaf.shape)}, and its spec says {dtype} {list(shape)}"
                raise self._returned(what, permanent=True)
            if is_float and not _is_finite(leaf):
                raise self._returned(f"an {_name(path)}{_first_odd(leaf)}")

    def _where(self) -> str:
        if self._num_steps:
            return f"step {self._num_steps:,} of its episode {self._num_episodes:,}"
        return f"the reset of its episode {self._num_episodes:,}"

    def _returned(self, what: str, *, permanent: bool = False) -> errors.EnvironmentFault:
        return errors.EnvironmentFault(f"{self._name} returned {what}, in {self._where()}.", permanent=permanent)

    def _fault(self, error: Exception) -> errors.EnvironmentFault:
        if isinstance(error, errors.EnvironmentFault):  # It says what failed; this adds where.
            return errors.EnvironmentFault(f"{self._name} {error}, in {self._where()}.", permanent=error.permanent)
        return errors.EnvironmentFault(f"{self._name} raised {_describe(error)}, in {self._where()}.")


class BatchedGuard:
    """`BatchedEnvironment` around another that lets no NaN, no infinity and nothing of another spec pass, in or out."""

    def __init__(self, environment: BatchedEnvironment, names: Sequence[str]):
        """Guards environments; `names` has what messages call each of them."""
        self._environment = environment
        self._names = names
        self.num_environments = num_environments = environment.num_environments
        self._leaves = [
            leaf._replace(shape=(num_environments, *leaf.shape)) for leaf in _leaves(self.observation_spec())
        ]
        self._reward_shape = (num_environments, *self.reward_spec().shape)
        self._num_episodes = np.zeros(num_environments, np.int64)  # begun
        self._num_steps = np.zeros(num_environments, np.int64)  # of this episode

    def reset(self) -> TimeSteps:
        """Begins an episode in every environment; raises as `step` does."""
        return self._checked(self._environment.reset, self.num_environments)

    def step(self, actions: np.ndarray, num_active: int) -> TimeSteps:
        """Steps the first `num_active` environments.

        Raises:
          NotFinite: an action is NaN or infinite; no environment was given it.
          EnvironmentFault: they raised, which is the cause, or what they returned is NaN, infinite or not of the spec.
        """
        if actions.dtype.kind == "f" and not _is_finite(actions[:num_active]):
            i, action = _first_odd_row(actions[:num_active])
            raise errors.NotFinite(
                f"The policy chose an action{_first_odd(action)}, in step {self._num_steps[i] + 1:,} of episode "
                f"{self._num_episodes[i]:,} of {self._names[i]}: learning has diverged, or the policy cannot take what "
                "it observed."
            )
        return self._checked(lambda: self._environment.step(actions, num_active), num_active)

    def observation_spec(self) -> Any:
        return self._environment.observation_spec()

    def action_spec(self) -> Any:
        return self._environment.action_spec()

    def reward_spec(self) -> dm_env.specs.Array:
        return self._environment.reward_spec()

    def close(self) -> None:
        """Closes the environments."""
        self._environment.close()

    def _checked(self, call: Callable[[], TimeSteps], num_active: int) -> TimeSteps:
        try:
            timesteps = call()
        except errors.UserError:
            raise
        except Exception as error:
            what = str(error) if isinstance(error, errors.EnvironmentFault) else f"raised {_describe(error)}"
            raise errors.EnvironmentFault(f"One of {' and '.join(self._names)} {what}.") from (error.__cause__ or error)
        begins = timesteps.step_type[:num_active] == dm_env.StepType.FIRST
        self._num_episodes[:num_active] += begins
        self._num_steps[:num_active] = (self._num_steps[:num_active] + 1) * ~begins
        for path, shape, dtype, is_float in self._leaves:
            leaf = timesteps.observation
            for key in path:
                leaf = leaf[key]
            self._check(_name(path), leaf, shape, dtype, is_float, num_active)
        self._check("reward", timesteps.reward, self._reward_shape, np.dtype(np.float32), True, num_active)
        self._check("discount", timesteps.discount, self._reward_shape[:1], np.dtype(np.float32), True, num_active)
        return timesteps

    def _check(self, name: str, array: Any, shape: Any, dtype: np.dtype, is_float: bool, num_active: int) -> None:
        if array.shape != shape or array.dtype != dtype:
            what = f"{name}s of {array.dtype} {list(array.shape)}, and their spec says {dtype} {list(shape)}"
            raise errors.EnvironmentFault(f"{' and '.join(self._names)} returned {what}.", permanent=True)
        if is_float and not _is_finite(array[:num_active]):
            i, odd = _first_odd_row(array[:num_active])
            where = self._where(i)
            raise errors.EnvironmentFault(f"{self._names[i]} returned a {name}{_first_odd(odd)}, in {where}.")

    def _where(self, i: int) -> str:
        if self._num_steps[i]:
            return f"step {self._num_steps[i]:,} of its episode {self._num_episodes[i]:,}"
        return f"the first time step of its episode {self._num_episodes[i]:,}"


def _describe(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _first_odd_row(array: np.ndarray) -> tuple[int, np.ndarray]:
    """The first of N arrays that has a number which is not finite, after its index."""
    i = int(np.argwhere(~np.isfinite(array))[0, 0])
    return i, np.asarray(array[i])


def _leaves(spec: Any, path: tuple[Any, ...] = ()) -> Iterator[_Leaf]:
    if isinstance(spec, (list, tuple)):
        spec = dict(enumerate(spec))
    if isinstance(spec, Mapping):
        for key, part in spec.items():
            yield from _leaves(part, (*path, key))
    else:
        dtype = np.dtype(spec.dtype)
        yield _Leaf(path, tuple(spec.shape), dtype, dtype.kind == "f")


def _is_finite(array: Any) -> bool:
    # The sum of squares overflows for large numbers: then each number is checked.
    return math.isfinite(np.vdot(array, array)) or bool(np.isfinite(array).all())


def _first_odd(array: np.ndarray) -> str:
    """`[1] that is nan`: the first number that is not finite, and where."""
    place = np.argwhere(~np.isfinite(array))[0].tolist()
    return f"{place or ''} that is {array[tuple(place)]}"


def _name(path: tuple[Any, ...]) -> str:
    return "observation" + "".join(f"[{key!r}]" for key in path)
