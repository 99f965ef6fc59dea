"""What a fused run holds on the device, and what the host tells each call of it; `fused_loop` computes with it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from acme_agents.core.interfaces import TrainingState
from acme_agents.core.types import Array, Key


class Sum(NamedTuple):
    """A sum of many float32 numbers, [N, *R], with what rounding has lost: nearly as exact as float64."""

    total: Array
    lost: Array

    def add(self, number: Array) -> "Sum":
        """The sum with another number (Knuth's two-sum)."""
        total = self.total + number
        part = total - self.total
        return Sum(total, self.lost + (self.total - (total - part)) + (number - part))


class Actors(NamedTuple):
    """N environments, and the actor in each."""

    environment: Any  # states
    observation: Any  # [N, ...] o_t
    is_final: Array  # [N] bool, whether that is an episode's final one
    actor: Any  # states
    reward: Array  # [N, *R] float32, of the last action
    has_reward: Array  # [N] bool, whether an action was taken in this episode
    num_episodes: Array  # [N] int32, begun
    episode_return: Sum
    length: Array  # [N] int32


class Events(NamedTuple):
    """What happened in a call, for the log."""

    is_end: Array  # [C, N] bool, whether the round ended an episode
    episode_return: Sum  # [C, N, *R], of that episode
    length: Array  # [C, N]
    steps: Array  # [C] steps of this life after the round
    updates: Array  # [C] updates before the learner's turn that followed it
    logged: Array  # [L, M] metrics of the groups that are to be logged
    logged_at: Array  # [L, 3] steps, updates and items inserted in this call at their end
    num_logged: Array  # []


class Loop(NamedTuple):
    """All of a run that lives on the device."""

    keys: tuple[Key, Key, Key]  # of the environments [N, 2], of the actors [N, 2], of the sampling [2]
    actors: Actors
    stream: Any  # a `Stream`, or `Rounds` where experience is learned from once
    training: TrainingState
    steps: Array  # [] int32, environment steps of this life
    updates: Array  # [] int32, of the run
    owed: Array  # [] float32, how many items sampling lags behind; from the host at each call
    inserted: Array  # [] int32, items of this call
    metrics: Array  # [M], means of the newest group
    not_finite: Array  # [M] int32, of `finite.note`
    is_turn: Array  # [] bool, whether the newest round completed a chunk, after which the learner had its turn
    nonfinite: Array  # [3] float32, NaN if an action, observation or reward of this call was not finite, else 0
    events: Events


class Limits(NamedTuple):
    """How far each seed may go in a call."""

    enough_steps: Any  # [] int32, of this life: after the first learner's turn from there on it stops
    max_steps: Any  # [] int32, of this life: never exceeded
    max_updates: Any  # [] int32, of the run: never exceeded


def where(chosen: Array | bool, x: Any, y: Any) -> Any:
    """`x` where `chosen` [], else `y`; a pytree."""
    return jax.tree.map(lambda a, b: jnp.where(chosen, a, b), x, y)
