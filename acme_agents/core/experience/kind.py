"""The protocol of a kind of experience."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from acme_agents.core.types import Array, Step, Stretch


class Piece(NamedTuple):
    """A chunk of an episode, by its steps."""

    first: int  # the step of the episode that is in the chunk's first row
    num_steps: int  # rows in use, the episode's final observation included if it is among them
    num_starts: int  # rows before the episode's next chunk, or before its final observation


class Layout(NamedTuple):
    """How episodes are cut into overlapping chunks."""

    num_rows: int  # T, rows of a chunk
    period: int  # steps from one chunk's first row to the next one's
    max_starts: int  # rows of an episode's last chunk, its final observation aside
    across: bool = False  # whether a chunk goes on into the next episode, final observations being rows among others

    def cut_all(self, lengths: Iterable[int]) -> Iterator[tuple[int, Piece]]:
        """The chunks of episodes of these many steps, in order, each with its first row among the rows of all.

        Chunks that go on into the next episode are whole; what is left behind the last one is left out.
        """
        row = 0
        if self.across:
            num_rows = sum(length + 1 for length in lengths)
            for row in range(0, num_rows - self.period + 1, self.period):
                yield row, Piece(0, self.num_rows, self.period)
            return
        for length in lengths:
            for piece in self.cut(length):
                yield row + piece.first, piece
            row += length + 1

    def cut(self, length: int, first: int = 0) -> Iterator[Piece]:
        """The chunks of one episode of `length` steps, in their order, from the one that begins at step `first`."""
        rows_left = length + 1 - first
        while rows_left > 1:
            whole = rows_left > self.num_rows
            starts = self.period if whole else min(self.max_starts, rows_left - 1)
            yield Piece(first, min(rows_left, self.num_rows), starts)
            first, rows_left = first + starts, rows_left - starts


class Rows(NamedTuple):
    """Rows of many episodes, each in order, and where each item begins: batches are gathered from them."""

    steps: Step  # [R, ...], a ring
    item_rows: Any  # [N] int32: the row at which each item begins
    items: Any  # a pytree of [N, ...]: what the kind stores of each item besides its rows


class Experience(Protocol):
    """A kind of experience: data, and pure functions of it."""

    @property
    def noun(self) -> str:
        """The plural name of its items, for messages: "transitions"."""

    @property
    def layout(self) -> Layout:
        """How episodes are cut into chunks."""

    @property
    def once(self) -> bool:
        """Whether each item is learned from once, in order, and a chunk is an item; otherwise items are drawn."""

    @property
    def reach(self) -> int:
        """The most steps of an episode that one item spans."""

    @property
    def problem(self) -> str:
        """What is wrong with its numbers, as the end of a sentence; empty if nothing is."""

    @property
    def items_per_chunk(self) -> int:
        """Items of a full chunk: the most that a chunk holds."""

    def num_items(self, piece: Any) -> Any:
        """Items that a chunk, or a `Piece`, holds; an integer, or an array where the chunk's numbers are arrays."""

    def item_spec(self, steps: Step) -> Any:
        """The `ArraySpec` pytree of one element of `Rows.items`, given the spec of a step."""

    def describe(self, chunk: Any) -> Any:
        """The elements of `Rows.items` for a chunk: a pytree of [`items_per_chunk`, ...] arrays."""

    def gather(self, rows: Rows, places: Array, stride: int = 1) -> Any:
        """The batch of the items at `places` [B] int32, without `sample_info`. Pure.

        The rows of an episode are `stride` apart; R is a multiple of it.
        """

    def steps_for(self, num_items: int) -> int:
        """How many environment steps of one long episode yield `num_items`."""

    # What changes rewards asks for `unsummed`, sees its batches as stretches, and hands on what `rewarded` makes.

    @property
    def unsummed(self) -> "Experience":
        """The kind of the same items, cut and drawn alike, whose batches have all rows; itself if its own have."""

    def stretch(self, batch: Any) -> Stretch:
        """The rows of a batch of `unsummed`. Pure."""

    def rewarded(self, batch: Any, reward: Array) -> Any:
        """The batch of this kind with the items of a batch of `unsummed`, and other rewards [B, T] float32. Pure.

        With the rewards of `stretch`, it is the batch that this kind would have gathered.
        """
