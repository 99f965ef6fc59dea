"""A ring of steps where the learner computes, and batches gathered from it under jit."""

import collections
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core import computing
from acme_agents.core.experience import Experience, Rows, of_trajectories
from acme_agents.core.interfaces import ReplaySpec
from acme_agents.core.types import Array, Key, SampleInfo, Step, Trajectory
from acme_agents.replay import chunks
from acme_agents.replay import priorities as priorities_lib
from acme_agents.replay.chunks import Chunk
from acme_agents.replay.priorities import Priorities

_INSERT_BATCH = 8  # chunks that one call of the jitted insertion takes
NOWHERE = 2**30  # a place that no ring has


class RingState(NamedTuple):
    """The arrays on the device. A chunk's rows are consecutive; items are in a ring too, oldest first."""

    rows: Rows
    oldest: Array  # [] int32, place of the oldest item
    size: Array  # [] int32, items held


class Ring:
    """Holds the newest items, at most `max_size`, and evicts whole chunks, oldest first.

    Attributes:
      state: the arrays on the device.
      priorities: of the items, by their place; an empty tuple if items are drawn uniformly. Updates replace it.
    """

    def __init__(self, steps: Step, replay: ReplaySpec, num_devices: int = 1):
        """Initialises an empty ring and allocates all of its memory.

        Args:
          steps: `chunks.step_spec` of the agent and the environment.
          replay: the agent's.
          num_devices: of the learner; each has the whole ring.
        """
        self._experience = experience = replay.experience
        self._num_rows = num_rows(replay)
        self._num_places = replay.max_size
        self._row = self._place = self._size = self._rows_used = 0  # next row, next place, items held, rows held
        self._held: collections.deque[tuple[int, int]] = collections.deque()  # rows and items of each chunk
        self._exponent = replay.priority_exponent
        priorities = priorities_lib.make(self._num_places) if self._exponent else ()
        self.priorities: Any = computing.replicate(priorities, num_devices)
        state = empty(steps, experience, self._num_rows, self._num_places)
        self.state: RingState = computing.replicate(state, num_devices)

    @property
    def size(self) -> int:
        """Items held."""
        return self._size

    def insert(self, new: Sequence[Chunk]) -> int:
        """Adds chunks, oldest first; returns how many items they hold."""
        for i in range(0, len(new), _INSERT_BATCH):
            self._insert(new[i : i + _INSERT_BATCH])
        return int(sum(map(self._experience.num_items, new)))

    def _insert(self, new: Sequence[Chunk]) -> None:
        padded = [*new, *[new[0]] * (_INSERT_BATCH - len(new))]
        steps = jax.tree.map(lambda *x: np.stack(x), *(chunk.steps for chunk in padded))  # [C, T, ...]
        items = jax.tree.map(lambda *x: np.stack(x), *map(self._experience.describe, padded))  # [C, I, ...]
        # Where each row and each item goes; out of range is dropped.
        rows = np.full(steps.last.shape, self._num_rows, np.int32)
        places = np.full((_INSERT_BATCH, self._experience.items_per_chunk), self._num_places, np.int32)
        item_rows = np.zeros_like(places)
        evicted: list[np.ndarray] = []  # places
        for i, chunk in enumerate(new):
            num_steps, num_items = int(chunk.num_steps), int(self._experience.num_items(chunk))
            evicted += self._make_room(num_steps, num_items)
            rows[i, :num_steps] = (self._row + np.arange(num_steps)) % self._num_rows
            places[i, :num_items] = (self._place + np.arange(num_items)) % self._num_places
            item_rows[i, :num_items] = rows[i, :num_items]
            self._row = (self._row + num_steps) % self._num_rows
            self._place = (self._place + num_items) % self._num_places
        # Drop chunks that came and went within this call: two writes to one place have no order.
        gone = max(0, len(new) - len(self._held))
        rows[:gone], places[:gone] = self._num_rows, self._num_places
        oldest = (self._place - self._size) % self._num_places
        self.state = _scatter(self.state, steps, items, rows, places, item_rows, np.int32(oldest), np.int32(self._size))
        if self._exponent:
            self.priorities = replace_priorities(self.priorities, evicted, places, self._num_places, self._exponent)

    def _make_room(self, num_steps: int, num_items: int) -> list[np.ndarray]:
        """Counts a chunk in and evicts the oldest chunks to make room; returns the places of their items."""
        self._held.append((num_steps, num_items))
        self._rows_used += num_steps
        self._size += num_items
        evicted = []
        while self._rows_used > self._num_rows or self._size > self._num_places:
            oldest = self._place + num_items - self._size
            old_steps, old_items = self._held.popleft()
            self._rows_used -= old_steps
            self._size -= old_items
            evicted.append((oldest + np.arange(old_items)) % self._num_places)
        return evicted


def num_bytes(steps: Step, replay: ReplaySpec) -> int:
    """Bytes that a ring of `max_size` items takes."""
    per_item = 4 + chunks.nbytes(replay.experience.item_spec(steps))
    return num_rows(replay) * chunks.nbytes(steps) + replay.max_size * per_item


def empty(steps: Step, experience: Experience, num_rows: int, num_places: int) -> RingState:
    """A ring with room for rows and for items, and nothing in it.

    Args:
      steps: `chunks.step_spec` of the agent and the environment.
      experience: the kind of the items.
      num_rows: rows that there is room for.
      num_places: items that there is room for.
    """

    def zeros(number: int, spec: Any) -> Any:
        return jax.tree.map(lambda s: jnp.zeros((number, *s.shape), s.dtype), spec)

    rows = Rows(
        zeros(num_rows, steps), jnp.zeros(num_places, jnp.int32), zeros(num_places, experience.item_spec(steps))
    )
    return RingState(rows, oldest=jnp.int32(0), size=jnp.int32(0))


def from_trajectories(steps: Step, trajectories: Sequence[Trajectory], experience: Experience) -> RingState:
    """A ring that holds every item of the given episodes and never changes.

    Args:
      steps: `chunks.step_spec` of the agent and the environment; a dataset has no extras, so these are zero.
      trajectories: at least one; they fit the spec.
      experience: the agent's.
    """
    rows = jax.tree.map(jnp.asarray, of_trajectories(steps, trajectories, experience))
    return RingState(rows, jnp.int32(0), jnp.int32(rows.item_rows.shape[0]))


def padded(state: RingState) -> RingState:
    """The same items with room for as many as the next power of two, and rows likewise: nothing is drawn from the rest.

    Datasets that grow then have few shapes, for each of which updates are compiled once.
    """

    def pad(x: Array) -> Array:
        return jnp.pad(x, [(0, padded_size(x.shape[0]) - x.shape[0]), *[(0, 0)] * (x.ndim - 1)])

    return state._replace(rows=jax.tree.map(pad, state.rows))


def padded_size(number: int) -> int:
    """The next power of two."""
    return 1 << (number - 1).bit_length()


def equal_priorities(state: RingState, exponent: float) -> Priorities:
    """Equal priorities for every item of a ring that never changes."""
    tree = priorities_lib.make(state.rows.item_rows.shape[0])
    return priorities_lib.add(tree, jnp.arange(int(state.size)), exponent)


def sample(
    held: Mapping[str, RingState],
    priorities: Mapping[str, Priorities],
    key: Key,
    replay: ReplaySpec,
    stride: int = 1,
) -> tuple[Any, Array]:
    """Draws a batch: for each item a source by its share, then an item of that source. Pure; call it under jit.

    Args:
      held: a ring for each of the replay's sources, holding at least one item.
      priorities: each ring's, where items are drawn by priority.
      key: random key.
      replay: batch size, experience and sources.
      stride: from one row of an episode to its next.

    Returns:
      The batch, drawn with replacement, and the place [B] int32 of each item in its ring.
    """
    batch_size = replay.batch_size
    gather = functools.partial(replay.experience.gather, stride=stride)
    (first, _), *others = shares = list(replay.sources.items())
    if not others:
        return _sample_one(held[first], priorities.get(first), 0, key, batch_size, gather)
    source_key, *keys = jax.random.split(key, 1 + len(shares))
    logits = jnp.log(jnp.array([share for _, share in shares], jnp.float32))
    chosen = jax.random.categorical(source_key, logits, shape=(batch_size,))  # [B]
    drawn = _sample_one(held[first], priorities.get(first), 0, keys[0], batch_size, gather)
    for i, (name, _) in enumerate(others, start=1):
        other = _sample_one(held[name], priorities.get(name), i, keys[i], batch_size, gather)
        drawn = jax.tree.map(functools.partial(_where, chosen == i), other, drawn)
    return drawn


def reprioritise(
    priorities: Mapping[str, Priorities], info: SampleInfo, places: Array, new: Array, replay: ReplaySpec
) -> dict[str, Priorities]:
    """Gives the items of a batch new priorities, each in its own source. Pure; call it under jit.

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
        items, values = jnp.where(mine, places, NOWHERE), jnp.where(mine, new, 0.0)
        result[name] = priorities_lib.change(priorities[name], items, values, replay.priority_exponent)
    return result


def _where(chosen: Array, x: Array, y: Array) -> Array:
    """`x` [B, ...] where `chosen` [B], `y` elsewhere."""
    return jnp.where(chosen.reshape(-1, *[1] * (x.ndim - 1)), x, y)


def _sample_one(
    state: RingState,
    priorities: Priorities | None,
    source: int,
    key: Key,
    batch_size: int,
    gather: Callable[[Rows, Array], Any],
) -> tuple[Any, Array]:
    """What `sample` returns if there is only this source."""
    if priorities is None:
        index = jax.random.randint(key, (batch_size,), 0, state.size)
        places = (state.oldest + index) % state.rows.item_rows.shape[0]
        probability = jnp.full(batch_size, 1.0 / state.size)
    else:
        places, probability = priorities_lib.sample(priorities, key, batch_size)
    info = SampleInfo(probability, jnp.full(batch_size, source, jnp.int32))
    return gather(state.rows, places)._replace(sample_info=info), places


def num_rows(replay: ReplaySpec) -> int:
    """Rows for `max_size` items in full chunks, and for one further chunk."""
    rows = replay.experience.layout.num_rows
    return -(-replay.max_size * rows // replay.experience.items_per_chunk) + rows


@functools.partial(jax.jit, donate_argnums=0)
def _scatter(
    state: RingState, steps: Step, items: Any, rows: Array, places: Array, item_rows: Array, oldest: Array, size: Array
) -> RingState:
    """Writes [C, T] rows and [C, I] items to their places, in place."""

    def put(where: Array, ring: Array, value: Array) -> Array:
        return ring.at[where.reshape(-1)].set(value.reshape(-1, *ring.shape[1:]), mode="drop")

    put_items = functools.partial(put, places)
    return RingState(
        rows=Rows(
            steps=jax.tree.map(functools.partial(put, rows), state.rows.steps, steps),
            item_rows=put_items(state.rows.item_rows, item_rows),
            items=jax.tree.map(put_items, state.rows.items, items),
        ),
        oldest=oldest,
        size=size,
    )


def replace_priorities(
    tree: Priorities, evicted: Sequence[np.ndarray], new: np.ndarray, num_places: int, exponent: float
) -> Priorities:
    """Removes the priorities of evicted items, then adds those of new items; both are given by their places."""
    gone = np.concatenate([np.zeros(0, np.int64), *evicted])
    for i in range(0, len(gone), new.size):
        places = np.full(new.size, NOWHERE, np.int32)
        places[: len(gone) - i] = gone[i : i + new.size]
        tree = _remove(tree, places)
    return _add(tree, np.where(new < num_places, new, NOWHERE).reshape(-1), exponent)


_remove = jax.jit(priorities_lib.remove, donate_argnums=0)
_add = jax.jit(priorities_lib.add, donate_argnums=0)
