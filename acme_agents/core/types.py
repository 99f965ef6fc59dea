"""The data that agents, replay and runtime exchange."""

import dataclasses
from typing import Any, NamedTuple

import jax

Array = jax.Array
Key = jax.Array  # a raw uint32 [2] random key, as jax.random.PRNGKey makes it
Params = Any  # a pytree of arrays
Observation = Any  # a pytree of arrays
Action = Array
ActorState = Any  # a pytree: a random key, a recurrent state, exploration noise ...
Extras = Any  # a pytree of arrays stored beside each step; () for none


@dataclasses.dataclass(frozen=True)
class ArraySpec:
    """Shape and dtype of one array, without batch or time dimensions.

    Attributes:
      shape: the dimensions of one value.
      dtype: a NumPy dtype's name: "float32", "uint8", "int32".
      num_values: for a discrete value, how many there are: 0 .. num_values - 1; None for a continuous one.
        A continuous action lies in [-1, 1] in every dimension.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    num_values: int | None = None


@dataclasses.dataclass(frozen=True)
class EnvironmentSpec:
    """What an agent must know of an environment.

    Attributes:
      observation: a pytree of `ArraySpec`.
      action: the action's spec.
      reward: float32, shape () for one reward and [K] for K objectives.
      action_bounds: the environment's own lowest and highest action, each a tuple of as many numbers as an action has:
        what -1 and 1 stand for, or 0 and num_values - 1; None where these are the environment's own. Only data from
        elsewhere has actions in them.
    """

    observation: Any
    action: ArraySpec
    reward: ArraySpec = ArraySpec(())
    action_bounds: tuple[tuple[float, ...], tuple[float, ...]] | None = None


class Step(NamedTuple):
    """One time step of one episode, as actors write it and replay stores it.

    Rows of an episode are consecutive. Its final observation has a row too, with `last` set and the action, reward
    and discount zero, so that a time-out can bootstrap from it.
    """

    observation: Observation  # [*O] o_t
    action: Any  # [*A] a_t
    reward: Any  # [] or [K] float32, r_{t+1}: what a_t earned
    discount: Any  # [] float32, the environment's: 0 if a_t ended the episode for good, 1 otherwise
    last: Any  # [] bool, whether o_t is an episode's final observation
    extras: Extras = ()


class Trajectory(NamedTuple):
    """One episode of T steps, as datasets hold it: NumPy arrays."""

    observation: Observation  # [T + 1, *O], the final observation included
    action: Any  # [T, *A]
    reward: Any  # [T] or [T, K] float32
    discount: Any  # [T] float32, the environment's: its last is 0 if the episode ended for good, 1 if it was cut short


class SampleInfo(NamedTuple):
    """How each element of a batch was drawn."""

    probability: Array  # [B] float32, the probability of the element among all items of its source
    source: Array  # [B] int32, the index of that source in `ReplaySpec.sources`


class Stretch(NamedTuple):
    """Rows of B environments, of whatever kind of experience, batch-major: what a bonus sees.

    Where `valid` ends, so does the episode, or what is known of it; the row behind may begin another one.
    """

    steps: Step  # [B, T + 1, ...]
    valid: Array  # [B, T] bool, whether row t has a transition, to row t + 1


class Window(NamedTuple):
    """A batch of the rows of n-step transitions, batch-major.

    A window that meets its episode's end stays there: the rows behind the final observation repeat it.
    """

    steps: Step  # [B, n + 1, ...]
    valid: Array  # [B, n] bool, whether row i has a transition, to row i + 1: true for the first m <= n
    sample_info: SampleInfo = ()  # type: ignore[assignment]  # () only before the batch is drawn


class Transition(NamedTuple):
    """A batch of n-step transitions, batch-major.

    With m <= n the steps until the n-step window or the episode ends:
    reward = sum_{i<m} gamma^i (prod_{j<i} d_{t+j+1}) r_{t+i+1},  discount = gamma^m prod_{j<m} d_{t+j+1},
    so that `reward + discount * value(next_observation)` is the n-step target, gamma included.
    """

    observation: Observation  # [B, *O] o_t
    action: Array  # [B, *A] a_t
    reward: Array  # [B] or [B, K] float32
    discount: Array  # [B] float32
    next_observation: Observation  # [B, *O] o_{t+m}
    next_action: Array  # [B, *A] a_{t+m}, as it was taken; zero where there is none
    next_last: Array  # [B] bool, whether o_{t+m} is an episode's final observation, where no action was taken
    extras: Extras = ()  # [B, *E], of time t
    sample_info: SampleInfo = ()  # type: ignore[assignment]  # () only before the batch is drawn


class Unroll(NamedTuple):
    """A batch of stretches of T consecutive rows of one environment each, and a row behind them, batch-major.

    The rows of an environment are its steps, each episode's final observation a row of its own with `last` set: row t
    has a transition, to row t + 1, unless `last` is set there. Row T is there for its observation, to bootstrap from.
    What rows without a transition hold besides their observation means nothing, and the observation of row T neither
    where row T - 1 is an episode's final one.
    """

    steps: Step  # [B, T + 1, ...]
    version: Array  # [B] int32, learner's updates behind the parameters that chose the first action


class Sequence(NamedTuple):
    """A batch of stretches of one episode each, T consecutive steps long, batch-major.

    A stretch of m <= T rows has m - 1 transitions, from each row to the next: the last row in use says what state its
    last action led to. The rows behind it are padding, all zero.
    """

    steps: Step  # [B, T, ...]
    num_steps: Array  # [B] int32, m >= 2: rows in use, the episode's final observation included if it is among them
    episode_step: Array  # [B] int32, steps of the episode before the first row
    previous_action: Array  # [B, *A], what led to the first row; zero where that begins the episode
    previous_reward: Array  # [B] or [B, K] float32, the reward of that action
    sample_info: SampleInfo = ()  # type: ignore[assignment]
    reward_seen: Any = ()  # [B, T] float32, what actors were told, where a bonus was added to that; () elsewhere

    @property
    def told(self) -> Array:
        """The rewards as actors were told them, [B, T] or [B, T, K]: for networks that see rewards."""
        return self.steps.reward if isinstance(self.reward_seen, tuple) else self.reward_seen
