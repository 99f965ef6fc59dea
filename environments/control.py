"""The dm_control suite, canonical: https://arxiv.org/abs/2006.12983.

Three things differ from dm_control. The LQR tasks never end by themselves, so they are cut after 1000 steps, as
all others are. An actuator without limits (again LQR's) takes the action in [-1, 1] as it is. The quadruped's tasks on
terrain need no GL library. Note also that an LQR task's seed chooses its stiffness and damping: another seed is another
task.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from typing import Any

import dm_env
import numpy as np
from absl import logging

from acme_agents.core import errors
from acme_agents.environments import naming, rendering

_TIME_LIMITS = {"lqr": 30.0}  # Seconds; 1000 steps of 0.03 s.
_UNLIMITED = 1e10  # MuJoCo's mjMAXVAL, which dm_control gives as the bound of an actuator without limits.
_ONE = np.float32(1)


def names() -> list[str]:
    """Returns `DOMAIN:TASK` for every task of the suite."""
    return [f"{domain}:{task}" for domain, task in _suite().ALL_TASKS]


def problem(name: str) -> str | None:
    """Returns what is wrong with `DOMAIN:TASK`, or None."""
    tasks = _suite().TASKS_BY_DOMAIN
    domain, _, task = name.partition(":")
    if domain not in tasks:
        return f"the dm_control suite has no domain {domain!r}, {naming.suggest(domain, sorted(tasks))}"
    if task not in tasks[domain]:
        return f"the dm_control domain {domain!r} has no task {task!r}, {naming.suggest(task, tasks[domain])}"
    return None


def make(name: str, seed: int, *, render: bool = False) -> Control:
    """Makes the task `DOMAIN:TASK`, its random state seeded with `seed`."""
    backend = rendering.enable() if render else None
    suite = _suite()
    if backend:
        _use_backend(backend)
    domain, _, task = name.partition(":")
    task_kwargs: dict[str, Any] = {"random": seed}
    if domain in _TIME_LIMITS:
        task_kwargs["time_limit"] = _TIME_LIMITS[domain]
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)  # The suite's own models use attributes that MuJoCo calls deprecated.
    try:
        environment = suite.load(domain, task, task_kwargs)
    finally:
        logging.set_verbosity(verbosity)
    if not backend:
        _forbid_contexts(environment.physics)
    return Control(environment, unrenderable=None if backend else rendering.NO_GL if render else rendering.NOT_ASKED)


class Control(dm_env.Environment):
    """A dm_control environment with one flat observation and actions in [-1, 1].

    Observations: [O] float32, dm_control's arrays raveled and concatenated in dm_control's order.
    Actions: [A] float32, clipped to [-1, 1], then mapped linearly from there to the task's bounds.
    """

    def __init__(self, environment: Any, unrenderable: str | None = None):
        """Wraps a `dm_control.rl.control.Environment`; `unrenderable` says why it cannot render, if it cannot."""
        self._environment = environment
        self._unrenderable = unrenderable

        bounds = environment.action_spec()
        low, high = np.array(bounds.minimum), np.array(bounds.maximum)
        unlimited = (low <= -_UNLIMITED) | (high >= _UNLIMITED)
        low[unlimited], high[unlimited] = -1.0, 1.0
        self.action_bounds = tuple(low.ravel().tolist()), tuple(high.ravel().tolist())
        self._scale, self._offset = (high - low) / 2, (high + low) / 2
        self._rescale = bool(np.any(self._scale != 1) or np.any(self._offset != 0))
        self._minus_one, self._plus_one = np.full_like(low, -1), np.full_like(low, 1)
        self._shape = low.shape
        self._action = np.zeros_like(low)
        self._action_spec = dm_env.specs.BoundedArray(low.shape, np.float32, -1.0, 1.0, name="action")

        shapes = [spec.shape for spec in environment.observation_spec().values()]
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
        self._observation = np.zeros(ends[-1], np.float32)
        # One view of the flat buffer per dm_control array, in that array's shape.
        self._views = [part.reshape(shape) for part, shape in zip(np.split(self._observation, ends[:-1]), shapes)]
        self._observation_spec = dm_env.specs.Array((ends[-1],), np.float32, name="observation")

    @property
    def physics(self) -> Any:
        """dm_control's `Physics`."""
        return self._environment.physics

    def reseed(self, seed: int) -> None:
        """Makes the episodes from the next reset on those of a new environment with this seed; LQR's task stays."""
        self._environment.task.random.seed(seed)

    @property
    def frames_per_second(self) -> float:
        """Steps in a second of the simulation."""
        return 1.0 / self._environment.control_timestep()

    def reset(self) -> dm_env.TimeStep:
        return dm_env.restart(self.canonical_observation(self._environment.reset().observation))

    def step(self, action: Any) -> dm_env.TimeStep:
        """Takes one step, or resets after a last one.

        Args:
          action: [A], clipped to [-1, 1].

        Raises:
          UserError: if the action has another shape, which would otherwise be broadcast.
        """
        step_type, reward, discount, observation = self._environment.step(self._control(action))
        observation = self.canonical_observation(observation)
        if reward is None:
            return dm_env.TimeStep(step_type, None, None, observation)
        discount = _ONE if discount == 1 else np.float32(discount)
        return dm_env.TimeStep(step_type, np.float32(reward), discount, observation)

    def observation_spec(self) -> dm_env.specs.Array:
        return self._observation_spec

    def action_spec(self) -> dm_env.specs.BoundedArray:
        return self._action_spec

    def reward_spec(self) -> dm_env.specs.Array:
        return dm_env.specs.Array((), np.float32, name="reward")

    def discount_spec(self) -> dm_env.specs.BoundedArray:
        return dm_env.specs.BoundedArray((), np.float32, 0.0, 1.0, name="discount")

    def render(self) -> np.ndarray:
        """Returns the first camera's picture, [240, 320, 3] uint8; raises UserError if it cannot."""
        if self._unrenderable:
            raise errors.UserError(self._unrenderable)
        return self.physics.render(height=240, width=320, camera_id=0)

    def close(self) -> None:
        self._environment.close()

    def native_action(self, action: Any) -> np.ndarray:
        """Returns [A] float64 within the task's bounds; the argument and what is raised are those of `step`."""
        return self._control(action).copy()

    def _control(self, action: Any) -> np.ndarray:
        """The action in the task's bounds, in an array that the next call writes again."""
        action = np.asarray(action)
        if action.shape != self._shape:
            raise errors.UserError(f"Expected an action of shape {self._shape}, got {action.shape}.")
        control = self._action
        np.maximum(action, self._minus_one, out=control)
        np.minimum(control, self._plus_one, out=control)
        if self._rescale:
            control *= self._scale
            control += self._offset
        return control

    def canonical_observation(self, observation: Mapping[str, Any]) -> np.ndarray:
        """Returns dm_control's arrays as one, [O] float32."""
        for view, value in zip(self._views, observation.values(), strict=True):
            view[...] = value
        return self._observation.copy()


@functools.cache
def _suite() -> Any:
    with rendering.disabled():  # Environments that render choose their library by `_use_backend`.
        return importlib.import_module("dm_control.suite")


def _use_backend(backend: str) -> None:
    """Makes dm_control, which was imported with rendering disabled, render with this library."""
    render = importlib.import_module("dm_control._render")
    if backend != render.BACKEND:
        importlib.reload(render)


def _forbid_contexts(physics: Any) -> None:
    """Gives physics no GL contexts. Without a library asking for them raises, and the terrain of quadrupeds asks."""
    physics.__class__ = type(type(physics).__name__, (type(physics),), {"contexts": None})
