"""How much memory a replay takes, known before anything is allocated."""

import psutil

from acme_agents.core import errors
from acme_agents.core.experience import Sequences
from acme_agents.core.interfaces import ReplaySpec
from acme_agents.core.types import Step
from acme_agents.replay import chunks, store

# Chunks that may wait in the stream. A full stream blocks the writers, which is how a learner holds them back.
STREAM_CHUNKS = 16
MAX_DATASET_SEQUENCES = 10_000_000  # of a dataset that sequences are drawn from: none, in effect
# Room in the durable table for the part-filled chunks at the ends of episodes of fifty steps or more.
_SLACK = 1.25


def num_chunks(replay: ReplaySpec) -> int:
    """Chunks that the durable table keeps, the oldest going first."""
    if isinstance(replay.experience, Sequences):
        return replay.max_size
    return int(_SLACK * replay.max_size / chunks.PERIOD) + STREAM_CHUNKS + 1


def check_memory(steps: Step, replay: ReplaySpec) -> str:
    """Says how much memory the replay will take.

    The learner's store, of transitions, is allocated at the start; the server's tables grow to their size, less what
    compression saves.

    Args:
      steps: `chunks.step_spec` of the agent and the environment.
      replay: the agent's.

    Returns:
      A line for the user.

    Raises:
      ValueError: it would not fit into the memory that is free now, or not hold one chunk.
    """
    sequences = isinstance(replay.experience, Sequences)
    items = chunks.noun(replay.experience)
    if replay.max_size < chunks.max_items(replay.experience):
        raise errors.UserError(
            f"A replay of {replay.max_size} transitions is too small: it keeps whole chunks of {chunks.PERIOD}, so "
            "give that or more (--config.max-replay-size)."
        )
    in_learner = 0 if sequences else store.num_bytes(steps, replay)
    in_server = num_chunks(replay) * chunks.layout(replay.experience).num_rows * chunks.nbytes(steps)
    free = psutil.virtual_memory().available
    if in_learner + in_server > free:
        fits = int(replay.max_size * free / (in_learner + in_server))
        raise errors.UserError(
            f"A replay of {replay.max_size:,} {items} needs {_gib(in_learner + in_server)} of memory, and "
            f"{_gib(free)} are free: keep fewer, at most about {fits:,} (--config.max-replay-size)."
        )
    learner = "" if sequences else f"{_gib(in_learner)} in the learner, "
    return f"replay of {replay.max_size:,} {items}: {learner}at most {_gib(in_server)} in the replay server"


def check_dataset(path: str, steps: Step, replay: ReplaySpec, num_rows: int) -> None:
    """Does nothing if the rows of a dataset fit into the memory that is free now.

    Raises:
      ValueError: they do not.
    """
    layout = chunks.layout(replay.experience)
    copies = 1 + (layout.num_rows / layout.period if isinstance(replay.experience, Sequences) else 1)
    needed, free = copies * num_rows * chunks.nbytes(steps), psutil.virtual_memory().available
    if needed > free:  # once where it is put together, and once where it is drawn from
        raise errors.UserError(
            f"The dataset {path} takes {_gib(needed)} of memory to learn from, and {_gib(free)} are free: give a "
            "part of it."
        )


def _gib(num_bytes: float) -> str:
    return f"{num_bytes / 2**30:,.1f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:,.1f} MiB"
