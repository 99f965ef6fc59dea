"""The figures of a report, as .png files."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from acme_agents.core import errors
from acme_agents.launch import plot
from acme_agents.launch.benchmark import aggregates
from acme_agents.launch.benchmark.results import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DOTS_PER_INCH = 110


def curves(path: pathlib.Path, results: Sequence[Result], *, x: str) -> list[str]:
    """Draws the evaluations of all runs, a panel for each task; of runs alike those that have finished, if any has.

    Args:
      path: of the .png file.
      results: the runs.
      x: "actor_steps" or "walltime".

    Returns:
      A sentence for each curve without a mean; nothing is drawn, and one sentence returned, where nothing can be.
    """
    finished = {(result.run.task, result.run.variant.label) for result in results if result.is_finished}
    panels: dict[str, dict[str, list[plot.Run]]] = {}
    for result in results:
        task, label = result.run.task, result.run.variant.label
        if result.is_finished or (task, label) not in finished:
            try:
                curve = plot.load(result.run_dir, metric="episode_return", table="evaluator", x=x)
            except errors.UserError:  # There is nothing to draw yet.
                continue
            panels.setdefault(task, {}).setdefault(label, []).append(curve)
    if not panels:
        return ["No run has an evaluation yet."]
    figure = new()
    notes = plot.draw(figure, panels, dict.fromkeys(panels, x), y_label="Episode return of an evaluation")
    save(figure, path)
    return notes


def intervals(path: pathlib.Path, scores: Mapping[str, Mapping[str, aggregates.Interval]]) -> None:
    """Draws the aggregates of each label with their intervals, a panel for each metric."""
    figure = new()
    figure.set_size_inches(9.5, 0.9 + 0.34 * len(scores))
    labels = list(scores)
    for i, metric in enumerate(aggregates.METRICS):
        axes = figure.add_subplot(1, len(aggregates.METRICS), i + 1)
        for row, label in enumerate(labels):
            value, low, high = scores[label][metric]
            colour = plot.COLOURS[row % len(plot.COLOURS)]
            axes.plot([low, high], [row, row], color=colour, linewidth=7, alpha=0.35, solid_capstyle="butt")
            axes.plot([value, value], [row - 0.32, row + 0.32], color=colour, linewidth=2)
        axes.set_title(metric[0].upper() + metric[1:], fontsize=10.5)
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.set_yticks(range(len(labels)), labels if i == 0 else [""] * len(labels), fontsize=9)
        axes.tick_params(axis="x", labelsize=8.5)
        axes.tick_params(axis="y", length=0)
        axes.margins(x=0.15)
        axes.locator_params(axis="x", nbins=4)
        bare(axes)
        axes.spines["left"].set_visible(False)
    save(figure, path)


def profiles(path: pathlib.Path, found: aggregates.Profiles) -> None:
    """Draws performance profiles with their bands."""
    figure = new()
    figure.set_size_inches(7.0, 4.2)
    axes = figure.add_subplot()
    for i, (label, shares) in enumerate(found.shares.items()):
        colour = plot.COLOURS[i % len(plot.COLOURS)]
        style = plot.LINE_STYLES[i // len(plot.COLOURS) % len(plot.LINE_STYLES)]
        axes.plot(found.thresholds, shares, color=colour, linestyle=style, linewidth=2, label=label)
        axes.fill_between(found.thresholds, *found.intervals[label], color=colour, alpha=0.18, linewidth=0)
    axes.set_xlabel("Normalised score", fontsize=9.5)
    axes.set_ylabel("Share of runs with a higher score", fontsize=9.5)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.tick_params(labelsize=8.5)
    bare(axes)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    save(figure, path)


def new() -> "Figure":
    """A figure that lays itself out."""
    from matplotlib.figure import Figure

    return Figure(dpi=_DOTS_PER_INCH, layout="constrained")


def bare(axes: "plot.Axes") -> None:
    """Gives a panel its grid, and no frame."""
    axes.grid(color="0.9", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("0.6")


def save(figure: "Figure", path: pathlib.Path) -> None:
    """Writes a figure, whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".partial.png")
    figure.savefig(partial, facecolor="white")
    partial.replace(path)
