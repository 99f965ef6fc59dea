"""Learning curves of one or many runs, with confidence intervals over seeds."""

import contextlib
import json
import os
import pathlib
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from acme_agents.core import errors
from acme_agents.launch import run_dir as run_dir_lib
from acme_agents.runtime import loggers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind readers can tell apart; line styles go on where it ends.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINE_STYLES = ("-", "--", ":", "-.")
AXIS_LABELS = {
    "actor_steps": "Environment steps",
    "learner_steps": "Learner updates",
    "walltime": "Wall time (s)",
    "episode_length": "Episode length (steps)",
}
MAX_POINTS = 200  # of an aggregate curve
_LETTERS_PER_INCH = 11  # of the legend's
# Of an experiment, beside the configuration: what was learned from.
_SOURCES = (
    "dataset",
    "offline_updates",
    "dataset_share",
    "dataset_memory",
    "keep_good",
    "good_return",
    "teacher",
    "num_actors",
    "environments_per_actor",
    "cycles",
    "cycle_steps",
    "cycle_updates",
    "from_scratch",
)


class Run(NamedTuple):
    """One run's curve and what it is a run of."""

    agent: str
    environment: str
    config: dict[str, Any]  # field -> value, nested fields as "outer.inner", and what was learned from
    x: np.ndarray  # [N] float64, increasing
    y: np.ndarray  # [N] float64, finite
    seed: Any = None
    changed: float = 0.0  # when its table was written to last, in seconds since the epoch


class Curve(NamedTuple):
    """The interquartile mean of several runs and its confidence interval, all [N] float64."""

    x: np.ndarray
    iqm: np.ndarray
    low: np.ndarray
    high: np.ndarray


def plot(
    run_dirs: Sequence[pathlib.Path],
    output: pathlib.Path,
    *,
    metric: str = "episode_return",
    table: str = "evaluator",
    x: str | None = None,
) -> list[str]:
    """Draws the learning curves of some runs into one figure, a panel per environment.

    Runs that differ in nothing but their seed share one line: the interquartile mean with its 95% bootstrap confidence
    interval (Agarwal et al. 2021, arXiv 2108.13264), over the range of x that all of them have reached. Each run is
    also drawn faintly. A single run is drawn alone. Of runs with the same seed only the one that got
    furthest counts, of equals the newest.

    Args:
      run_dirs: run directories, also of runs that are still going; one given twice counts once, and one of several
        seeds stands for theirs.
      output: the figure to write; its suffix chooses the format (.png, .pdf, .svg ...).
      metric: the column on the vertical axis.
      table: "evaluator", "learner" or "actor".
      x: the column on the horizontal axis; None for environment steps, or updates in the panel of an environment where
        nobody acted in some run.

    Returns:
      A sentence for each run that is left out, as one that has nothing to draw yet, and for each curve without mean.

    Raises:
      UserError: in one sentence, for a path that does not exist, if there is nothing to draw in any run, for an
        unknown table, or an output that cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(dpi=200, layout="constrained")
    check_output(output)
    if table not in loggers.TABLES:
        raise errors.UserError(f"There is no table {table}; the tables are {', '.join(loggers.TABLES)}.")
    if not run_dirs:
        raise errors.UserError("Nothing to plot: give at least one run directory.")
    notes: list[str] = []
    runs, axes = _load_all(run_dirs, notes, metric=metric, table=table, x=x)
    if not runs:
        which = "" if len(notes) == 1 else f"There is nothing to draw in any of {len(notes)} runs. The first: "
        raise errors.UserError(which + notes[0])
    panels = group(_without_twins(runs, notes))
    notes += draw(figure, panels, axes, y_label=_axis_label(metric))
    save(figure, output)
    return notes


def check_output(output: pathlib.Path) -> None:
    """Raises UserError for a figure of a format that matplotlib does not write."""
    from matplotlib.figure import Figure

    formats = sorted(Figure().canvas.get_supported_filetypes())
    if output.suffix.lower().lstrip(".") not in formats:
        raise errors.UserError(f"Cannot write {output}: its suffix has to be one of .{', .'.join(formats)}.")


def save(figure: "Figure", output: pathlib.Path) -> None:
    """Writes a figure, or raises UserError where the file system does not let it."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(output)
    except OSError as error:
        raise errors.UserError(f"Cannot write {output} ({error.strerror or error}): give another --output.") from error


def _load_all(
    run_dirs: Sequence[pathlib.Path], notes: list[str], *, metric: str, table: str, x: str | None
) -> tuple[dict[pathlib.Path, Run], dict[str, str]]:
    """The runs that have something to draw, and of each environment the column on its panel's horizontal axis."""
    offline: dict[pathlib.Path, bool] = {}
    runs: dict[pathlib.Path, Run] = {}
    of_seeds = [each for path in run_dirs for each in run_dir_lib.of_seeds(path)]
    for run_dir in {path.resolve(): path for path in of_seeds}.values():
        if not os.path.lexists(run_dir):
            raise errors.UserError(f"There is no {run_dir}.")
        with _noted(notes):
            offline[run_dir] = _describe(run_dir).get("max_steps") == 0  # Its environment steps stay 0.
            if x == "actor_steps" and offline[run_dir]:
                raise errors.UserError(f"{run_dir} is offline: it has no environment steps.")
            own = "learner_steps" if offline[run_dir] else "actor_steps"
            runs[run_dir] = load(run_dir, metric=metric, table=table, x=x or own)
    if x is not None:
        return runs, {run.environment: x for run in runs.values()}
    by_updates = {run.environment for run_dir, run in runs.items() if offline[run_dir]}
    for run_dir, run in list(runs.items()):
        if run.environment in by_updates and not offline[run_dir]:
            runs[run_dir] = load(run_dir, metric=metric, table=table, x="learner_steps")
    axes = {run.environment: "actor_steps" for run in runs.values()}
    return runs, axes | dict.fromkeys(by_updates, "learner_steps")


@contextlib.contextmanager
def _noted(notes: list[str]) -> Iterator[None]:
    """Leaves out what cannot be drawn, and notes why."""
    try:
        yield
    except errors.UserError as error:
        notes.append(str(error))


def _without_twins(runs: dict[pathlib.Path, Run], notes: list[str]) -> list[Run]:
    """Keeps, of runs that are equal in everything, the one that got furthest; the newest of several."""
    alike: dict[str, list[pathlib.Path]] = {}
    for run_dir, run in runs.items():
        alike.setdefault(json.dumps([run.agent, run.environment, run.config, run.seed]), []).append(run_dir)
    kept = []
    for run_dirs in alike.values():
        run_dirs.sort(key=lambda run_dir: (runs[run_dir].x[-1], runs[run_dir].changed))
        *others, best = run_dirs
        kept.append(best)
        notes += [
            f"{other} is the same run as {best}, which got further or is newer: seed {runs[best].seed} counts once."
            for other in others
        ]
    return [run for run_dir, run in runs.items() if run_dir in kept]


def _describe(run_dir: pathlib.Path) -> dict[str, Any]:
    """What a run's `config.json` says, with its agent and environment for certain."""
    try:
        description = json.loads((run_dir / "config.json").read_text())
        found = description | {name: str(description[name]) for name in ("agent", "environment")}
        if (base := description.get("base")) is not None:
            found["agent"] = f"{found['agent']} around {base['agent']}"
        return found
    except (FileNotFoundError, NotADirectoryError):
        raise errors.UserError(f"{run_dir} is not a run directory: it has no config.json.") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise errors.UserError(f"{run_dir} is not a run directory: its config.json is not one of a run.") from None


def load(run_dir: pathlib.Path, *, metric: str, table: str, x: str) -> Run:
    """Reads one run's curve; rows without the metric are left out.

    Raises:
      UserError: it is no run, or it has no such curve.
    """
    description = _describe(run_dir)
    sources = {name: description[name] for name in _SOURCES if name in description}
    config = sources | _flatten(description.get("config") or {})
    config |= _flatten((description.get("base") or {}).get("config") or {}, "base.")
    path = run_dir / f"{table}.csv"
    columns = loggers.read_csv(path) if path.exists() else {}
    nothing = f"{run_dir} has no evaluations yet." if table == "evaluator" else f"{path} has no rows yet."
    if not columns:
        raise errors.UserError(nothing)
    for name in (metric, x):
        if name not in columns:
            raise errors.UserError(f"{path} has no column {name}; its columns are {', '.join(columns)}.")
    drawn = np.isfinite(columns[metric]) & np.isfinite(columns[x])
    if not drawn.any():
        raise errors.UserError(nothing)
    # Several actors write in any order; of rows with the same x the newest counts.
    x_newest_first, rows = np.unique(columns[x][drawn][::-1], return_index=True)
    curve = (x_newest_first, columns[metric][drawn][::-1][rows])
    return Run(
        description["agent"], description["environment"], config, *curve, description.get("seed"), path.stat().st_mtime
    )


def group(runs: Sequence[Run]) -> dict[str, dict[str, list[Run]]]:
    """Sorts runs into environment -> label -> the runs that differ in their seed alone.

    The label is the agent's name, and, where runs of one agent on one environment differ in their config, the fields in
    which they do: "mpo, learning_rate=0.0003".
    """
    by_task: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        by_task.setdefault((run.environment, run.agent), []).append(run)
    panels: dict[str, dict[str, list[Run]]] = {}
    for (environment, agent), alike in by_task.items():
        fields = dict.fromkeys(field for run in alike for field in run.config)
        differing = [field for field in fields if len({json.dumps(run.config.get(field)) for run in alike}) > 1]
        for run in alike:
            values = [f"{field}={_text(run.config.get(field))}" for field in differing]
            panels.setdefault(environment, {}).setdefault(", ".join([agent, *values]), []).append(run)
    return panels


def aggregate(curves: Sequence[tuple[np.ndarray, np.ndarray]], *, repetitions: int = 2000) -> Curve:
    """The interquartile mean over runs with its 95% percentile-bootstrap confidence interval, point by point.

    The runs are interpolated linearly on the points that any of them has (or `MAX_POINTS` equally spaced ones), within
    the range that all of them cover. The same curves give the same interval.

    Args:
      curves: per run, x [N] increasing and y [N]; N may differ.
      repetitions: how many times to resample the runs.

    Raises:
      UserError: the runs have no range of x in common.
    """
    from rliable import library

    start, stop = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
    if start > stop:
        raise errors.UserError(
            f"The runs have no range in common: one begins at {start:g} and another ends at {stop:g}."
        )
    grid = np.unique(np.concatenate([x for x, _ in curves]))
    grid = grid[(grid >= start) & (grid <= stop)]
    if len(grid) > MAX_POINTS:
        grid = np.linspace(start, stop, MAX_POINTS)
    scores = np.stack([np.interp(grid, x, y) for x, y in curves])[:, None]  # [runs, 1 task, points]
    with seeded():
        points, intervals = library.get_interval_estimates({"": scores}, interquartile_mean, reps=repetitions)
    return Curve(grid, points[""], *intervals[""])


@contextlib.contextmanager
def seeded() -> Iterator[None]:
    """Has rliable draw the same samples each time, and leaves the global generator, which it draws from, as it was."""
    state = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(state)


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
    """`rliable.metrics.aggregate_iqm` at every point at once: [runs, tasks, points] -> [points]."""
    import scipy.stats

    return scipy.stats.trim_mean(scores.reshape(-1, scores.shape[-1]), proportiontocut=0.25, axis=0)


def draw(
    figure: "Figure", panels: dict[str, dict[str, list[Run]]], x_columns: dict[str, str], *, y_label: str
) -> list[str]:
    """Draws the panels; returns a sentence for each curve that has no interval and should."""
    notes: list[str] = []
    labels = list(dict.fromkeys(label for groups in panels.values() for label in groups))
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    counts = {label: sorted({len(groups[label]) for groups in panels.values() if label in groups}) for label in labels}
    width = 6.4 if columns == 1 else 4.2 * columns  # in inches
    full = (f"{label} ({_run_count(counts[label])})" for label in labels)
    texts = [textwrap.fill(text, int(_LETTERS_PER_INCH * width)) for text in full]
    num_lines = sum(text.count("\n") + 1 for text in texts)
    figure.set_size_inches(width, 0.7 + 0.2 * num_lines + 3.4 * rows)
    several = False
    handles: dict[str, Any] = {}
    for i, (environment, groups) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, i + 1)
        decorate(axes, title=environment, x_label=_axis_label(x_columns[environment]), y_label=y_label)
        for label, runs in groups.items():
            index = labels.index(label)
            style = LINE_STYLES[index // len(COLOURS) % len(LINE_STYLES)]
            handles[label], aggregated = _draw_group(axes, runs, colour=COLOURS[index % len(COLOURS)], style=style)
            several |= len(runs) > 1
            if not aggregated:
                notes.append(f"The runs of {label} on {environment} have no range in common, so no mean is drawn.")
    figure.legend(
        [handles[label] for label in labels],
        texts,
        title="Interquartile mean, 95% bootstrap confidence interval; thin lines are single runs" if several else None,
        loc="outside lower center",
        frameon=False,
        fontsize=9,
        title_fontproperties={"size": 7.5},
    )
    return notes


def _draw_group(axes: "Axes", runs: list[Run], *, colour: str, style: str) -> tuple[Any, bool]:
    """Draws runs that differ in their seed alone.

    Returns:
      The line that stands for them in the legend, and whether it stands for all of them: False if there is no mean.
    """
    if len(runs) == 1:
        marker = "o" if len(runs[0].x) == 1 else None
        return axes.plot(runs[0].x, runs[0].y, color=colour, linestyle=style, linewidth=1.8, marker=marker)[0], True
    singles = [
        axes.plot(run.x, run.y, color=colour, linewidth=0.7, alpha=0.3, zorder=1.5, marker="o" * (len(run.x) == 1))[0]
        for run in runs
    ]
    try:
        curve = aggregate([(run.x, run.y) for run in runs])
    except errors.UserError:
        return singles[0], False
    axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.2, linewidth=0)
    marker = "o" if len(curve.x) == 1 else None
    return axes.plot(curve.x, curve.iqm, color=colour, linestyle=style, linewidth=2, marker=marker, zorder=3)[0], True


def decorate(axes: "Axes", *, title: str, x_label: str, y_label: str) -> None:
    """Gives a panel its title, labels, grid and ticks."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_title(title, fontsize=11)
    axes.set_xlabel(x_label, fontsize=9.5)
    axes.set_ylabel(y_label, fontsize=9.5)
    axes.tick_params(labelsize=8.5, color="0.6")
    axes.grid(color="0.9", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.margins(x=0.02)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("0.6")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    for axis in (axes.xaxis, axes.yaxis):
        # The default argument binds this axis: its largest value decides how all of its ticks are written.
        axis.set_major_formatter(FuncFormatter(lambda value, _, axis=axis: tick(value, max(axis.get_view_interval()))))


def tick(value: float, largest: float) -> str:
    """A tick's text, on an axis up to `largest`: 500 and 2,000 up to ten thousand, then 500, 20k and 1.5M."""
    text = f"{value:,g}"
    if largest >= 10_000:
        for size, letter in ((1e3, "k"), (1e6, "M"), (1e9, "B")):
            text = f"{value / size:g}{letter}" if abs(value) >= size else text
    return text.replace("-", "\N{MINUS SIGN}")


def _axis_label(column: str) -> str:
    return AXIS_LABELS.get(column, column.replace("_", " ").capitalize())


def _run_count(counts: list[int]) -> str:
    text = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{text} run" if text == "1" else f"{text} runs"


def _flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for field, value in config.items():
        flat |= _flatten(value, f"{prefix}{field}.") if isinstance(value, dict) else {prefix + field: value}
    return flat


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "x".join(_text(item) for item in value) if value else "none"
    return value if isinstance(value, str) else json.dumps(value)
