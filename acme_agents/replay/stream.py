"""A ring that is written to under jit: by N environments that step together, a row each in every round.

A round is one time step of all environments. The row of an environment is the step that it takes in that round, or,
in the round after an episode's end, the episode's final observation. Rows are in the order of the rounds, so that the
rows of one episode lie N apart. Episodes are cut into chunks as `replay.writer` cuts them; only the items of complete
chunks can be drawn, and whole chunks leave, oldest first, as in `ring.Ring`. With one environment the items and
their order are those of `ring.Ring`.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.experience import Experience, Layout
from acme_agents.core.interfaces import ReplaySpec
from acme_agents.core.types import Array, Step
from acme_agents.replay import priorities as priorities_lib
from acme_agents.replay import ring
from acme_agents.replay.chunks import Chunk
from acme_agents.replay.ring import RingState

_FILL_BATCH = 64  # chunks that one call of the insertion takes when a stream is filled


class Pieces(NamedTuple):
    """Chunks of the ring, by their rows: [W, ...]."""

    row: Any  # int32, of the ring: the first row
    num_steps: Any  # int32, as in `chunks.Chunk`; 0 if there is no chunk here
    num_starts: Any  # int32, as in `chunks.Chunk`
    episode_step: Any  # int32, as in `chunks.Chunk`


class Stream(NamedTuple):
    """The arrays on the device."""

    ring: RingState
    priorities: Any  # of the items, by their place; an empty tuple if items are drawn uniformly
    round: Array  # [] int32, the next round
    first: Array  # [N] int32, the round of the first row of the chunk that is being written
    length: Array  # [N] int32, rows of that chunk so far
    episode_step: Array  # [N] int32, the step of the episode in its first row
    pieces: Pieces  # [K], the chunks that are held, in a ring of their own
    num_pieces: Array  # [] int32, chunks inserted so far
    num_gone: Array  # [] int32, chunks that have left
    rows_used: Array  # [] int32, rows of the held chunks, as `ring.Ring` counts them


class Layouts(NamedTuple):
    """The sizes of a stream's arrays."""

    num_envs: int
    num_rounds: int  # that the ring holds
    num_rows: int  # that the held chunks may have
    num_pieces: int  # chunks that it can hold
    per_round: int  # the most chunks that one environment completes in one round


def layouts(replay: ReplaySpec, num_envs: int) -> Layouts:
    """The sizes for an agent's replay."""
    layout = replay.experience.layout
    num_rows = ring.num_rows(replay)
    per_round = max(len(list(layout.cut(length))) for length in range(1, layout.num_rows + 1))
    # Beside the held rows: unfinished chunks, those of unequal age side by side, and what a restart brings unevenly.
    num_rounds = -(-num_rows // num_envs) + 4 * (layout.num_rows + 1)
    num_pieces = min(replay.max_size, num_rows // 2) + num_envs * per_round
    return Layouts(num_envs, num_rounds, num_rows, num_pieces, per_round)


def num_bytes(steps: Step, replay: ReplaySpec, num_envs: int) -> int:
    """Bytes that a stream takes."""
    shape = jax.eval_shape(lambda: make(steps, replay, num_envs))
    return sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(shape))


def make(steps: Step, replay: ReplaySpec, num_envs: int) -> Stream:
    """An empty stream.

    Args:
      steps: `chunks.step_spec` of the agent and the environment.
      replay: the agent's.
      num_envs: N.
    """
    sizes = layouts(replay, num_envs)

    def counts(*shape: int) -> Array:
        return jnp.zeros(shape, jnp.int32)

    return Stream(
        ring=ring.empty(steps, replay.experience, sizes.num_rounds * num_envs, replay.max_size),
        priorities=priorities_lib.make(replay.max_size) if replay.priority_exponent else (),
        round=counts(),
        first=counts(num_envs),
        length=counts(num_envs),
        episode_step=counts(num_envs),
        pieces=Pieces(*(counts(sizes.num_pieces) for _ in Pieces._fields)),
        num_pieces=counts(),
        num_gone=counts(),
        rows_used=counts(),
    )


def write(
    stream: Stream, steps: Step, is_ending: Array, layout: Layout, per_round: int, active: Array | bool = True
) -> tuple[Stream, Pieces]:
    """Writes a round, and cuts off the chunks that it completes.

    Args:
      stream: to write to.
      steps: [N, ...], a row of each environment; `last` is set where it is an episode's final observation.
      is_ending: [N] bool, whether that step led to an episode's final observation, which comes in the next round.
      layout: how episodes are cut.
      per_round: of `Layouts`.
      active: [] bool; where it is False, nothing is written.

    Returns:
      The stream, and the complete chunks [N * per_round], each environment's in order; `insert` makes them items.
    """
    num_envs = stream.first.shape[0]
    num_rows = stream.ring.rows.steps.last.shape[0]
    start = stream.round * num_envs % num_rows
    rows = jax.tree.map(
        lambda all_rows, new: jax.lax.dynamic_update_slice_in_dim(all_rows, new.astype(all_rows.dtype), start, 0),
        stream.ring.rows.steps,
        steps,
    )
    first, count, episode_step, pieces = stream.first, stream.length + 1, stream.episode_step, []
    for i in range(per_round):
        is_long = count > layout.num_rows  # Only with the final observation.
        complete = jnp.where(steps.last, count > 1, (count == layout.num_rows) & ~is_ending & (i == 0))
        starts = jnp.where(steps.last & ~is_long, jnp.minimum(layout.max_starts, count - 1), layout.period)
        length = jnp.minimum(count, layout.num_rows)
        complete = complete & active
        row = (first * num_envs + jnp.arange(num_envs)) % num_rows
        pieces.append(Pieces(row, *(jnp.where(complete, x, 0) for x in (length, starts, episode_step))))
        starts = jnp.where(complete, starts, 0)
        first, count, episode_step = first + starts, count - starts, episode_step + starts
    progress = (
        stream.round + 1,
        jnp.where(steps.last, stream.round + 1, first),
        jnp.where(steps.last, 0, count),
        jnp.where(steps.last, 0, episode_step),
    )
    # A row that is written and not counted is overwritten.
    before = stream.round, stream.first, stream.length, stream.episode_step
    progress = jax.tree.map(lambda new, old: jnp.where(active, new, old), progress, before)
    ring_state = stream.ring._replace(rows=stream.ring.rows._replace(steps=rows))
    round_number, first, count, episode_step = progress
    stream = stream._replace(ring=ring_state, round=round_number, first=first, length=count, episode_step=episode_step)
    # [N * per_round]
    return stream, jax.tree.map(lambda *x: jnp.stack(x, axis=1).reshape(-1), *pieces)


def num_items(pieces: Pieces, experience: Experience) -> Array:
    """Items of each chunk, [W] int32; 0 where there is none."""
    return jnp.where(pieces.num_steps > 0, experience.num_items(pieces), 0)


def insert(stream: Stream, pieces: Pieces, replay: ReplaySpec, described: Any = None) -> Stream:
    """Makes complete chunks drawable, and evicts the oldest ones to make room.

    Args:
      stream: in which their rows are written.
      pieces: [W], from `write`, in that order; those of no steps are ignored.
      replay: the agent's.
      described: what is stored of their items besides the rows, [W, I, ...]; None to find it in the rows.
    """
    described = _describe(stream, pieces, replay) if described is None else described
    experience, num_places = replay.experience, replay.max_size
    num_envs = stream.first.shape[0]
    rows, oldest, size = stream.ring.rows, stream.ring.oldest, stream.ring.size
    number = num_items(pieces, experience)  # [W]
    is_new = number > 0
    index = jnp.arange(experience.items_per_chunk)
    in_use = index[None] < number[:, None]  # [W, I]
    offset = jnp.cumsum(number) - number
    places = (oldest + size + offset[:, None] + index[None]) % num_places  # [W, I]
    # Of more new items than there is room for, the last ones stay: two writes to one place have no order.
    is_kept = in_use & (jnp.sum(number) - offset[:, None] - index[None] <= num_places)
    places = jnp.where(is_kept, places, ring.NOWHERE).reshape(-1)
    item_rows = (pieces.row[:, None] + index[None] * num_envs) % rows.steps.last.shape[0]

    def put(old: Array, new: Array) -> Array:
        return old.at[places].set(new.reshape(-1, *old.shape[1:]), mode="drop")

    rows = rows._replace(item_rows=put(rows.item_rows, item_rows), items=jax.tree.map(put, rows.items, described))
    # The chunks themselves.
    held = stream.pieces.row.shape[0]
    where = jnp.where(is_new, (stream.num_pieces + jnp.cumsum(is_new) - 1) % held, ring.NOWHERE)
    kept = jax.tree.map(lambda old, new: old.at[where].set(new, mode="drop"), stream.pieces, pieces)
    num_pieces = stream.num_pieces + jnp.sum(is_new)
    most_rows = ring.num_rows(replay)

    def is_too_much(state: tuple[Array, Array, Array]) -> Array:
        _, rows_used, size = state
        return (rows_used > most_rows) | (size > num_places)

    def evict(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        num_gone, rows_used, size = state
        piece = jax.tree.map(lambda x: x[num_gone % held], kept)
        return num_gone + 1, rows_used - piece.num_steps, size - jnp.int32(experience.num_items(piece))

    before = size + jnp.sum(number)
    num_gone, rows_used, size = jax.lax.while_loop(
        is_too_much, evict, (stream.num_gone, stream.rows_used + jnp.sum(pieces.num_steps), before)
    )
    gone = before - size
    if replay.priority_exponent:
        # As many items as could make room for these chunks.
        most = pieces.row.shape[0] * experience.layout.num_rows + experience.layout.num_rows
        evicted = jnp.where(jnp.arange(most) < gone, (oldest + jnp.arange(most)) % num_places, ring.NOWHERE)
        tree = priorities_lib.remove(stream.priorities, evicted)
        stream = stream._replace(priorities=priorities_lib.add(tree, places, replay.priority_exponent))
    return stream._replace(
        ring=RingState(rows, (oldest + gone) % num_places, size),
        pieces=kept,
        num_pieces=num_pieces,
        num_gone=num_gone,
        rows_used=rows_used,
    )


class _Described(NamedTuple):
    """The fields of a chunk that `Experience.describe` reads."""

    num_steps: Array
    num_starts: Array
    episode_step: Array
    previous_action: Array
    previous_reward: Array


def _describe(stream: Stream, pieces: Pieces, replay: ReplaySpec) -> Any:
    """What is stored of the items of chunks [W] besides their rows, [W, I, ...]."""
    num_envs, steps = stream.first.shape[0], stream.ring.rows.steps
    before = (pieces.row - num_envs) % steps.last.shape[0]

    def previous(x: Array) -> Array:
        value = x[before]
        follows = (pieces.episode_step > 0).reshape(-1, *[1] * (value.ndim - 1))
        return jnp.where(follows, value, jnp.zeros((), value.dtype))

    described = _Described(*pieces[1:], previous(steps.action), previous(steps.reward))
    return jax.vmap(replay.experience.describe)(described)


# On the host, between calls: what a checkpoint needs.


def filled(steps: Step, replay: ReplaySpec, num_envs: int, held: Sequence[Chunk]) -> Stream:
    """A stream that holds the newest of some chunks, as a checkpoint's log has them."""
    stream, sizes = make(steps, replay, num_envs), layouts(replay, num_envs)
    kept, rows_used, size = [], 0, 0
    for chunk in reversed(held):
        rows_used += int(chunk.num_steps)
        size += int(replay.experience.num_items(chunk))
        if rows_used > sizes.num_rows or size > replay.max_size:
            break
        kept.append(chunk)
    if not kept:
        return stream
    kept.reverse()
    heights = np.zeros(num_envs, np.int32)
    rows = jax.tree.map(np.array, stream.ring.rows.steps)
    places = []
    for chunk in kept:  # Below the shortest column.
        column, number = int(np.argmin(heights)), int(chunk.num_steps)
        where = (heights[column] + np.arange(number)) * num_envs + column
        places.append(where[0])
        heights[column] += number
        jax.tree.map(lambda x, new, where=where, number=number: x.__setitem__(where, new[:number]), rows, chunk.steps)
    start = jnp.int32(heights.max())
    stream = stream._replace(
        ring=stream.ring._replace(rows=stream.ring.rows._replace(steps=jax.tree.map(jnp.asarray, rows))),
        round=start,
        first=jnp.full(num_envs, start),
    )
    insert_some = jax.jit(lambda stream, pieces, items: insert(stream, pieces, replay, items), donate_argnums=0)
    for i in range(0, len(kept), _FILL_BATCH):
        some = kept[i : i + _FILL_BATCH]
        padding = _FILL_BATCH - len(some)
        pieces = Pieces(
            np.array([*places[i : i + _FILL_BATCH], *[0] * padding], np.int32),
            *(
                np.array([*(getattr(chunk, name) for chunk in some), *[0] * padding], np.int32)
                for name in Pieces._fields[1:]
            ),
        )
        items = [replay.experience.describe(chunk) for chunk in [*some, *[some[0]] * padding]]
        stream = insert_some(stream, pieces, jax.tree.map(lambda *x: np.stack(x), *items))
    return stream


def to_chunks(stream: Stream, after: int, writer: int, layout: Layout) -> list[Chunk]:
    """The held chunks from number `after` on, the oldest first.

    Args:
      stream: its arrays, of one seed.
      after: chunks inserted before.
      writer: their writer's number, plus the index of the environment.
      layout: how episodes are cut.
    """
    num_envs, steps = stream.first.shape[0], jax.tree.map(np.asarray, stream.ring.rows.steps)
    numbers = np.arange(max(after, int(stream.num_gone)), int(stream.num_pieces))
    if not numbers.size:
        return []
    held = stream.pieces.row.shape[0]
    pieces = jax.tree.map(lambda x: np.asarray(x)[numbers % held], stream.pieces)
    num_rows = steps.last.shape[0]
    index = np.arange(layout.num_rows)
    places = (pieces.row[:, None] + index[None] * num_envs) % num_rows
    in_use = index[None] < pieces.num_steps[:, None]

    def stretch(x: np.ndarray) -> np.ndarray:
        value = x[places]
        return np.where(in_use.reshape(*in_use.shape, *[1] * (value.ndim - 2)), value, np.zeros((), x.dtype))

    def previous(x: np.ndarray) -> np.ndarray:
        value = x[(pieces.row - num_envs) % num_rows]
        follows = (pieces.episode_step > 0).reshape(-1, *[1] * (value.ndim - 1))
        return np.where(follows, value, np.zeros((), x.dtype))

    now = time.time_ns()
    made = Chunk(
        steps=jax.tree.map(stretch, steps),
        num_steps=pieces.num_steps,
        num_starts=pieces.num_starts,
        episode_step=pieces.episode_step,
        previous_action=previous(steps.action),
        previous_reward=previous(steps.reward),
        writer=np.int64(writer) + pieces.row % num_envs,
        time_ns=now + np.arange(numbers.size),
        version=np.zeros(numbers.size, np.int32),
    )
    return [jax.tree.map(lambda x, i=i: x[i], made) for i in range(numbers.size)]
