"""How much memory a replay takes, known before anything is allocated."""

import psutil

from acme_agents.core.interfaces import ReplaySpec
from acme_agents.core.types import Step
from acme_agents.replay import chunks, store

# Chunks that may wait in the stream. A full stream blocks the writers, which is how a learner holds them back.
STREAM_CHUNKS = 16
# Room in the durable table for the part-filled chunks at the ends of episodes of fifty steps or more.
_SLACK = 1.25


def num_chunks(replay: ReplaySpec) -> int:
    """Chunks that the durable table keeps, the oldest going first."""
    return int(_SLACK * replay.max_size / chunks.PERIOD) + STREAM_CHUNKS + 1


def check_memory(steps: Step, replay: ReplaySpec) -> str:
    """Says how much memory the replay will take.

    The learner's store is allocated at the start; the server's tables grow to their size, less what compression saves.

    Args:
      steps: `chunks.step_spec` of the agent and the environment.
      replay: the agent's.

    Returns:
      A line for the user.

    Raises:
      ValueError: it would not fit into the memory that is free now, or not hold one chunk.
    """
    if replay.max_size < chunks.PERIOD:
        raise ValueError(
            f"A replay of {replay.max_size} transitions is too small: it keeps whole chunks of {chunks.PERIOD}, so "
            "give that or more (--config.max-replay-size)."
        )
    in_learner = store.num_bytes(steps, replay)
    in_server = num_chunks(replay) * chunks.num_rows(replay) * chunks.nbytes(steps)
    free = psutil.virtual_memory().available
    if in_learner + in_server > free:
        fits = int(replay.max_size * free / (in_learner + in_server))
        raise ValueError(
            f"A replay of {replay.max_size:,} transitions needs {_gib(in_learner + in_server)} of memory, and "
            f"{_gib(free)} are free: keep fewer, at most about {fits:,} (--config.max-replay-size)."
        )
    return (
        f"replay of {replay.max_size:,} transitions: {_gib(in_learner)} in the learner, at most {_gib(in_server)} in "
        "the replay server"
    )


def check_dataset(path: str, steps: Step, num_rows: int) -> None:
    """Does nothing if the rows of a dataset fit into the memory that is free now.

    Raises:
      ValueError: they do not.
    """
    needed, free = num_rows * chunks.nbytes(steps), psutil.virtual_memory().available
    if 2 * needed > free:  # once where it is put together, and once on the device
        raise ValueError(
            f"The dataset {path} takes {_gib(2 * needed)} of memory to learn from, and {_gib(free)} are free: give a "
            "part of it."
        )


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:,.1f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:,.1f} MiB"
