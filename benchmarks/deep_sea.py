"""Deep sea: how many episodes does R2D3 need with one demonstration, by the demonstration's share of a batch? (specs 4)

For each size N and each ratio R2D3 learns on deep-sea:N for --episodes, always with the same configuration and the same
single demonstration, which finds the treasure. The ratio is the chance of each of the 32 sequences of a batch to be
from the demonstration; at 0 there is none, R2D3 is R2D2, and it explores as R2D2 does: each episode has an epsilon of
R2D2's ladder, 256 rungs from 0.1 to 0.001, where R2D3 has 0.01 in all.

    python benchmarks/deep_sea.py --output benchmarks/results/deep_sea.md

Reading it: chance finds the treasure in one of 2^N episodes, and R2D2's epsilon-greedy actor seldom leaves the way that
costs nothing, so that at ratio 0 the larger seas should not be solved within the budget; with a small ratio all of them
should. After every 25 episodes the greedy policy runs once (`evaluator.csv`), and finds the treasure or does not, since
nothing is random there. A run is solved at the first of --in-a-row evaluations one after another that all find it:
the first column of figures has the training episodes until then, seed by seed, and how many runs never were. The last
column is the share of all training episodes that found it (`actor.csv`), exploration included, mean over seeds.

Each run's directory is kept under --runs, and a run that is finished there is not repeated. Two processes may share the
work, such as one with --sizes 10 20 and one with --sizes 30; a last call without them then makes the table at once.
"""

import argparse
import fractions
import pathlib

import common
import numpy as np

from acme_agents.agents import r2d2, r2d3
from acme_agents.experiments import Experiment
from acme_agents.runtime import loggers

_RATIOS = ["0", "1/256", "1/64", "1/16", "1/2"]
_TREASURE = 0.9  # A return above it has found the treasure, whose way costs 0.01.
_EVALUATION_PERIOD = 25  # in episodes
_CONFIG = {
    "torso_layers": (64,),
    "lstm_size": 64,
    "head_layers": (64,),
    "burn_in_length": 0,
    "trace_length": 20,
    "sequence_period": 10,
    "n_step": 10,
    "target_update_period": 25,
    "min_replay_size": 20,
    "max_replay_size": 10_000,
    "samples_per_insert": 64.0,
}
_LADDER = ("num_epsilons", "epsilon_max", "epsilon_min")


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--sizes", default=[10, 20, 30], nargs="+", type=int, help="N")
    parser.add_argument("--ratios", default=_RATIOS, nargs="+", help="of demonstrations in a batch, below 1")
    parser.add_argument("--seeds", default=3, type=int, help="how many")
    parser.add_argument("--episodes", default=1000, type=int, help="the budget of each run")
    parser.add_argument("--in-a-row", default=5, type=int, help="evaluations that must find the treasure")
    parser.add_argument("--runs", default=pathlib.Path("runs/deep_sea"), type=pathlib.Path, help="run directories")
    options = parser.parse_args()

    solved: dict[tuple[int, str], list[int | None]] = {}
    shares: dict[tuple[int, str], list[float]] = {}
    for seed in range(options.seeds):  # Seeds outermost: an interrupted benchmark has some of everything.
        for size in options.sizes:
            for ratio in options.ratios:
                name = f"{size}-{ratio.replace('/', '-') if ratio != '0' else 'ladder'}-{options.episodes}-seed{seed}"
                evaluation = common.train(_experiment(size, ratio, seed, options), options.runs / name)
                found = solved_after(evaluation["episode_return"] > _TREASURE, options.in_a_row)
                episodes = None if found is None else int(evaluation["actor_steps"][found]) // size
                training = loggers.read_csv(options.runs / name / "actor.csv")
                solved.setdefault((size, ratio), []).append(episodes)
                shares.setdefault((size, ratio), []).append(float(np.mean(training["episode_return"] > _TREASURE)))
                print(f"{name}: solved after {episodes} episodes, {shares[size, ratio][-1]:.2f} found it", flush=True)

    report = common.Report(
        f"Episodes until R2D3 solves a deep sea with one demonstration, of at most {options.episodes:,}",
        ["N", "ratio", "episodes until solved, by seed", "share of training episodes that found the treasure"],
    )
    for (size, ratio), by_seed in solved.items():
        cell = ", ".join(f"{episodes:,}" if episodes is not None else "not solved" for episodes in by_seed)
        report.row(size, ratio, cell, float(np.mean(shares[size, ratio])))
    report.note(
        f"Solved: {options.in_a_row} evaluations in a row, {_EVALUATION_PERIOD} episodes apart, find the treasure; not "
        f"solved: they never did in {options.episodes:,} episodes."
    )
    if options.output is not None:
        figure = options.output.with_suffix(".png")
        figure.parent.mkdir(parents=True, exist_ok=True)
        _plot(solved, options.sizes, options.ratios, options.episodes, figure)
        report.note(f"![Episodes until solved]({figure.name})")
    report.finish(options.output)


def _experiment(size: int, ratio: str, seed: int, options: argparse.Namespace) -> Experiment:
    environment, share = f"deep-sea:{size}", float(fractions.Fraction(ratio))
    ladder = {} if share else {field: getattr(r2d2.Config(), field) for field in _LADDER}
    dataset = common.demonstrations(environment, options.runs / f"{size}-demonstration", episodes=1)
    return Experiment(
        agent="r2d3",
        environment=environment,
        dataset=str(dataset) if share else None,
        config=r2d3.Config(**_CONFIG, **ladder, demonstration_ratio=share),
        seed=seed,
        max_steps=options.episodes * size,
        eval_every=_EVALUATION_PERIOD * size,
        eval_episodes=1,
        checkpoint_seconds=3600.0,
    )


def solved_after(found: np.ndarray, in_a_row: int) -> int | None:
    """The first of `in_a_row` true values in a row; None where there are none.

    Args:
      found: [evaluations] bool.
      in_a_row: how many there must be.
    """
    for i in range(len(found) - in_a_row + 1):
        if found[i : i + in_a_row].all():
            return i
    return None


def _plot(
    solved: dict[tuple[int, str], list[int | None]],
    sizes: list[int],
    ratios: list[str],
    budget: int,
    path: pathlib.Path,
) -> None:
    """Draws one panel for each size: every seed as a point, hollow at the budget where it was not solved."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(sizes), figsize=(3.4 * len(sizes), 3.4), sharey=True, squeeze=False)
    for axis, size in zip(axes[0], sizes):
        for i, ratio in enumerate(ratios):
            by_seed = solved[size, ratio]
            places = i + np.linspace(-0.15, 0.15, len(by_seed))  # Beside each other, where they would coincide.
            for place, episodes in zip(places, by_seed):
                face = "C0" if episodes is not None else "white"
                axis.plot(place, budget if episodes is None else episodes, "o", color="C0", markerfacecolor=face)
        axis.axhline(budget, color="0.7", linewidth=0.8, linestyle="--")
        axis.set_xticks(range(len(ratios)), ratios)
        axis.set(title=f"deep-sea:{size}", xlabel="ratio of the demonstration", ylim=(0, 1.08 * budget))
    axes[0, 0].set_ylabel("episodes until solved\n(hollow: not solved)")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
