"""A dataset larger than memory: a part of it is in a ring, and blocks from the disk take the place of the oldest ones.

The rows are cut into blocks of whole chunks, of about equal size. A block is read by one call for each array, which is
how disks are fast, and blocks come in a random order, a new one for each pass over the dataset. Each replaces the block
that has been in the ring for longest. So many come per update that an item is drawn about once while it is there: in
the mean it is drawn as often as from a dataset that is all in memory.

What differs from drawing uniformly from the whole dataset: the items of a batch are of the blocks that are in the ring
together, a random part of all. Over a pass each item is as likely to be drawn as any other, but for two things: items
of a block that is there while the ring holds more of them than at other times are drawn a little less often, which
evens out over passes; and the blocks that are there at the start, which all come at once, leave one after the other,
so that in the first pass some of them are drawn from for less than a whole stay.

What is in the ring depends on the seed and on the number of items drawn so far, so that a run goes on from its
checkpoint as it would have gone on without a stop. Priorities do not outlast a stay.
"""

import collections
import concurrent.futures
import functools
import itertools
import logging
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from acme_agents.core import computing, errors
from acme_agents.core.experience import Experience, Piece, Rows, with_items
from acme_agents.core.interfaces import ReplaySpec
from acme_agents.core.types import Array, Step
from acme_agents.replay import chunks, ring, sizes
from acme_agents.replay import priorities as priorities_lib
from acme_agents.replay.chunks import Chunk
from acme_agents.replay.ring import RingState
from acme_agents.replay.sources import Dataset

_BLOCKS = 64  # that the ring holds, about: more mix better, and larger ones are read faster
_MOST_BYTES = 2**24  # of a block: reading becomes no faster beyond it
_LEAST_BLOCKS = 4  # that the ring holds
_AHEAD = 2  # blocks that are read before they are due
_BESIDE = _AHEAD + 3  # blocks in memory beside the ring: one is on its way into it, and is copied twice


class StoredRows(Protocol):
    """The rows of episodes on the disk, `datasets.Stored`.

    Attributes:
      lengths: [E] int32, the steps of each episode; it has a row more, for its final observation.
      num_rows: of all episodes together.
    """

    lengths: np.ndarray
    num_rows: int

    def read(self, first: int, stop: int) -> Step:
        """The rows from `first` to before `stop`, without extras: NumPy arrays."""


class _Block(NamedTuple):
    """Consecutive chunks."""

    episode: int  # where its first chunk is
    step: int  # of that episode, where that chunk begins
    row: int  # the same, among the rows of all episodes
    end: int  # the row where the next block's first chunk begins
    stop: int  # the row behind the last one that is needed
    num_items: int

    @property
    def start(self) -> int:
        """The first row that is needed: the action before the first chunk is described with it."""
        return max(self.row - 1, 0)


class RotatingRing(Dataset):
    """A ring that holds a part of a dataset, and in time each part.

    Attributes:
      state: the ring.
      priorities: of the items in it, by their place; an empty tuple if items are drawn uniformly.
    """

    def __init__(
        self, steps: Step, replay: ReplaySpec, stored: StoredRows, memory: int, seed: int, num_devices: int = 1
    ):
        """Allocates the ring; `recover` fills it.

        Args:
          steps: `chunks.step_spec` of the agent and the environment.
          replay: the agent's.
          stored: the dataset's rows.
          memory: bytes for the ring and for the blocks that are being read.
          seed: of the order of the blocks.
          num_devices: of the learner; each has the whole ring.

        Raises:
          UserError: that is too little memory.
        """
        self._replay, self._stored, self._seed = replay, stored, seed
        item_bytes = chunks.nbytes(replay.experience.item_spec(steps)) + 4 + (8 if replay.priority_exponent else 0)
        per_row = chunks.nbytes(steps) + item_bytes  # A row begins at most one item.
        most_rows = max(min(memory // _BLOCKS, _MOST_BYTES) // per_row, 2 * replay.experience.layout.num_rows)
        self._blocks = _cut(stored.lengths, stored.num_rows, most_rows, replay.experience)
        self._block_rows = max(block.stop - block.start for block in self._blocks)
        self._block_items = max(block.num_items for block in self._blocks)
        block_bytes = self._block_rows * chunks.nbytes(steps) + self._block_items * item_bytes
        self._num_items = sum(block.num_items for block in self._blocks)
        if len(self._blocks) * block_bytes <= memory:
            self._num_slots = len(self._blocks)
        else:
            self._num_slots = min(memory // block_bytes - _BESIDE, len(self._blocks) - 1)
        if self._num_slots < min(_LEAST_BLOCKS, len(self._blocks)):
            least = (_LEAST_BLOCKS + _BESIDE) * block_bytes
            raise errors.UserError(
                f"The part of the dataset that is in memory cannot be as small as {sizes.gib(memory)}: the least is "
                f"about {least / 2**20:.3g} MiB (--dataset-memory)."
            )
        self.capacity = self._num_slots * self._block_items
        self._sampled = self._turn = 0  # items drawn so far; blocks that have come in after the first ones
        self._held: collections.deque[int] = collections.deque()  # items of each block, the oldest first
        self._place = 0  # of the next item
        self._exponent = replay.priority_exponent
        priorities = priorities_lib.make(self.capacity) if self._exponent else ()
        self.priorities: Any = computing.replicate(priorities, num_devices)
        state = ring.empty(steps, replay.experience, self._num_slots * self._block_rows, self.capacity)
        self.state: RingState = computing.replicate(state, num_devices)
        self._reader = concurrent.futures.ThreadPoolExecutor(1, "dataset")
        self._reading: collections.deque[concurrent.futures.Future[Rows]] = collections.deque()
        logging.info(
            "%s of %s %s in memory at a time, in %d of %d blocks; %s of memory.",
            f"{self._num_items * self._num_slots // len(self._blocks):,}",
            f"{self._num_items:,}",
            replay.experience.noun,
            self._num_slots,
            len(self._blocks),
            sizes.gib((self._num_slots + _BESIDE) * block_bytes),
        )

    @property
    def size(self) -> int:
        """Items that are in the ring."""
        return sum(self._held)

    @property
    def num_items(self) -> int:
        """Items of the whole dataset."""
        return self._num_items

    @property
    def is_whole(self) -> bool:
        """Whether the whole dataset fits, and so stays."""
        return self._num_slots == len(self._blocks)

    def ingest(self) -> float:
        """Takes in the blocks that are due; returns the updates until the next one is, infinite if none will be.

        Raises:
          DatasetError: the disk did not give a block.
        """
        if self.is_whole:
            return super().ingest()
        while self._turn < self._due():
            self._turn += 1
            self._insert(self._turn + self._num_slots - 1)
        left = (self._turn + 1) * self._num_items - self._sampled * len(self._blocks)
        return -(-left // (self._replay.batch_size * len(self._blocks)))

    def count(self, num_sampled: int) -> None:
        """Counts items that were drawn."""
        self._sampled += num_sampled

    def save(self) -> dict[str, Any]:
        """The number of items drawn so far."""
        return {"sampled": self._sampled}

    def restore(self, counts: dict[str, Any]) -> None:
        """Continues from what `save` returned, or from the start if the whole dataset was in memory until then."""
        self._sampled = counts.get("sampled", 0)

    def recover(self) -> list[Chunk]:
        """Fills the ring, unless another replay that shares it has done so; no chunks.

        Raises:
          DatasetError: the disk did not give a block.
        """
        if self._held:
            return []
        self._turn = 0 if self.is_whole else self._due()
        for number in range(self._turn, self._turn + self._num_slots):
            self._insert(number)
        return []

    def _due(self) -> int:
        """Blocks that should have come in after the first ones: one for every so many items drawn as a block has."""
        return self._sampled * len(self._blocks) // self._num_items

    def _insert(self, number: int) -> None:
        """Puts the block in the ring that is the given one in the order of all passes."""
        while len(self._reading) <= _AHEAD and not (self.is_whole and number + len(self._reading) >= self._num_slots):
            self._reading.append(self._reader.submit(self._read, number + len(self._reading)))
        new = self._reading.popleft().result()
        num_items = len(new.item_rows)
        evicted = []
        oldest = (self._place - self.size) % self.capacity
        if len(self._held) == self._num_slots:
            evicted = [(oldest + np.arange(self._held.popleft())) % self.capacity]
        places = np.full(self._block_items, ring.NOWHERE, np.int32)
        places[:num_items] = (self._place + np.arange(num_items)) % self.capacity
        self._held.append(num_items)
        self._place = (self._place + num_items) % self.capacity
        start = number % self._num_slots * self._block_rows
        self.state = _put(
            self.state,
            jax.tree.map(functools.partial(_padded, to=self._block_rows), new.steps),
            jax.tree.map(functools.partial(_padded, to=self._block_items), new.items),
            _padded(new.item_rows + np.int32(start), self._block_items),
            np.int32(start),
            places,
            np.int32((self._place - self.size) % self.capacity),
            np.int32(self.size),
        )
        if self._exponent:
            self.priorities = ring.replace_priorities(self.priorities, evicted, places, self.capacity, self._exponent)

    def _read(self, number: int) -> Rows:
        """Reads the block that is the given one in the order of all passes, and finds its items."""
        a_pass, place = divmod(number, len(self._blocks))
        block = self._blocks[_order(self._seed, a_pass, len(self._blocks))[place]]
        rows = self._stored.read(block.start, block.stop)
        pieces = ((row - block.start, piece) for row, piece in self._pieces(block))
        return with_items(rows, pieces, self._replay.experience)

    def _pieces(self, block: _Block) -> Iterator[tuple[int, Piece]]:
        """The chunks of a block, each with its first row among those of all episodes."""
        row, step = block.row - block.step, block.step  # of the episode's beginning
        for episode in itertools.count(block.episode):
            length = int(self._stored.lengths[episode])
            for piece in self._replay.experience.layout.cut(length, step):
                if row + piece.first >= block.end:
                    return
                yield row + piece.first, piece
            row, step = row + length + 1, 0
            if row >= block.end:
                return


def num_bytes(steps: Step, replay: ReplaySpec, num_rows: int) -> int:
    """Bytes that the ring takes with all rows of a dataset in it, about."""
    return num_rows * (chunks.nbytes(steps) + chunks.nbytes(replay.experience.item_spec(steps)) + 4)


def _cut(lengths: np.ndarray, num_rows: int, most_rows: int, experience: Experience) -> list[_Block]:
    """Cuts the rows into blocks of about equal size, each of whole chunks and of about `most_rows` at most."""
    each = num_rows / -(-num_rows // most_rows)
    blocks: list[_Block] = []
    row = 0
    begun: _Block | None = None
    for episode, length in enumerate(lengths.tolist()):
        for piece in experience.layout.cut(length):
            start = row + piece.first
            if begun is not None and start >= (len(blocks) + 1) * each:
                blocks.append(begun._replace(end=start))
                begun = None
            if begun is None:
                begun = _Block(episode, piece.first, start, 0, 0, 0)
            begun = begun._replace(
                stop=max(begun.stop, start + piece.num_steps),
                num_items=begun.num_items + int(experience.num_items(piece)),
            )
        row += length + 1
    assert begun is not None
    return [*blocks, begun._replace(end=row)]


@functools.lru_cache(2)
def _order(seed: int, number: int, num_blocks: int) -> np.ndarray:
    """The order of the blocks in a pass."""
    return np.random.default_rng((seed, number)).permutation(num_blocks)


def _padded(array: np.ndarray, to: int) -> np.ndarray:
    """The array [N, ...] with zeros behind it, [to, ...]."""
    if len(array) == to:
        return array
    result = np.zeros((to, *array.shape[1:]), array.dtype)
    result[: len(array)] = array
    return result


@functools.partial(jax.jit, donate_argnums=0)
def _put(
    state: RingState, steps: Step, items: Any, item_rows: Array, start: Array, places: Array, oldest: Array, size: Array
) -> RingState:
    """Writes the rows of a block from row `start` on, and its items to their places, in place."""
    rows = state.rows

    def put_rows(old: Array, new: Array) -> Array:
        return jax.lax.dynamic_update_slice_in_dim(old, new, start, 0)

    def put_items(old: Array, new: Array) -> Array:
        return old.at[places].set(new, mode="drop")

    written = jax.tree.map(put_rows, rows.steps._replace(extras=()), steps)
    return RingState(
        rows=Rows(
            steps=written._replace(extras=rows.steps.extras),  # which a dataset does not have
            item_rows=put_items(rows.item_rows, item_rows),
            items=jax.tree.map(put_items, rows.items, items),
        ),
        oldest=oldest,
        size=size,
    )
