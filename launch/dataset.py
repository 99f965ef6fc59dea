"""Says what is in a dataset, draws its histograms, and writes it in another format."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from acme_agents import datasets, environments
from acme_agents.core import errors, types
from acme_agents.datasets import converting
from acme_agents.datasets import summary as summary_lib
from acme_agents.launch import plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_QUANTILES = (5, 25, 50, 75, 95)  # in percent
_MOST_ROWS = 512  # of the table that an array of numbers has one by one
_MOST_PANELS = 60  # of actions
_MOST_NAMED = 8  # numbers that a sentence names


def inspect(
    path: pathlib.Path,
    *,
    output: pathlib.Path | None = None,
    convert: converting.Format | None = None,
    to: pathlib.Path | None = None,
    env: str | None = None,
) -> Iterator[str]:
    """Reads a dataset and yields lines that say what is in it.

    Args:
      path: of a dataset of any format that `datasets.load` reads.
      output: the figure of histograms to write; its suffix chooses the format.
      convert: the format in which the dataset is written again, and `to` where.
      env: the environment that it is of; None: the one that it names, if it names one.

    Raises:
      UserError: in one sentence, for what is no dataset, or damaged, or cannot be written.
    """
    if (convert is None) != (to is None):
        raise errors.UserError("--convert minari|d4rl|d3rlpy and --to PATH go together: give both or neither.")
    if to is not None:
        converting.check_free(to)
    if output is not None:
        plot.check_output(output)
    summary = datasets.summarise(path)
    yield from describe(summary)
    if output is not None:
        _draw(summary, output)
        yield f"{output}"
    if convert is not None and to is not None:
        environment = env or summary.environment
        needs_spec = convert == "minari" or summary.canonical
        spec = _spec(environment) if environment is not None and needs_spec else None
        for note in datasets.convert(summary, to, convert, environment=environment, spec=spec):
            yield f"note: {note}"
        yield f"{to}"


def _spec(environment: str) -> types.EnvironmentSpec:
    with contextlib.closing(environments.make(environment, 0)) as made:
        return environments.spec(made)


def describe(summary: datasets.Summary) -> Iterator[str]:
    """Yields the lines of a summary."""
    of = f" of {summary.environment}" if summary.environment else ""
    yield f"{summary.path}: {summary.format}{of}"
    num, lengths = len(summary.lengths), summary.lengths
    unsaid = f" ({summary.num_unsaid:,} without a sign of it)" if summary.num_unsaid else ""
    truncated = f"{num - summary.num_terminated:,} truncated{unsaid}"
    yield f"episodes  {num:,}: {summary.num_terminated:,} terminated, {truncated}"
    yield f"steps     {lengths.sum():,}"
    yield f"lengths   {_spread(lengths)}; the least {lengths.min():,}, the most {lengths.max():,}"
    for i, returns in enumerate(summary.returns.T):
        finite = returns[np.isfinite(returns)]
        of = f" of objective {i + 1}" if summary.returns.shape[1] > 1 else ""
        if not len(finite):
            yield f"returns   none{of} is a finite number"
            continue
        best = summary.names[int(np.nanargmax(np.where(np.isfinite(returns), returns, np.nan)))].rpartition(", ")[2]
        left = f", of the {len(finite):,} episodes whose return is finite" if len(finite) < num else ""
        yield f"returns   {_spread(finite)}; the best {_number(finite.max())} ({best}){of}{left}"
    yield ""
    yield from _table(summary)
    yield from _findings(summary)


def _spread(values: np.ndarray) -> str:
    quantiles = (f"{percent}% {_number(np.percentile(values, percent))}" for percent in _QUANTILES)
    return f"mean {_number(values.mean())}, std {_number(values.std())}; {', '.join(quantiles)}"


def _number(value: float) -> str:
    """Five digits: 866.32, 1,000, 1.2346e-05."""
    text = f"{value:.5g}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 and ("e" in text or float(text).is_integer()) else text


def _table(summary: datasets.Summary) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [("field", "dtype", "lowest", "highest", "mean", "std")]
    for field in summary.fields:
        if _is_pooled(field):
            numbers = _pooled(field)
            rows.append((f"{field.name} {list(field.low.shape)}", field.dtype, *map(_number, numbers)))
            continue
        for place in np.ndindex(field.low.shape):
            numbers = (field.low[place], field.high[place], field.mean[place], field.std[place])
            rows.append((_name(field, place), field.dtype, *map(_number, numbers)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), row[1].ljust(widths[1])]
        yield "  ".join(cells + [cell.rjust(width) for cell, width in zip(row[2:], widths[2:])])


def _pooled(field: summary_lib.Field) -> tuple[float, float, float, float]:
    """Returns the least, the largest, the mean and the standard deviation of all numbers of an array that has any."""
    known = np.isfinite(field.low)
    if not known.any():
        return (np.nan,) * 4
    low, high, mean, std = (array[known] for array in (field.low, field.high, field.mean, field.std))
    return low.min(), high.max(), mean.mean(), np.sqrt(np.mean(std**2 + (mean - mean.mean()) ** 2))


def _is_pooled(field: summary_lib.Field) -> bool:
    """Whether a line stands for all of an array: of pictures, and of very many numbers."""
    return field.low.size > _MOST_ROWS or (field.dtype == "uint8" and field.low.ndim > 1)


def _name(field: summary_lib.Field, place: tuple[int, ...]) -> str:
    return f"{field.name}[{', '.join(map(str, place))}]" if place else field.name


def _findings(summary: datasets.Summary) -> Iterator[str]:
    """Yields a sentence for each thing that a user should know before learning from the dataset."""
    if summary.canonical and any(field.name == "action" and field.dtype == "float32" for field in summary.fields):
        yield "Actions are those that agents see: -1 and 1 are the environment's bounds."
    for field in summary.fields:
        for what, count in (("NaN", field.num_nan), ("infinite", field.num_infinite)):
            if count.any():
                rows = f"in up to {count.max():,} of {field.num_rows:,} rows"
                yield f"{what}: {_places(field, count > 0)} {rows}."
        if field.constant.any():
            values = field.low[field.constant]
            same = f"{_number(values[0])}" if (values == values[0]).all() else "each another number"
            yield f"constant: {_places(field, field.constant)} (always {same})."
    if summary.num_without_final:
        yield (
            f"{summary.num_without_final:,} truncated episodes lack their final observation, and so their last row is "
            "no step."
        )
    if summary.num_single:
        yield f"{summary.num_single:,} episodes of one such row hold no step, and are not counted."
    if summary.bad:
        total = len(summary.bad) + len(summary.lengths)
        what = f"{len(summary.bad):,} of {total:,} episodes cannot be read, and are not counted"
        yield f"{what}; the first: {summary.bad[0]}"


def _places(field: summary_lib.Field, where: np.ndarray) -> str:
    """`observation[0], observation[3]`, or how many there are."""
    places = [tuple(place) for place in np.argwhere(where)]
    if len(places) > _MOST_NAMED:
        return f"{len(places):,} of {where.size:,} numbers of {field.name}"
    return ", ".join(_name(field, place) for place in places)


def _draw(summary: datasets.Summary, output: pathlib.Path) -> None:
    """Draws histograms of returns, lengths and each number of an action."""
    from matplotlib.figure import Figure

    (action,) = (field for field in summary.fields if field.name == "action")
    histograms = summary_lib.histograms(summary)
    places = list(np.ndindex(action.low.shape))[:_MOST_PANELS]
    num_objectives = summary.returns.shape[1]
    num_panels = num_objectives + 1 + len(places)
    columns = min(num_panels, 3 if num_panels < 10 else 6)
    rows = -(-num_panels // columns)
    figure = Figure((0.4 + 3.2 * columns, 0.6 + 2.5 * rows), dpi=150, layout="constrained")
    title = f"{summary.path.name}: {len(summary.lengths):,} episodes, {summary.lengths.sum():,} steps"
    more = len(histograms) - len(places)
    figure.suptitle(title + (f" ({more} numbers of an action not drawn)" if more else ""), fontsize=11)
    panels = iter([figure.add_subplot(rows, columns, i + 1) for i in range(num_panels)])
    for i, returns in enumerate(summary.returns.T):
        of = f" of objective {i + 1}" if num_objectives > 1 else ""
        _bars(next(panels), *_histogram(returns), title=f"Returns{of}", of="Episodes", colour=plot.COLOURS[0])
    _bars(next(panels), *_histogram(summary.lengths), title="Lengths (steps)", of="Episodes", colour=plot.COLOURS[2])
    for place, histogram in zip(places, histograms):
        _bars(next(panels), *histogram, title=_name(action, place), of="Steps", colour=plot.COLOURS[1])
    plot.save(figure, output)


def _histogram(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns edges and counts of the finite values."""
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if len(finite) else (np.nan, np.nan)
    num = min(max(len(finite) // 4, 10), summary_lib.BINS)
    edges = summary_lib.edges(low, high, bool(values.dtype.kind == "i" and high - low < num), num)
    return edges, np.histogram(finite, edges)[0]


def _bars(axes: Axes, edges: np.ndarray, counts: np.ndarray, *, title: str, of: str, colour: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.stairs(counts, edges, fill=True, color=colour)
    plot.decorate(axes, title=title, x_label="", y_label=of)
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    if edges[0] % 1 == 0.5:  # bins of one whole number each
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_ylim(bottom=0)
