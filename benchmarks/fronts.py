"""Pareto fronts: what trade-offs between two objectives does each method reach, over nine preferences? (specs 3)

DiME and linear scalarisation of the rewards (and with --methods MO-MPO), under the same configuration, each once for
every preference, bound epsilon of the E-step and seed: on probe:concave DiME's default bound, 0.1, and ten times that;
elsewhere the default. The hyper-volume is the area that a front dominates above a reference point: the mean over seeds
of each seed's.

    python benchmarks/fronts.py --output benchmarks/results/fronts.md
    python benchmarks/fronts.py --env energy:control:cheetah:run --output benchmarks/results/fronts_cheetah.md

Reading it: on the concave front of probe:concave a linear scalarisation can reach the two ends and nothing between,
whatever the preference, and DiME all of it (Abdolmaleki et al. 2021). energy: tasks have the task's reward and the
negative mean square of the action; the rewards' scales are what they are, and nothing is tuned for either method.

Each run's directory is kept under --runs, and a run that is finished there is not repeated.
"""

import pathlib
import re

import common
import numpy as np

from acme_agents.agents import dime
from acme_agents.experiments import Experiment

_METHODS = {"dime": "DiME", "mo-mpo": "MO-MPO", "scalarisation": "linear scalarisation"}
_ALPHAS = [i / 10 for i in range(1, 10)]
# The bandit's action is 1.5 times too small: a standard deviation of 1/3 is one of 0.5 on the scale of its optima.
_BANDIT = {
    "policy_layers": (32, 32),
    "critic_layers": (32, 32),
    "batch_size": 64,
    "num_actions": 10,
    "policy_init_stddev": 1 / 3,
    "n_step": 1,
    "samples_per_insert": 128.0,
    "min_replay_size": 200,
    "target_update_period": 25,
}
_CONTROL = {
    "policy_layers": (128, 128),
    "critic_layers": (128, 128),
    "batch_size": 128,
    "num_actions": 10,
    "samples_per_insert": 16.0,
}
_EPSILON = dime.Config().epsilon
# Environment -> steps of a run, configuration, epsilons, and the reference point: no worse return is possible.
_ENVIRONMENTS = {
    "probe:concave": (2_000, _BANDIT, (_EPSILON, 10 * _EPSILON), (0.0, 0.0)),
    "energy:control:cheetah:run": (30_000, _CONTROL, (_EPSILON,), (0.0, -1000.0)),
}


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--env", default="probe:concave", help=f"of two objectives: {', '.join(_ENVIRONMENTS)}")
    parser.add_argument("--methods", default=["dime", "scalarisation"], nargs="+", choices=list(_METHODS))
    parser.add_argument("--alphas", default=_ALPHAS, nargs="+", type=float, help="weights of the first objective")
    parser.add_argument("--epsilons", nargs="+", type=float, help="bounds of the E-step, in nats")
    parser.add_argument("--seeds", default=3, type=int, help="how many")
    parser.add_argument("--steps", type=int, help="environment steps of each run")
    parser.add_argument("--eval-episodes", default=10, type=int, help="episodes of the final evaluation")
    parser.add_argument("--runs", default=pathlib.Path("runs/fronts"), type=pathlib.Path, help="run directories")
    options = parser.parse_args()

    default_steps, config, default_epsilons, reference = _ENVIRONMENTS[options.env]
    steps = options.steps or default_steps
    variants = {
        f"{_METHODS[method]}, epsilon {epsilon:g}": (method, epsilon)
        for epsilon in options.epsilons or default_epsilons
        for method in options.methods
    }
    points = {label: np.zeros((options.seeds, len(options.alphas), 2)) for label in variants}
    for seed in range(options.seeds):  # Seeds outermost: an interrupted benchmark has some of everything.
        for i, alpha in enumerate(options.alphas):
            for label, (method, epsilon) in variants.items():
                experiment = Experiment(
                    agent="dime",
                    environment=options.env,
                    config=dime.Config(**config, method=method, preference=(alpha, 1 - alpha), epsilon=epsilon),
                    seed=seed,
                    max_steps=steps,
                    eval_every=steps,
                    eval_episodes=options.eval_episodes,
                )
                name = re.sub(r"[^\w.]+", "-", f"{options.env}-{method}-{epsilon:g}-{alpha:.2g}-{steps}-seed{seed}")
                evaluation = common.train(experiment, options.runs / name)
                points[label][seed, i] = evaluation["episode_return"][-1], evaluation["episode_return_1"][-1]
                print(f"{name}: {points[label][seed, i]}", flush=True)

    report = common.Report(
        f"Returns of the two objectives after {steps:,} steps of {options.env}", ["alpha", *variants]
    )
    for i, alpha in enumerate(options.alphas):
        runs = (points[label][:, i] for label in variants)
        report.row(f"{alpha:.1f}", *("; ".join(f"{x:.3g}, {y:.3g}" for x, y in seeds) for seeds in runs))
    cells = []
    for label in variants:
        volumes = [hyper_volume(front, reference) for front in points[label]]
        cells.append(f"{np.mean(volumes):.4g} ({min(volumes):.4g} .. {max(volumes):.4g})")
    report.row("hyper-volume", *cells)
    report.note(
        f"Each cell has the returns of {options.seeds} seeds, of {options.eval_episodes} episodes of the deterministic "
        f"policy each; hyper-volume: their mean (lowest .. highest), reference point {reference}."
    )
    if options.output is not None:
        figure = options.output.with_suffix(".png")
        figure.parent.mkdir(parents=True, exist_ok=True)
        _plot(points, options.env, figure)
        report.note(f"![Fronts]({figure.name})")
    report.finish(options.output)


def hyper_volume(points: np.ndarray, reference: tuple[float, float]) -> float:
    """The area that points dominate, two objectives to be maximised.

    Args:
      points: [P, 2]; those that do not exceed the reference point in both objectives add nothing.
      reference: the point above which the area is measured.
    """
    area, best = 0.0, reference[1]
    for first, second in sorted(points.tolist(), reverse=True):  # From the best in the first objective down.
        if first > reference[0] and second > best:
            area += (first - reference[0]) * (second - best)
            best = second
    return area


def _plot(points: dict[str, np.ndarray], title: str, path: pathlib.Path) -> None:
    """Draws every run as a point; a mean of two ends of a concave front would lie where no policy is."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(5.2, 4.2))
    if title == "probe:concave":
        x = np.linspace(-1, 1, 201)
        axis.plot(np.exp(-((x - 1) ** 2)), np.exp(-((x + 1) ** 2)), color="0.7", linewidth=1, label="the true front")
    for i, (label, found) in enumerate(points.items()):
        axis.plot(*found.reshape(-1, 2).T, "oxs^vd"[i % 6], color=f"C{i}", label=label, markersize=6, alpha=0.7)
    axis.set(
        title=f"{title}, every preference and seed",
        xlabel="return of the first objective",
        ylabel="return of the second",
    )
    axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
