"""The replay server: its tables, made from a `ReplaySpec`."""

import logging
import os
import pathlib
import shutil
from collections.abc import Callable

import reverb

from acme_agents.core import interfaces
from acme_agents.core.interfaces import ReplaySpec
from acme_agents.replay import sizes

REPLAY = interfaces.REPLAY  # durable: a starting learner fills its ring from it, or sequences are drawn from it
STREAM = "stream"  # read once: what a running learner has not seen yet
CHECKPOINTS = "replay"  # the directory of its checkpoints, within the run's
DATASET = interfaces.DATASET  # sequences of the dataset, if the server draws


def make_tables(replay: ReplaySpec) -> list[reverb.Table]:
    """Makes the tables of a run."""
    if replay.drawn_by == "server":
        held = _table(REPLAY, replay.max_size, replay.priority_exponent)
    else:  # All priorities are 1; a reader that collects the table sets those it has read to 0 until it has all.
        held = _table(REPLAY, sizes.num_chunks(replay), exponent=1.0)
    # Every run has every table: a checkpoint can then be read by one whose learner draws and by one whose server does.
    dataset = _table(DATASET, sizes.MAX_DATASET_SEQUENCES, replay.priority_exponent)
    return [held, dataset, reverb.Table.queue(STREAM, sizes.stream_chunks(replay))]


def _table(name: str, max_size: int, exponent: float) -> reverb.Table:
    """A table that is drawn from by priority to the power `exponent`; the oldest items are removed first."""
    return reverb.Table(
        name=name,
        sampler=reverb.selectors.Prioritized(exponent),
        remover=reverb.selectors.Fifo(),
        max_size=max_size,
        rate_limiter=reverb.rate_limiters.MinSize(1),
    )


def serve(
    make_tables: Callable[[], list[reverb.Table]], directory: pathlib.Path, port: int | None = None
) -> reverb.Server:
    """Starts a replay server with the contents of the newest whole checkpoint in `directory`.

    A damaged checkpoint is set aside and the one before it is used; if that is damaged too, the server starts empty.

    Args:
      make_tables: makes the tables.
      directory: of the checkpoints; made if it is not there.
      port: where it listens; any free port if left out.
    """
    directory.mkdir(parents=True, exist_ok=True)
    while True:
        found, before = _checkpoints(directory), _checkpoints(_before(directory))
        if not found and before:
            before[-1].rename(directory / before[-1].name)
            continue
        checkpointer = reverb.checkpointers.DefaultCheckpointer(str(directory))
        try:
            if found and not (found[-1] / "tables.tfrecord").stat().st_size:
                raise RuntimeError("it is empty")  # Reverb would take it for a checkpoint of nothing.
            return reverb.Server(make_tables(), port=port, checkpointer=checkpointer)
        except (RuntimeError, OSError) as error:
            if not found:
                raise
            aside = _damaged(directory) / found[-1].name
            aside.parent.mkdir(exist_ok=True)
            found[-1].rename(aside)
            logging.warning(
                "The replay server's checkpoint %s is damaged (%s) and kept as %s; restoring %s.",
                *(aside.name, error, aside, "the one before it" if before else "nothing"),
            )


def keep_newest(directory: pathlib.Path) -> None:
    """Keeps the newest checkpoint beside `directory` while the next is written: Reverb itself keeps only one.

    Its files are linked rather than copied, where the file system can do so.

    Raises:
      OSError: the disk did not take it.
    """
    if not (found := _checkpoints(directory)):
        return
    before, newest = _before(directory), found[-1]
    older = _checkpoints(before)
    if newest.name in [path.name for path in older]:
        return
    partial = before / f"{newest.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(newest, partial, copy_function=_link)
    partial.rename(before / newest.name)
    for path in older:
        shutil.rmtree(path, ignore_errors=True)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _checkpoints(directory: pathlib.Path) -> list[pathlib.Path]:
    """The complete checkpoints in a directory, oldest first: Reverb names them by their time."""
    return sorted(path.parent for path in directory.glob("*/DONE") if path.parent.suffix != ".partial")


def _before(directory: pathlib.Path) -> pathlib.Path:
    return directory.with_name(f"{directory.name}-before")


def _damaged(directory: pathlib.Path) -> pathlib.Path:
    return directory.with_name(f"{directory.name}-damaged")
