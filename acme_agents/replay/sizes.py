"""How much memory a replay takes, computed before anything is allocated."""

import psutil

from acme_agents.core import errors
from acme_agents.core.interfaces import ReplaySpec
from acme_agents.core.types import Step
from acme_agents.replay import chunks, ring

_STREAM_CHUNKS = 16
MAX_DATASET_SEQUENCES = 10_000_000  # of a dataset that sequences are drawn from: none, in effect
# Room in the durable table for the part-filled chunks at the ends of episodes of fifty steps or more.
_SLACK = 1.25


def num_chunks(replay: ReplaySpec) -> int:
    """Chunks that the durable table keeps, the oldest going first."""
    items_per_chunk = replay.experience.items_per_chunk
    slack = _SLACK if items_per_chunk > 1 else 1.0
    return int(slack * replay.max_size / items_per_chunk) + stream_chunks(replay) + 1


def stream_chunks(replay: ReplaySpec) -> int:
    """Chunks that may wait in the stream. A full stream blocks the writers, which is how a learner holds them back.

    For an agent that learns from each step once, one batch may wait: what its actors gather during one update.
    """
    return replay.batch_size if replay.experience.once else _STREAM_CHUNKS


def check_memory(steps: Step, replay: ReplaySpec, *, in_process: bool) -> str:
    """Says how much memory the replay will take.

    The learner's ring is allocated at the start; the server's tables grow to their full size, less any compression.

    Args:
      steps: `chunks.step_spec` of the agent and the environment.
      replay: the agent's.
      in_process: whether there is one process, which has no server.

    Returns:
      A line for the user.

    Raises:
      UserError: it would not fit into the free memory, or could not hold one chunk.
    """
    experience = replay.experience
    if replay.max_size < experience.items_per_chunk:
        raise errors.UserError(
            f"A replay of {replay.max_size} {experience.noun} is too small: it keeps whole chunks of "
            f"{experience.items_per_chunk}, so give that or more (--config.max-replay-size)."
        )
    in_learner = ring.num_bytes(steps, replay) if replay.drawn_by == "learner" else 0
    in_server = 0 if in_process else num_chunks(replay) * experience.layout.num_rows * chunks.nbytes(steps)
    free = free_memory()
    if in_learner + in_server > free:
        fits = int(replay.max_size * free / (in_learner + in_server))
        raise errors.UserError(
            f"A replay of {replay.max_size:,} {experience.noun} needs {gib(in_learner + in_server)} of memory, and "
            f"{gib(free)} are free: keep fewer, at most about {fits:,} (--config.max-replay-size)."
        )
    parts = [f"{gib(in_learner)} in the learner"] if in_learner else []
    parts += [f"at most {gib(in_server)} in the replay server"] if in_server else []
    return f"replay of {replay.max_size:,} {experience.noun}: {', '.join(parts)}"


class DatasetTooLarge(errors.UserError):
    """A dataset that does not fit into memory."""


def check_dataset(name: str, steps: Step, replay: ReplaySpec, num_rows: int) -> None:
    """Checks that the rows of a dataset fit into the free memory.

    Raises:
      DatasetTooLarge: they do not fit.
    """
    layout = replay.experience.layout
    copies = 2.0 if replay.drawn_by == "learner" else 1.0 + layout.num_rows / layout.period
    needed, free = copies * num_rows * chunks.nbytes(steps), free_memory()
    if needed > free:  # once while the rows are put together, and once where batches are drawn
        raise DatasetTooLarge(
            f"{name} takes {gib(needed)} of memory to learn from, and {gib(free)} are free: give a part of it, or let "
            "the learner draw (--replay learner)."
        )


def free_memory() -> int:
    """Bytes of memory that nobody uses."""
    return psutil.virtual_memory().available


def gib(num_bytes: float) -> str:
    """The number of bytes for a person: "1.5 GiB"."""
    return f"{num_bytes / 2**30:,.1f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:,.1f} MiB"
