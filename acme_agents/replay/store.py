"""The learner's store: a ring of steps where the learner computes, and n-step batches gathered from it under jit."""

import collections
import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core import returns
from acme_agents.core.experience import Transitions
from acme_agents.core.interfaces import ReplaySpec
from acme_agents.core.types import Array, Key, SampleInfo, Step, Trajectory, Transition
from acme_agents.replay import chunks
from acme_agents.replay import priorities as priorities_lib
from acme_agents.replay.chunks import Chunk
from acme_agents.replay.priorities import Priorities

_INSERT_BATCH = 8  # chunks that one call of the jitted insertion takes
_REMOVE_BATCH = _INSERT_BATCH * chunks.PERIOD  # transitions that one call of the jitted removal takes
_NOWHERE = 2**30  # a place that no ring has


class StoreState(NamedTuple):
    """What is on the device."""

    steps: Step  # [R, ...], a ring of rows; a chunk's rows are consecutive
    starts: Array  # [N] int32, a ring: the rows at which a transition begins, oldest first from `oldest`
    oldest: Array  # [] int32, index into `starts`
    size: Array  # [] int32, transitions held


class Store:
    """Holds the newest transitions, at most `max_size`, and evicts whole chunks, oldest first.

    Where transitions are drawn by priority, `priorities` has theirs, by place in `state.starts`; whoever changes them
    sets it anew.
    """

    def __init__(self, steps: Step, replay: ReplaySpec):
        """Initialises an empty store and allocates all of its memory.

        Args:
          steps: `chunks.step_spec` of the agent and the environment.
          replay: the agent's.
        """
        self._num_rows = _num_rows(replay)
        self._num_starts = replay.max_size
        self._row = self._start = self._size = self._rows_used = 0  # next row, next start, and how much is held
        self._held: collections.deque[tuple[int, int]] = collections.deque()  # rows and starts of each chunk
        self._exponent = replay.priority_exponent
        self.priorities: Priorities | None = priorities_lib.make(self._num_starts) if self._exponent else None
        self.state = StoreState(
            steps=jax.tree.map(lambda s: jnp.zeros((self._num_rows, *s.shape), s.dtype), steps),
            starts=jnp.zeros(self._num_starts, jnp.int32),
            oldest=jnp.int32(0),
            size=jnp.int32(0),
        )

    @property
    def size(self) -> int:
        """Transitions held."""
        return self._size

    def insert(self, new: Sequence[Chunk]) -> int:
        """Adds chunks, oldest first; returns how many transitions they hold."""
        for i in range(0, len(new), _INSERT_BATCH):
            self._insert(new[i : i + _INSERT_BATCH])
        return sum(int(chunk.num_starts) for chunk in new)

    def _insert(self, new: Sequence[Chunk]) -> None:
        padding = [new[0]] * (_INSERT_BATCH - len(new))
        steps = jax.tree.map(lambda *x: np.stack(x), *(chunk.steps for chunk in (*new, *padding)))  # [C, T, ...]
        # Where each row and each start goes; out of range is dropped.
        rows = np.full(steps.last.shape, self._num_rows, np.int32)
        starts = np.full((_INSERT_BATCH, chunks.PERIOD), self._num_starts, np.int32)
        start_rows = np.zeros_like(starts)
        evicted: list[np.ndarray] = []  # places in the ring of starts
        for i, chunk in enumerate(new):
            num_steps, num_starts = int(chunk.num_steps), int(chunk.num_starts)
            evicted += self._make_room(num_steps, num_starts)
            rows[i, :num_steps] = (self._row + np.arange(num_steps)) % self._num_rows
            starts[i, :num_starts] = (self._start + np.arange(num_starts)) % self._num_starts
            start_rows[i, :num_starts] = rows[i, :num_starts]
            self._row = (self._row + num_steps) % self._num_rows
            self._start = (self._start + num_starts) % self._num_starts
        gone = max(
            0, len(new) - len(self._held)
        )  # Came and went within this call: two writes to one place have no order.
        rows[:gone], starts[:gone] = self._num_rows, self._num_starts
        oldest = (self._start - self._size) % self._num_starts
        self.state = _scatter(self.state, steps, rows, starts, start_rows, np.int32(oldest), np.int32(self._size))
        if self.priorities is not None:
            self.priorities = _replace(self.priorities, evicted, starts, self._num_starts, self._exponent)

    def _make_room(self, num_steps: int, num_starts: int) -> list[np.ndarray]:
        """Counts a chunk in, and out what it displaces; returns the places of that in the ring of starts."""
        self._held.append((num_steps, num_starts))
        self._rows_used += num_steps
        self._size += num_starts
        evicted = []
        while self._rows_used > self._num_rows or self._size > self._num_starts:
            oldest = self._start + num_starts - self._size
            old_steps, old_starts = self._held.popleft()
            self._rows_used -= old_steps
            self._size -= old_starts
            evicted.append((oldest + np.arange(old_starts)) % self._num_starts)
        return evicted


def num_bytes(steps: Step, replay: ReplaySpec) -> int:
    """Bytes that a store allocates."""
    return _num_rows(replay) * chunks.nbytes(steps) + 4 * replay.max_size


def from_trajectories(steps: Step, trajectories: Sequence[Trajectory]) -> StoreState:
    """A store that holds every transition of some episodes, for good.

    Args:
      steps: `chunks.step_spec` of the agent and the environment; extras, which a dataset does not have, are zero.
      trajectories: at least one, as the spec says.
    """
    lengths = np.array([len(trajectory.discount) for trajectory in trajectories])
    last_rows = np.cumsum(lengths + 1) - 1
    num_rows, num_starts = int(np.sum(lengths + 1)), int(np.sum(lengths))
    rows = chunks.zeros(steps, num_rows)
    rows.last[last_rows] = True
    starts = np.flatnonzero(~rows.last).astype(np.int32)
    for field in ("action", "reward", "discount"):
        getattr(rows, field)[starts] = np.concatenate([getattr(trajectory, field) for trajectory in trajectories])
    observations = jax.tree.map(lambda *x: np.concatenate(x), *(t.observation for t in trajectories))
    return StoreState(
        steps=jax.tree.map(jnp.asarray, rows._replace(observation=observations)),
        starts=jnp.asarray(starts),
        oldest=jnp.int32(0),
        size=jnp.int32(num_starts),
    )


def equal_priorities(state: StoreState, exponent: float) -> Priorities:
    """The priorities of a store that is filled for good: all alike."""
    num_starts = state.starts.shape[0]
    return priorities_lib.add(priorities_lib.make(num_starts), jnp.arange(num_starts), exponent)


def sample(
    held: Mapping[str, StoreState], priorities: Mapping[str, Priorities], key: Key, replay: ReplaySpec
) -> tuple[Transition, Array]:
    """A batch of transitions, each from a source drawn by its share. Pure; call it under jit.

    Args:
      held: a store for each of the replay's sources, holding at least one transition.
      priorities: each store's; of none where transitions are drawn uniformly.
      key: random key.
      replay: batch size, experience and sources.

    Returns:
      Transitions, batch-major, drawn with replacement from all that a source holds; and each one's place [B] int32 in
      its store's ring of starts.
    """
    batch_size, experience = replay.batch_size, replay.experience
    assert isinstance(experience, Transitions)
    (first, _), *others = shares = list(replay.sources.items())
    if not others:
        return _sample_one(held[first], priorities.get(first), 0, key, batch_size, experience)
    source_key, *keys = jax.random.split(key, 1 + len(shares))
    logits = jnp.log(jnp.array([share for _, share in shares], jnp.float32))
    chosen = jax.random.categorical(source_key, logits, shape=(batch_size,))  # [B]
    drawn = _sample_one(held[first], priorities.get(first), 0, keys[0], batch_size, experience)
    for i, (name, _) in enumerate(others, start=1):
        other = _sample_one(held[name], priorities.get(name), i, keys[i], batch_size, experience)
        drawn = jax.tree.map(functools.partial(_where, chosen == i), other, drawn)
    return drawn


def reprioritise(
    priorities: Mapping[str, Priorities], info: SampleInfo, places: Array, new: Array, replay: ReplaySpec
) -> dict[str, Priorities]:
    """Gives what was drawn new priorities, each in the source that it is from. Pure; call it under jit.

    Args:
      priorities: each source's.
      info: of the batch.
      places: [B] int32, from `sample`.
      new: [B] float32.
      replay: sources and exponent.
    """
    result = {}
    for i, name in enumerate(replay.sources):
        mine = info.source == i
        items, values = jnp.where(mine, places, _NOWHERE), jnp.where(mine, new, 0.0)
        result[name] = priorities_lib.change(priorities[name], items, values, replay.priority_exponent)
    return result


def _where(chosen: Array, x: Array, y: Array) -> Array:
    """`x` [B, ...] where `chosen` [B], `y` elsewhere."""
    return jnp.where(chosen.reshape(-1, *[1] * (x.ndim - 1)), x, y)


def _sample_one(
    state: StoreState, priorities: Priorities | None, source: int, key: Key, batch_size: int, experience: Transitions
) -> tuple[Transition, Array]:
    """What `sample` returns of one source alone."""
    if priorities is None:
        index = jax.random.randint(key, (batch_size,), 0, state.size)
        places = (state.oldest + index) % state.starts.shape[0]
        probability = jnp.full(batch_size, 1.0 / state.size)
    else:
        places, probability = priorities_lib.sample(priorities, key, batch_size)
    info = SampleInfo(probability, jnp.full(batch_size, source, jnp.int32))
    return _gather(state, places, experience)._replace(sample_info=info), places


def _gather(state: StoreState, places: Array, experience: Transitions) -> Transition:
    """The transitions that begin at `places` [B] of the ring of starts.

    A window that meets the episode's end stops there and bootstraps from its final observation, with discount zero
    after a termination.
    """
    row = state.starts[places]  # [B]
    num_rows = state.steps.last.shape[0]
    window = (row[:, None] + jnp.arange(experience.n)[None]) % num_rows  # [B, n]
    valid = jnp.cumprod(~state.steps.last[window], axis=1).astype(bool)
    reward, discount, num_steps = returns.n_step(
        state.steps.reward[window], state.steps.discount[window], valid, experience.discount
    )
    next_row = (row + num_steps) % num_rows
    return Transition(
        observation=jax.tree.map(lambda x: x[row], state.steps.observation),
        action=state.steps.action[row],
        reward=reward,
        discount=discount,
        next_observation=jax.tree.map(lambda x: x[next_row], state.steps.observation),
        next_action=state.steps.action[next_row],
        next_last=state.steps.last[next_row],
        extras=jax.tree.map(lambda x: x[row], state.steps.extras),
    )


def _num_rows(replay: ReplaySpec) -> int:
    """Rows for `max_size` transitions in full chunks, and for one chunk more."""
    rows = chunks.layout(replay.experience).num_rows
    return -(-replay.max_size * rows // chunks.PERIOD) + rows


@functools.partial(jax.jit, donate_argnums=0)
def _scatter(
    state: StoreState, steps: Step, rows: Array, starts: Array, start_rows: Array, oldest: Array, size: Array
) -> StoreState:
    """Writes [C, T] rows and [C, PERIOD] starts to their places, in place."""

    def put(ring: Array, value: Array) -> Array:
        return ring.at[rows.reshape(-1)].set(value.reshape(-1, *ring.shape[1:]), mode="drop")

    return StoreState(
        steps=jax.tree.map(put, state.steps, steps),
        starts=state.starts.at[starts.reshape(-1)].set(start_rows.reshape(-1), mode="drop"),
        oldest=oldest,
        size=size,
    )


def _replace(
    tree: Priorities, evicted: Sequence[np.ndarray], new: np.ndarray, num_starts: int, exponent: float
) -> Priorities:
    """Removes the priorities of what was evicted, and then adds those of what is new, both places in the ring."""
    gone = np.concatenate([np.zeros(0, np.int64), *evicted])
    for i in range(0, len(gone), _REMOVE_BATCH):
        places = np.full(_REMOVE_BATCH, _NOWHERE, np.int32)
        places[: len(gone) - i] = gone[i : i + _REMOVE_BATCH]
        tree = _remove(tree, places)
    return _add(tree, np.where(new < num_starts, new, _NOWHERE).reshape(-1), exponent)


_remove = jax.jit(priorities_lib.remove, donate_argnums=0)
_add = jax.jit(priorities_lib.add, donate_argnums=0)
