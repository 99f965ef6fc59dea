"""Classic tasks in JAX, step for step as Gymnasium has them: `jax:cartpole` is CartPole-v1, `jax:pendulum`
Pendulum-v1.

`jax:sparse-mountain-car` is MountainCarContinuous-v0 with the goal's reward alone. `jax:grid-N` is a walk on N x N
cells to the opposite corner, whose only reward is there.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from acme_agents.core.types import Action, Array, ArraySpec, EnvironmentSpec, Key
from acme_agents.environments import naming, pure
from acme_agents.environments.pure import Pure, TimeStep

_GRID_SIZES = range(2, 65)


def names() -> list[str]:
    """Returns the known names, a grid of one size among them."""
    return [*_TASKS, "grid-8"]


def problem(name: str) -> str | None:
    """Returns what is wrong with a name, or None."""
    if name in _TASKS or _grid_size(name) is not None:
        return None
    if name.startswith("grid"):
        return f"a grid is jax:grid-N with N from {_GRID_SIZES[0]} to {_GRID_SIZES[-1]}."
    return naming.suggest(name, names())


def make_pure(name: str) -> Pure:
    """Makes the functions of a task."""
    size = _grid_size(name)
    return _TASKS[name]() if size is None else grid(size)


def _grid_size(name: str) -> int | None:
    size = name.removeprefix("grid-")
    return int(size) if size != name and size.isascii() and size.isdecimal() and int(size) in _GRID_SIZES else None


class CartPole(NamedTuple):
    """The state of `cartpole`: positions in m and rad, velocities in m/s and rad/s."""

    x: Array
    x_velocity: Array
    angle: Array
    angle_velocity: Array


def cartpole() -> Pure:
    """Gymnasium's CartPole-v1 (Barto, Sutton and Anderson 1983): push a cart left or right so that its pole stays up.

    An episode ends for good where the cart leaves 2.4 m or the pole 12 degrees, and is cut short after 500 steps;
    every step earns 1.
    """
    gravity, pole_mass, half_length, force_size, seconds = 9.8, 0.1, 0.5, 10.0, 0.02
    mass, pole_moment = 1.0 + pole_mass, pole_mass * half_length

    def observe(state: CartPole) -> Array:
        return jnp.stack(state)

    def init(key: Key) -> tuple[CartPole, Array]:
        observation = jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05)
        return CartPole(*observation), observation

    def step(state: CartPole, action: Action) -> tuple[CartPole, TimeStep]:
        force = jnp.where(action == 1, force_size, -force_size)
        cos, sin = jnp.cos(state.angle), jnp.sin(state.angle)
        push = (force + pole_moment * state.angle_velocity**2 * sin) / mass
        angle_acceleration = (gravity * sin - cos * push) / (half_length * (4 / 3 - pole_mass * cos**2 / mass))
        acceleration = push - pole_moment * angle_acceleration * cos / mass
        state = CartPole(
            state.x + seconds * state.x_velocity,
            state.x_velocity + seconds * acceleration,
            state.angle + seconds * state.angle_velocity,
            state.angle_velocity + seconds * angle_acceleration,
        )
        fallen = (jnp.abs(state.x) > 2.4) | (jnp.abs(state.angle) > math.radians(12))
        return state, TimeStep(jnp.float32(1), 1.0 - fallen.astype(jnp.float32), fallen, observe(state))

    spec = EnvironmentSpec(ArraySpec((4,)), ArraySpec((), "int32", 2), action_bounds=((0,), (1,)))
    return pure.limited(Pure(spec, init, step, frames_per_second=1 / seconds), 500)


class Pendulum(NamedTuple):
    """The state of `pendulum`."""

    angle: Array  # rad, 0 is up
    velocity: Array  # rad/s


def pendulum() -> Pure:
    """Gymnasium's Pendulum-v1: swing a pendulum up and hold it there. Episodes are cut short after 200 steps."""
    gravity, max_velocity, max_torque, seconds = 10.0, 8.0, 2.0, 0.05

    def observe(state: Pendulum) -> Array:
        return jnp.stack([jnp.cos(state.angle), jnp.sin(state.angle), state.velocity])

    def init(key: Key) -> tuple[Pendulum, Array]:
        bounds = jnp.array([jnp.pi, 1.0])
        state = Pendulum(*jax.random.uniform(key, (2,), minval=-bounds, maxval=bounds))
        return state, observe(state)

    def step(state: Pendulum, action: Action) -> tuple[Pendulum, TimeStep]:
        torque = max_torque * jnp.clip(action[0], -1.0, 1.0)
        from_top = (state.angle + jnp.pi) % (2 * jnp.pi) - jnp.pi
        cost = from_top**2 + 0.1 * state.velocity**2 + 0.001 * torque**2
        velocity = state.velocity + (1.5 * gravity * jnp.sin(state.angle) + 3.0 * torque) * seconds
        velocity = jnp.clip(velocity, -max_velocity, max_velocity)
        state = Pendulum(state.angle + velocity * seconds, velocity)
        return state, TimeStep(-cost, jnp.float32(1), jnp.bool_(False), observe(state))

    spec = EnvironmentSpec(ArraySpec((3,)), ArraySpec((1,)), action_bounds=((-max_torque,), (max_torque,)))
    return pure.limited(Pure(spec, init, step, frames_per_second=1 / seconds), 200)


class MountainCar(NamedTuple):
    """The state of `sparse_mountain_car`."""

    position: Array  # the valley is at -pi / 6, the goal at 0.45
    velocity: Array  # per step


def sparse_mountain_car() -> Pure:
    """Gymnasium's MountainCarContinuous-v0 (Moore 1990) with the goal's reward alone, 100: actions cost nothing.

    With the cost, to stand still is the best that is easily found; without it there is nothing to be learned before
    the first success. The goal ends an episode for good; others are cut short after 999 steps.
    """
    power, gravity, max_speed, left_end, right_end, goal = 0.0015, 0.0025, 0.07, -1.2, 0.6, 0.45

    def observe(state: MountainCar) -> Array:
        return jnp.stack(state)

    def init(key: Key) -> tuple[MountainCar, Array]:
        state = MountainCar(jax.random.uniform(key, minval=-0.6, maxval=-0.4), jnp.float32(0))
        return state, observe(state)

    def step(state: MountainCar, action: Action) -> tuple[MountainCar, TimeStep]:
        push = power * jnp.clip(action[0], -1.0, 1.0) - gravity * jnp.cos(3 * state.position)
        velocity = jnp.clip(state.velocity + push, -max_speed, max_speed)
        position = jnp.clip(state.position + velocity, left_end, right_end)
        velocity = jnp.where((position == left_end) & (velocity < 0), 0.0, velocity)  # The left end is a wall.
        there = (position >= goal) & (velocity >= 0)
        state = MountainCar(position, velocity)
        return state, TimeStep(100.0 * there, 1.0 - there.astype(jnp.float32), there, observe(state))

    spec = EnvironmentSpec(ArraySpec((2,)), ArraySpec((1,)), action_bounds=((-1.0,), (1.0,)))
    return pure.limited(Pure(spec, init, step, frames_per_second=30.0), 999)


class Grid(NamedTuple):
    """The state of `grid`."""

    row: Array  # [] int32
    column: Array  # [] int32


def grid(size: int) -> Pure:
    """A walk on `size` x `size` cells, from the top left to the bottom right, which alone earns 1 and ends the episode.

    Actions: up, down, left, right; a wall leaves the walker where it is. An episode is cut short after 4 `size` steps.
    Observations are two one-hot vectors side by side: the row, and the column.
    """
    moves = jnp.array([[-1, 0], [1, 0], [0, -1], [0, 1]], jnp.int32)

    def observe(state: Grid) -> Array:
        return jnp.concatenate([jax.nn.one_hot(state.row, size), jax.nn.one_hot(state.column, size)])

    def init(key: Key) -> tuple[Grid, Array]:
        del key  # Every episode begins in the same cell.
        state = Grid(jnp.int32(0), jnp.int32(0))
        return state, observe(state)

    def step(state: Grid, action: Action) -> tuple[Grid, TimeStep]:
        row, column = jnp.clip(jnp.stack(state) + moves[action], 0, size - 1)
        there = (row == size - 1) & (column == size - 1)
        reward = there.astype(jnp.float32)
        return Grid(row, column), TimeStep(reward, 1.0 - reward, there, observe(Grid(row, column)))

    spec = EnvironmentSpec(ArraySpec((2 * size,)), ArraySpec((), "int32", 4), action_bounds=((0,), (3,)))
    return pure.limited(Pure(spec, init, step), 4 * size)


_TASKS = {"cartpole": cartpole, "pendulum": pendulum, "sparse-mountain-car": sparse_mountain_car}
