"""The replay server: its two tables, made from a `ReplaySpec`."""

import pathlib

import reverb

from acme_agents.core.interfaces import ReplaySpec
from acme_agents.replay import sizes

REPLAY = "replay"  # durable: what a learner that starts fills its store from
STREAM = "stream"  # once only: what a running learner's store has not seen yet


def make_tables(replay: ReplaySpec) -> list[reverb.Table]:
    """Makes the tables of a run.

    The durable table's priorities are 1; a reader that collects it sets what it has seen to 0 until it has it all.
    """
    durable = reverb.Table(
        name=REPLAY,
        sampler=reverb.selectors.Prioritized(1.0),
        remover=reverb.selectors.Fifo(),
        max_size=sizes.num_chunks(replay),
        rate_limiter=reverb.rate_limiters.MinSize(1),
    )
    return [durable, reverb.Table.queue(STREAM, sizes.STREAM_CHUNKS)]


def make_checkpointer(directory: pathlib.Path) -> reverb.checkpointers.CheckpointerBase:
    """Keeps the newest checkpoint of the tables in `directory`, and restores it when a server starts."""
    directory.mkdir(parents=True, exist_ok=True)
    return reverb.checkpointers.DefaultCheckpointer(str(directory))
