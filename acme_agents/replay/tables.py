"""The replay server: its tables, made from a `ReplaySpec`."""

import pathlib

import reverb

from acme_agents.core import interfaces
from acme_agents.core.interfaces import ReplaySpec, Sequences
from acme_agents.replay import sizes

REPLAY = interfaces.REPLAY  # durable: what a learner that starts fills its store from, or what sequences are drawn from
STREAM = "stream"  # once only: what a running learner has not seen yet
DATASET = interfaces.DATASET  # sequences of the dataset, where sequences are drawn


def make_tables(replay: ReplaySpec) -> list[reverb.Table]:
    """Makes the tables of a run."""
    stream = reverb.Table.queue(STREAM, sizes.STREAM_CHUNKS)
    if isinstance(replay.experience, Sequences):
        sampled = {REPLAY: replay.max_size, DATASET: sizes.MAX_DATASET_SEQUENCES}
        return [*(_table(name, size, replay.priority_exponent) for name, size in sampled.items()), stream]
    # All priorities are 1; a reader that collects the table sets what it has seen to 0 until it has it all.
    return [_table(REPLAY, sizes.num_chunks(replay), exponent=1.0), stream]


def _table(name: str, max_size: int, exponent: float) -> reverb.Table:
    """Draws by priority to the power `exponent`; the oldest go first."""
    return reverb.Table(
        name=name,
        sampler=reverb.selectors.Prioritized(exponent),
        remover=reverb.selectors.Fifo(),
        max_size=max_size,
        rate_limiter=reverb.rate_limiters.MinSize(1),
    )


def make_checkpointer(directory: pathlib.Path) -> reverb.checkpointers.CheckpointerBase:
    """Keeps the newest checkpoint of the tables in `directory`, and restores it when a server starts."""
    directory.mkdir(parents=True, exist_ok=True)
    return reverb.checkpointers.DefaultCheckpointer(str(directory))
