"""A run's metrics: CSV tables that can be cut back to a checkpoint, TensorBoard events, and W&B where asked for.

The learner process is the only writer of a run's metrics.
"""

import contextlib
import csv
import importlib.util
import io
import math
import os
import pathlib
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from acme_agents.core import errors

TABLES = ("actor", "learner", "evaluator")
# In every row. `walltime` is in seconds since the run began, the time before a resume included.
COMMON_COLUMNS = ("actor_steps", "learner_steps", "walltime")


class CsvTable:
    """An append-only CSV file whose columns are those of its first row.

    Every row is on disk when `write` returns. A file that is there already is continued; what a killed process left of
    a last line is dropped first. Columns that it lacks, as where an earlier version began it, are left out then.
    """

    def __init__(self, path: pathlib.Path):
        self.path = path
        self._columns: tuple[str, ...] = ()
        self._is_continued = path.exists()
        if path.exists():
            self.truncate(self.offset())

    def write(self, row: Mapping[str, Any]) -> None:
        """Appends one row.

        Args:
          row: numbers by column name: Python's, NumPy's, or arrays of shape []. A column left out stays empty.

        Raises:
          ValueError: the row has a column that the header of a new table lacks, or a value that is not one number.
          OSError: the row could not be written (a full disk); the file is then as it was.
        """
        cells = {name: _format(name, value) for name, value in row.items()}
        columns = self._columns or tuple(cells)
        unknown = [name for name in cells if name not in columns]
        if unknown and not self._is_continued:
            raise ValueError(f"{self.path} has no column {', '.join(unknown)}; its columns are {', '.join(columns)}.")
        lines = [] if self._columns else [columns]
        self._append(_encode([*lines, [cells.get(name, "") for name in columns]]))
        self._columns = columns

    def offset(self) -> int:
        """The file's size in bytes: what to `truncate` to, to return to this moment. 0 while there is no file."""
        return self.path.stat().st_size if self.path.exists() else 0

    def truncate(self, offset: int) -> None:
        """Drops everything after the last complete line within the first `offset` bytes.

        A file that is shorter (the machine died before the disk had it) keeps what it has.

        Raises:
          ValueError: `offset` is negative.
          OSError: the file could not be changed.
        """
        if offset < 0:
            raise ValueError(f"An offset is at least 0, got {offset}.")
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            kept = file.read(offset)
        kept = kept[: kept.rfind(b"\n") + 1]
        if len(kept) != self.offset():
            os.truncate(self.path, len(kept))
        self._columns = tuple(next(csv.reader(kept.decode().splitlines()), ()))

    def _append(self, data: bytes) -> None:
        start = self.offset()
        try:
            with self.path.open("ab", buffering=0) as file:
                while data:
                    data = data[file.write(data) :]
        except OSError:
            # A disk that fills up takes part of a row: take it back, so that a later row starts on a line of its own.
            if self.offset() > start:
                os.truncate(self.path, start)
            raise


def _format(name: str, value: Any) -> str:
    """The shortest text that reads back as the same number: the same metrics give the same bytes."""
    scalar = np.asarray(value)
    if scalar.shape != () or scalar.dtype.kind not in "biuf":
        raise ValueError(f"Column {name} takes one number, got {value!r}.")
    return str(int(scalar)) if scalar.dtype.kind in "biu" else str(scalar[()])


def _encode(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def read_csv(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads a table, also while it is being written: a half-written last line is left out.

    Args:
      path: of a file that `CsvTable` wrote.

    Returns:
      column name -> [rows] float64, NaN where a cell is empty; {} for a file without a header.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: a complete line does not have one number per column.
    """
    text = path.read_bytes()
    header, *lines = list(csv.reader(text[: text.rfind(b"\n") + 1].decode().splitlines())) or [[]]
    rows = np.empty((len(lines), len(header)))
    for i, line in enumerate(lines):
        try:
            numbers = [float(cell) if cell else math.nan for cell in line]
        except ValueError:
            numbers = []
        if len(numbers) != len(header):
            raise errors.UserError(f"{path}, line {i + 2}: expected {len(header)} numbers, got {','.join(line)!r}.")
        rows[i] = numbers
    return dict(zip(header, rows.T, strict=True))


def check_wandb() -> None:
    """Raises UserError, in one sentence, where W&B cannot be used: a cheap check before a run starts."""
    if importlib.util.find_spec("wandb") is None:
        raise errors.UserError("W&B is not installed: pip install wandb, or leave out --wandb.")


class RunLogger:
    """Writes a run's rows to RUN_DIR/<table>.csv, to TensorBoard, and to W&B where asked for.

    TensorBoard events are in RUN_DIR/tensorboard/, tagged `<table>/<column>`. Their step is `actor_steps`, or
    `learner_steps` while that is 0, as it stays where all data comes from a dataset. NaN goes into the CSV file only.
    """

    def __init__(self, run_dir: pathlib.Path, *, wandb: bool = False, config: dict[str, Any] | None = None):
        """Opens, or continues, the metrics of a run.

        Args:
          run_dir: made if missing.
          wandb: whether to send the rows to W&B as well; a resumed run continues the same W&B run.
          config: what W&B shows as the run's configuration; JSON types.

        Raises:
          UserError: W&B is asked for and not installed.
          OSError: the directory cannot be made or read.
        """
        if wandb:
            check_wandb()
        run_dir.mkdir(parents=True, exist_ok=True)
        self._tables = {table: CsvTable(run_dir / f"{table}.csv") for table in TABLES}
        self._sinks: list[_Events | _Wandb] = [_Events(run_dir / "tensorboard")]
        if wandb:
            self._sinks.append(_Wandb(run_dir, config or {}))

    def write(self, table: str, row: Mapping[str, Any]) -> None:
        """Writes one row.

        Args:
          table: "actor", "learner" or "evaluator".
          row: numbers by column name, with at least `actor_steps`, `learner_steps` and `walltime` (seconds). The first
            row of a table fixes its columns.

        Raises:
          ValueError: an unknown table, a column that is missing or new, or a value that is not one number.
          OSError: the row could not be written (a full disk).
        """
        if table not in self._tables:
            raise ValueError(f"There is no table {table}; the tables are {', '.join(TABLES)}.")
        missing = [name for name in COMMON_COLUMNS if name not in row]
        if missing:
            raise ValueError(f"A row of {table}.csv lacks {', '.join(missing)}.")
        self._tables[table].write(row)
        scalars = {f"{table}/{name}": float(value) for name, value in row.items() if name != "actor_steps"}
        scalars = {tag: value for tag, value in scalars.items() if not math.isnan(value)}
        step = _step(row)
        for sink in self._sinks:
            sink.write(scalars, step)

    def write_histograms(self, arrays: Mapping[str, np.ndarray], step: int) -> None:
        """Writes a histogram of each array to TensorBoard alone; raises OSError on a full disk.

        Args:
          arrays: finite numbers, by the histogram's tag.
          step: TensorBoard's; see the class.
        """
        for sink in self._sinks:
            sink.write_histograms(arrays, step)

    def offsets(self) -> dict[str, int]:
        """Table name -> size of its CSV file in bytes, to be kept in a checkpoint."""
        return {name: table.offset() for name, table in self._tables.items()}

    def restore(self, offsets: Mapping[str, int]) -> None:
        """Drops the rows that were written after a checkpoint.

        TensorBoard is told to hide them too. What W&B has been sent stays there.

        Args:
          offsets: what `offsets` returned; a table that is not in it becomes empty.

        Raises:
          ValueError: a negative offset.
          OSError: a file could not be changed.
        """
        for name, table in self._tables.items():
            table.truncate(offsets.get(name, 0))
        for sink in self._sinks:
            sink.hide_from(self._last_step() + 1)

    def close(self) -> None:
        """Closes TensorBoard's file and W&B's run; safe to call twice. Raises OSError on a full disk."""
        with contextlib.ExitStack() as stack:
            while self._sinks:
                stack.callback(self._sinks.pop().close)

    def _last_step(self) -> int:
        """The step of the newest row of any table; -1 without rows."""
        tables = [read_csv(table.path) for table in self._tables.values() if table.path.exists()]
        newest = [{name: column[-1] for name, column in table.items() if column.size} for table in tables]
        return max((_step(row) for row in newest if row), default=-1)


def _step(row: Mapping[str, Any]) -> int:
    return int(row["actor_steps"]) or int(row["learner_steps"])


class _Events:
    """One TensorBoard event file, flushed after every row.

    tensorboardX's own `SummaryWriter` writes from a thread behind a bounded queue: when a full disk kills that thread,
    the queue fills and the learner blocks for ever. Writing from the caller's thread turns this into an OSError.
    """

    def __init__(self, log_dir: pathlib.Path):
        from tensorboardX import event_file_writer  # imported here because it takes a quarter of a second

        log_dir.mkdir(parents=True, exist_ok=True)
        # File names carry the time in seconds: the count keeps apart the files of a run that is resumed at once.
        suffix = f".{len(list(log_dir.iterdir()))}"
        self._file = event_file_writer.EventsWriter(str(log_dir / "events"), suffix)

    def write(self, scalars: Mapping[str, float], step: int) -> None:
        from tensorboardX.proto import event_pb2, summary_pb2

        values = [summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        summary = summary_pb2.Summary(value=values)
        self._file.write_event(event_pb2.Event(wall_time=time.time(), step=step, summary=summary))
        self._file.flush()

    def write_histograms(self, arrays: Mapping[str, np.ndarray], step: int) -> None:
        from tensorboardX import summary
        from tensorboardX.proto import event_pb2

        for tag, array in arrays.items():
            event = event_pb2.Event(wall_time=time.time(), step=step, summary=summary.histogram(tag, array, "auto", 64))
            self._file.write_event(event)
        self._file.flush()

    def hide_from(self, step: int) -> None:
        """Makes TensorBoard hide the events of earlier files from `step` on."""
        from tensorboardX.proto import event_pb2

        log = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._file.write_event(event_pb2.Event(wall_time=time.time(), step=step, session_log=log))
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _Wandb:
    """A run at W&B."""

    def __init__(self, run_dir: pathlib.Path, config: dict[str, Any]):
        import wandb

        id_file = run_dir / "wandb_id.txt"  # kept beside the metrics so that a resumed run is the same run there
        if not id_file.exists():
            id_file.write_text(uuid.uuid4().hex)
        name = run_dir.resolve().name
        self._run = wandb.init(
            project="acme_agents", name=name, dir=str(run_dir), config=config, id=id_file.read_text(), resume="allow"
        )
        self._run.define_metric("*", step_metric="step")

    def write(self, scalars: Mapping[str, float], step: int) -> None:
        self._run.log({**scalars, "step": step})

    def write_histograms(self, arrays: Mapping[str, np.ndarray], step: int) -> None:
        """Does nothing: they are for TensorBoard."""

    def hide_from(self, step: int) -> None:
        """Does nothing: what it was sent stays there."""

    def close(self) -> None:
        self._run.finish()
