"""Whole episodes, put together from the chunks of many writers."""

from collections.abc import Iterator, Sequence

import jax
import numpy as np

from acme_agents.core.types import Trajectory
from acme_agents.replay.chunks import Chunk


class EpisodeAssembler:
    """Takes `parts` of chunks, each writer's in order, and returns an episode when its last part has come."""

    def __init__(self) -> None:
        """Initialises with no episode begun."""
        self._begun: dict[int, list[Chunk]] = {}  # by writer

    def add(self, chunk: Chunk) -> Trajectory | None:
        """Takes a part of a chunk; returns the episode that it completes. An episode that lacks a part is dropped."""
        writer, begun = int(chunk.writer), self._begun.pop(int(chunk.writer), [])
        if chunk.episode_step == 0:
            begun = []
        elif chunk.episode_step != sum(int(before.num_starts) for before in begun):
            return None
        begun.append(chunk)
        if chunk.num_starts == chunk.num_steps - 1 and chunk.steps.last[chunk.num_starts]:
            return _trajectory(begun)
        self._begun[writer] = begun
        return None

    def unfinished(self) -> Iterator[Trajectory]:
        """The unfinished episodes so far, as if each had been cut short after its last chunk."""
        return map(_trajectory, self._begun.values())


def parts(chunk: Chunk) -> Iterator[Chunk]:
    """The parts of a chunk that are of one episode each, in order: most chunks are of one."""
    first, num_steps = 0, int(chunk.num_steps)
    for end in np.flatnonzero(chunk.steps.last[: num_steps - 1]).tolist():
        yield _part(chunk, first, end + 1)
        first = end + 1
    yield chunk if not first else _part(chunk, first, num_steps)


def _part(chunk: Chunk, first: int, end: int) -> Chunk:
    """The rows from `first` to `end`."""
    steps = jax.tree.map(lambda x: x[first:end], chunk.steps)
    starts, step = np.int32(end - first - 1), chunk.episode_step if not first else np.int32(0)
    return chunk._replace(steps=steps, num_steps=np.int32(end - first), num_starts=starts, episode_step=step)


def _trajectory(chunks: Sequence[Chunk]) -> Trajectory:
    """Makes an episode of all its chunks; the row behind the last start holds its final observation."""
    steps = [jax.tree.map(lambda x, end=chunk.num_starts: x[:end], chunk.steps) for chunk in chunks]
    final = jax.tree.map(lambda x: x[chunks[-1].num_starts][None], chunks[-1].steps.observation)
    return Trajectory(
        observation=jax.tree.map(lambda *x: np.concatenate(x), *(part.observation for part in steps), final),
        action=np.concatenate([part.action for part in steps]),
        reward=np.concatenate([part.reward for part in steps]),
        discount=np.concatenate([part.discount for part in steps]),
    )
