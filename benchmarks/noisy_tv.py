"""Does curiosity stay at a noisy television? RND, BYOL-Explore and BYOL-Hindsight around PPO on two chains (specs 6.3).

On `noisy-tv:symbols` the screen shows one of 16 symbols, and on `noisy-tv:pixels` 162 random pixels, at the right end
of a chain of nine states. There is no reward but the bonus. All seeds of a method run side by side, in one compiled
program.

    python benchmarks/noisy_tv.py --output benchmarks/results/noisy_tv.md
    python benchmarks/noisy_tv.py --target-decay 1 --methods byol-explore byol-hindsight --output FILE  # random targets
    python benchmarks/noisy_tv.py --divisor 0.25 --methods byol-hindsight --output FILE                 # lambda

Reading it: the error is the bonus before it is normalised, of what a transition led to; normalised it would be about 1
at any time. `at its start` and `at its end` are means over those of the first 2% and of the last 10% of updates that
are logged (a short run logs its first eight updates and its last), weighted by visits; `of its start` is their ratio at
the television. `time there` is the share of transitions that led to the television, at the end: at most 57 of an
episode's 64. `paid there` is the normalised bonus above its running mean, at the end; RND pays all of it. Expected:
BYOL-Explore stays there, with an error above 5 times that elsewhere; BYOL-Hindsight's falls below a tenth of its start;
RND's vanishes with the symbols, whose targets can be learnt, and not with the pixels. Mean over the seeds, and each
seed's in brackets.

Each run's directory is kept under --runs, and a run that is finished there is not repeated. --table trains nothing.
"""

import argparse
import pathlib
from typing import Any

import common
import numpy as np
import watched

from acme_agents.agents import ppo
from acme_agents.experiments import Base, Experiment
from acme_agents.runtime import loggers

_METHODS = ("rnd", "byol-explore", "byol-hindsight")
_BASE = {"unroll_length": 65, "batch_size": 8, "num_epochs": 4, "num_minibatches": 4, "entropy_weight": 0.01}


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--screens", default=["symbols", "pixels"], nargs="+", help="kinds of screen")
    parser.add_argument("--methods", default=list(_METHODS), nargs="+", choices=_METHODS)
    parser.add_argument("--seeds", default=3, type=int, help="how many, from 0 on")
    parser.add_argument("--steps", default=200_000, type=int, help="environment steps of each seed")
    parser.add_argument("--target-decay", default=0.99, type=float, help="of the target encoder; 1 keeps it random")
    parser.add_argument("--divisor", default=1.0, type=float, help="lambda of BYOL-Hindsight's reconstruction")
    parser.add_argument("--num-steps", default=8, type=int, help="gradient steps of the bonus on each batch")
    parser.add_argument("--runs", default=pathlib.Path("runs/noisy_tv"), type=pathlib.Path, help="run directories")
    parser.add_argument("--table", action="store_true", help="train nothing: the table of what there is")
    options = parser.parse_args()

    report = common.Report(
        f"A noisy television: errors of the bonus, {options.steps:,} steps, {options.seeds} seeds",
        [
            "screen",
            "bonus",
            "error there, at its start",
            "at its end",
            "of its start",
            "elsewhere, at its start",
            "at its end",
            "paid there",
            "paid elsewhere",
            "time there",
        ],
    )
    curves: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for screen in options.screens:
        for method in options.methods:
            tables = _run(screen, method, options)
            if not tables:
                report.row(screen, method, *["not run"] * 8)
                continue
            curves[screen, method] = tables
            found = [_figures(table) for table in tables]
            report.row(screen, method, *(_cell(values) for values in zip(*found)))
            if method == "byol-hindsight":
                report.note(f"{screen}, {method}: {_parts(tables)}.")
    report.note(
        f"PPO of {_BASE}, and the bonus alone for a reward; {options.num_steps} gradient steps of the bonus on each "
        f"batch of 512 transitions, horizon 1, target_decay {options.target_decay:g}, divisor {options.divisor:g}."
    )
    report.finish(options.output)
    if options.output is not None and curves:
        _draw(curves, options, options.output.with_suffix(".png"))


def _run(screen: str, method: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """learner.csv of each seed; none if it is not to train and has not."""
    config = watched.Config(
        method=method, target_decay=options.target_decay, divisor=options.divisor, num_steps=options.num_steps
    )
    experiment = Experiment(
        agent="watched",
        environment=f"noisy-tv:{screen}",
        config=config,
        base=Base("ppo", ppo.Config(**_BASE)),
        environments_per_actor=8,
        max_steps=options.steps,
        eval_every=0,
        checkpoint_seconds=3600.0,
    )
    values = f"{options.steps}-{options.num_steps}-{options.target_decay:g}-{options.divisor:g}-{options.seeds}"
    run_dir = options.runs / f"{screen}-{method}-{values}"
    if not options.table:
        common.train(experiment, run_dir, launcher="fused", seeds=options.seeds)
    if not (run_dir / "finished").exists():
        return []
    return [loggers.read_csv(path / "learner.csv") for path in common.seeds_of(run_dir)]


def _figures(table: dict[str, Any]) -> tuple[float, ...]:
    """Of one seed, the columns of the table from the third on."""
    updates = np.asarray(table["learner_steps"])
    first, last = updates <= max(0.02 * updates[-1], updates[0]), updates >= 0.9 * updates[-1]
    there, elsewhere = table["bonus_visits"], 1.0 - table["bonus_visits"]

    def mean(name: str, rows: Any, weights: Any) -> float:
        total = float(np.sum(weights[rows]))
        return float(np.sum((table[name] * weights)[rows])) / total if total else float("nan")

    start, end = mean("bonus_at", first, there), mean("bonus_at", last, there)
    return (
        start,
        end,
        end / start,
        mean("bonus_elsewhere", first, elsewhere),
        mean("bonus_elsewhere", last, elsewhere),
        mean("bonus_paid_at", last, there),
        mean("bonus_paid_elsewhere", last, elsewhere),
        float(np.mean(there[last])),
    )


def _cell(values: tuple[float, ...]) -> str:
    return f"{np.mean(values):.3g} ({', '.join(f'{value:.2g}' for value in values)})"


def _parts(tables: list[dict[str, Any]]) -> str:
    """What L_rec and L_inv are at the television, in the first batch and in the last; means over the seeds."""
    found = []
    for name, row in (("first", 0), ("last", -1)):
        invariance = np.mean([table["bonus_invariance_at"][row] for table in tables])
        total = np.mean([table["bonus_at"][row] for table in tables])
        found.append(f"{name} batch L_inv {invariance:.3g}, L_rec / lambda {total - invariance:.3g}")
    return "; ".join(found)


def _draw(curves: dict[tuple[str, str], list[dict[str, Any]]], options: argparse.Namespace, path: pathlib.Path) -> None:
    """Errors at the television and elsewhere, and time spent there, over updates."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    screens = [screen for screen in options.screens if any(key[0] == screen for key in curves)]
    figure, axes = pyplot.subplots(3, len(screens), figsize=(5 * len(screens), 8), sharex=True, squeeze=False)
    titles = ("error at the television / its start", "error elsewhere / start there", "time at the television")
    for column, screen in enumerate(screens):
        axes[0, column].set_title(f"noisy-tv:{screen}")
        for (of_screen, method), tables in curves.items():
            if of_screen != screen:
                continue
            color = f"C{_METHODS.index(method)}"
            for seed, table in enumerate(tables):
                start = _figures(table)[0]
                lines = (table["bonus_at"] / start, table["bonus_elsewhere"] / start, table["bonus_visits"])
                seen = (table["bonus_visits"] > 0, table["bonus_visits"] < 1, table["bonus_visits"] >= 0)
                for row, (line, where) in enumerate(zip(lines, seen)):
                    label = method if seed == 0 else None
                    x, y = table["actor_steps"][where], _smooth(line[where])
                    axes[row, column].plot(x, y, color=color, label=label, linewidth=1, marker=".", markersize=4)
        for row, title in enumerate(titles):
            axes[row, column].set_ylabel(title)
            axes[row, column].set_ylim(bottom=0)
        axes[2, column].set_xlabel("environment steps")
    axes[0, 0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _smooth(values: Any) -> Any:
    """Means over a twentieth of the rows, fewer at the ends; of a few rows, these themselves."""
    ones = np.ones(max(1, len(values) // 20))
    return np.convolve(values, ones, "same") / np.convolve(np.ones(len(values)), ones, "same")


if __name__ == "__main__":
    main()
