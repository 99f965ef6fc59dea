"""The figure of a diagnosis: a column for each knob, scores above and regrets below."""

import pathlib
import textwrap
from collections.abc import Mapping, Sequence

from acme_agents.launch import plot
from acme_agents.launch.benchmark import aggregates
from acme_agents.launch.benchmark import figures as shared
from acme_agents.launch.credit import knobs

_EXPLAINED = "Mean over seeds, 95% bootstrap confidence interval; score 0: uniformly random, 1: the best return"
_LETTERS_PER_INCH = 13  # of that
_SPREAD = 0.36  # of the methods around a value, so that their intervals lie side by side; values are 1 apart

Intervals = Mapping[tuple[str, str], aggregates.Interval]  # (task, label) -> of the mean over the seeds


def draw(
    path: pathlib.Path,
    panels: Mapping[str, Mapping[float, str]],
    labels: Sequence[str],
    *,
    scores: Intervals,
    regrets: Intervals,
) -> None:
    """Draws every method's curve over each knob, with an interval at each value.

    Args:
      path: of the .png file.
      panels: knob -> value -> task.
      labels: of the methods, in the order of the legend.
      scores: where there are any.
      regrets: likewise.
    """
    figure = shared.new()
    figure.set_dpi(150)
    width = max(6.0, 3.3 * len(panels))  # in inches
    figure.set_size_inches(width, 6.6)
    rows = (("Score at the end", scores), ("Regret over the run", regrets))
    grid = figure.subplots(len(rows), len(panels), squeeze=False, sharey="row")
    handles = {}
    for column, (knob, tasks) in enumerate(panels.items()):
        for (name, intervals), axes in zip(rows, grid[:, column]):
            for i, label in enumerate(labels):
                shift = _SPREAD * (i / max(1, len(labels) - 1) - 0.5)
                drawn = [
                    (x + shift, *intervals[key])
                    for x, key in enumerate((t, label) for t in tasks.values())
                    if key in intervals
                ]
                if not drawn:
                    continue
                x, value, low, high = zip(*drawn)
                colour = plot.COLOURS[i % len(plot.COLOURS)]
                style = plot.LINE_STYLES[i // len(plot.COLOURS) % len(plot.LINE_STYLES)]
                axes.vlines(x, low, high, color=colour, linewidth=2.2, alpha=0.45)
                (handles[label],) = axes.plot(
                    x, value, color=colour, linestyle=style, marker="o", markersize=4, linewidth=1.5
                )
            axes.set_xticks(range(len(tasks)), [f"{value:g}" for value in tasks])
            axes.set_xlabel(knobs.KNOBS[knob].axis, fontsize=9.5)
            axes.tick_params(labelsize=8.5)
            axes.axhline(0.0, color="0.5", linewidth=0.8)
            axes.axhline(1.0, color="0.5", linewidth=0.8, linestyle=":")
            shared.bare(axes)
            if not column:
                axes.set_ylabel(name, fontsize=10)
        grid[0, column].set_title(knobs.KNOBS[knob].title, fontsize=11)
    if handles:
        figure.legend(
            handles.values(),
            handles,
            title=textwrap.fill(_EXPLAINED, int(_LETTERS_PER_INCH * width)),
            loc="outside lower center",
            ncols=min(4, len(handles)),
            frameon=False,
            fontsize=9,
            title_fontproperties={"size": 8.5},
        )
    shared.save(figure, path)
