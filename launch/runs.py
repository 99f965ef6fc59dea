"""What runs there are below a directory, and how far each has come."""

import fcntl
import json
import os
import pathlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from acme_agents.core import checkpoint, errors
from acme_agents.launch import node_files, run_dir
from acme_agents.runtime import loggers

_COLUMNS = ("run", "agent", "environment", "state", "env steps", "updates", "return", "speed", "last row")
_LEFT = 4  # columns that are words; the others are numbers
_RATE_ROWS = 20  # of a table, the last ones, over which a speed is measured


class Listed(NamedTuple):
    """A run as `find` saw it."""

    path: pathlib.Path
    agent: str  # with a bonus, "BONUS around AGENT"
    environment: str
    state: str  # running; finished: a budget is used up; left alone: workers without a launcher; stopped; begun: no
    # checkpoint and nobody at work; damaged: its config.json or a table cannot be read
    actor_steps: int = 0
    max_steps: int | None = None
    learner_steps: int = 0
    max_updates: int | None = None
    episode_return: float | None = None  # mean of the newest evaluation
    rate: str = ""  # environment steps or, where nobody acts, updates per second, over the newest rows
    changed: float = 0.0  # when a table had a row last, in seconds since the epoch; 0 for never


def find(directory: pathlib.Path) -> list[Listed]:
    """Returns the runs below a directory, or in it, those first whose tables had a row last.

    A run of several seeds is as many. Nothing is changed, and no run is disturbed.

    Raises:
      UserError: there is no such directory.
    """
    if not directory.is_dir():
        raise errors.UserError(f"There is no directory {directory}: name one that has run directories in it.")
    found = [_listed(path) for path in _run_dirs(directory)]
    return sorted(found, key=lambda run: (-run.changed, run.path))


def lines(runs: list[Listed], directory: pathlib.Path, now: float | None = None) -> Iterator[str]:
    """Yields a table of runs, line by line; `now` is in seconds since the epoch."""
    now = time.time() if now is None else now
    rows = [_COLUMNS] + [
        (
            str(run.path.relative_to(directory)) if run.path != directory else str(directory),
            run.agent,
            run.environment,
            run.state,
            _progress(run.actor_steps, run.max_steps),
            _progress(run.learner_steps, run.max_updates),
            "" if run.episode_return is None else f"{run.episode_return:,.1f}",
            run.rate,
            _ago(now - run.changed) if run.changed else "",
        )
        for run in runs
    ]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = (f"{x:<{w}}" if i < _LEFT else f"{x:>{w}}" for i, (x, w) in enumerate(zip(row, widths)))
        yield "  ".join(cells).rstrip()


def _run_dirs(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    for path, inner, names in os.walk(directory):
        if "config.json" not in names or not _is_config(pathlib.Path(path, "config.json")):
            continue
        inner.clear()
        yield from run_dir.of_seeds(pathlib.Path(path))


def _is_config(path: pathlib.Path) -> bool:
    """Whether a file may be a run's: other programs call theirs `config.json` too."""
    try:
        fields = json.loads(path.read_text())
    except (OSError, ValueError):
        return (path.parent / "logs").is_dir()  # A run's that is damaged.
    return isinstance(fields, dict) and {"agent", "environment"} <= set(fields)


def _listed(path: pathlib.Path) -> Listed:
    try:
        config = json.loads((path / "config.json").read_text())
        tables = {name: loggers.read_csv(path / f"{name}.csv") for name in _there(path)}
    except (OSError, ValueError):
        return Listed(path, "", "", "damaged")
    base = config.get("base")
    agent = f"{config['agent']} around {base['agent']}" if base else str(config["agent"])
    steps, updates = (_newest(tables, column) for column in ("actor_steps", "learner_steps"))
    limits = config.get("max_steps"), config.get("max_updates")
    if config.get("cycles"):  # Its deployments' steps are in runs of their own.
        limits = None, config["offline_updates"] + config["cycles"] * config["cycle_updates"]
    returns = tables.get("evaluator", {}).get("episode_return", np.empty(0))
    return Listed(
        path,
        agent,
        str(config["environment"]),
        _state(path, is_done=_is_used_up(steps, limits[0]) or _is_used_up(updates, limits[1])),
        steps,
        limits[0],
        updates,
        limits[1],
        float(returns[-1]) if len(returns) else None,
        _rate(tables),
        max(((path / f"{name}.csv").stat().st_mtime for name in tables), default=0.0),
    )


def _there(path: pathlib.Path) -> list[str]:
    return [name for name in loggers.TABLES if (path / f"{name}.csv").exists()]


def _newest(tables: Mapping[str, Mapping[str, np.ndarray]], column: str) -> int:
    """The largest number in a column of any table; 0 without rows."""
    return int(max((np.nanmax(table[column]) for table in tables.values() if len(table.get(column, ()))), default=0))


def _is_used_up(done: int, budget: int | None) -> bool:
    return bool(budget) and done >= (budget or 0)


def _state(path: pathlib.Path, *, is_done: bool) -> str:
    if _is_held(path) or _is_held(path.parent):  # That of a run of several seeds is its parent's.
        return "running"
    record = node_files.read_record(path)
    # Whether a Ray cluster has workers still is not asked: it may be far away.
    if record is not None and record.launcher == "processes" and run_dir.work_goes_on(record):
        return "left alone"
    if is_done:
        return "finished"
    return "stopped" if checkpoint.steps(path / checkpoint.DIRECTORY) else "begun"


def _is_held(path: pathlib.Path) -> bool:
    """Whether a process holds a run directory; see `run_dir.held`."""
    try:
        with (path / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _rate(tables: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    for name, column, unit in (("actor", "actor_steps", "steps/s"), ("learner", "learner_steps", "updates/s")):
        table: Mapping[str, Any] = tables.get(name, {})
        if len(table.get("walltime", ())) > 1:
            count, seconds = (np.ptp(table[key][-_RATE_ROWS:]) for key in (column, "walltime"))
            if count and seconds:
                return f"{count / seconds:,.0f} {unit}"
    return ""


def _progress(done: int, limit: int | None) -> str:
    return f"{done:,}/{limit:,} {done / limit:4.0%}" if limit else f"{done:,}"


def _ago(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago"
