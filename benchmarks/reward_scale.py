"""Reward scale: does a critic learn whatever the unit of reward, with nothing retuned? (specs 2(b))

MPO with a mixture critic, and with the categorical critic on 51 atoms in [-150, 150] that Acme's DMPO baseline has, on
one task with its rewards multiplied by each of --factors. Every other number is the same. The table and the figure give
the final evaluation's return with the factor divided out again: mean over seeds, and the lowest and the highest seed.

    python benchmarks/reward_scale.py --output benchmarks/results/reward_scale.md

Reading it: a critic indifferent to scale has the same return in every column. The atoms are 6 apart: returns that lie
within a few hundredths of that are hard to tell apart, and all returns beyond 150 look alike. The default task,
probe:reach, has discounted values from about 25 to 95 (x1), and undiscounted returns of 47.1 for the optimal policy and
12.6 for random actions. --env control:cartpole:swingup needs many more --steps: 20,000 do not tell the critics apart.
The last columns say whether the E-step's bound is reached: the temperature starts at 10 whatever the values' unit.
The claim (Shahriari et al. 2022) is that the mixture keeps learning where the categorical critic fails; the table says
what was found. Each run's directory is kept under --runs, and a run that is finished there is not repeated.

The runs take turns in this process: 45 seconds each on an idle machine of two cores, so 14 minutes by default.
"""

import pathlib
import re

import common
import numpy as np

from acme_agents.agents.mpo import config as mpo_config
from acme_agents.experiments import Experiment
from acme_agents.runtime import loggers


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--env", default="probe:reach", help="the task, any environment's name")
    parser.add_argument("--factors", default=[0.01, 1.0, 100.0], nargs="+", type=float, help="of the rewards")
    parser.add_argument("--critics", default=["mixture", "categorical"], nargs="+", help="mixture, categorical, scalar")
    parser.add_argument("--no-fit-temperature", action="store_true", help="with that option of mpo's")
    parser.add_argument("--seeds", default=3, type=int, help="how many")
    parser.add_argument("--steps", default=15_000, type=int, help="environment steps of each run")
    parser.add_argument("--eval-every", type=int, help="environment steps between evaluations (default: a tenth)")
    parser.add_argument("--eval-episodes", default=20, type=int, help="episodes of each evaluation")
    parser.add_argument("--runs", default=pathlib.Path("runs/reward_scale"), type=pathlib.Path, help="run directories")
    options = parser.parse_args()

    curves: dict[tuple[str, float], list[dict[str, np.ndarray]]] = {}
    ratios: dict[tuple[str, float], list[dict[str, np.ndarray]]] = {}
    fitted = "-unfitted" if options.no_fit_temperature else ""
    for seed in range(options.seeds):  # Seeds outermost: an interrupted benchmark has some of everything.
        for critic in options.critics:
            for factor in options.factors:
                experiment = Experiment(
                    agent="mpo",
                    environment=f"scaled:{factor:g}:{options.env}",
                    config=mpo_config.Config(critic=critic, fit_temperature=not options.no_fit_temperature),
                    seed=seed,
                    max_steps=options.steps,
                    eval_every=options.eval_every or max(1, options.steps // 10),
                    eval_episodes=options.eval_episodes,
                )
                name = re.sub(r"[^\w.]+", "-", f"{options.env}-{options.steps}-{critic}{fitted}-x{factor:g}-seed{seed}")
                curve = common.train(experiment, options.runs / name)
                print(f"{name}: {curve['episode_return'][-1] / factor:.1f}", flush=True)
                curves.setdefault((critic, factor), []).append(curve)
                ratios.setdefault((critic, factor), []).append(loggers.read_csv(options.runs / name / "learner.csv"))

    report = common.Report(
        f"Unscaled evaluation return after {options.steps:,} steps of {options.env}",
        [
            "critic",
            *(f"rewards x{factor:g}" for factor in options.factors),
            *(f"KL / bound, x{factor:g}" for factor in options.factors),
        ],
    )
    for critic in options.critics:
        cells = []
        for factor in options.factors:
            returns = [curve["episode_return"][-1] / factor for curve in curves[critic, factor]]
            cells.append(f"{np.mean(returns):.1f} ({min(returns):.1f} .. {max(returns):.1f})")
        cells += [_reached(ratios[critic, factor]) for factor in options.factors]
        report.row(critic, *cells)
    report.note(
        f"Mean (lowest .. highest) of {options.seeds} seeds; the last evaluation of each, of {options.eval_episodes} "
        "episodes of the deterministic policy. Hyper-parameters are MPO's defaults throughout"
        + (", but for fit_temperature." if options.no_fit_temperature else ".")
    )
    report.note(
        "KL / bound: that of the E-step's weights over epsilon, mean over the last tenth of the updates, and in "
        "brackets the update after which it was first 0.5 (as logged, every few hundred); medians over seeds. At the "
        "dual's optimum it is 1."
    )
    if options.output is not None:
        figure = options.output.with_suffix(".png")
        figure.parent.mkdir(parents=True, exist_ok=True)
        _plot(curves, options.env, figure)
        report.note(f"![Learning curves]({figure.name})")
    report.finish(options.output)


def _reached(runs: list[dict[str, np.ndarray]]) -> str:
    """The E-step's KL over its bound, mean over the last tenth of the updates, and the update after which it was 0.5
    first.

    Both are medians over the runs; an infinite one stands as "never".
    """
    last, first = [], []
    for run in runs:
        ratio, updates = run["kl_q_ratio"], run["learner_steps"]
        last.append(np.mean(ratio[updates >= 0.9 * updates[-1]]))
        reached = np.flatnonzero(ratio >= 0.5)
        first.append(updates[reached[0]] if len(reached) else np.inf)
    when = np.median(first)
    return f"{np.median(last):.2f} ({f'{when:,.0f}' if np.isfinite(when) else 'never'})"


def _plot(curves: dict[tuple[str, float], list[dict[str, np.ndarray]]], title: str, path: pathlib.Path) -> None:
    """Draws one panel for each factor, one line for each critic, and every seed faintly."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    critics = list(dict.fromkeys(critic for critic, _ in curves))
    factors = list(dict.fromkeys(factor for _, factor in curves))
    figure, axes = pyplot.subplots(1, len(factors), figsize=(4 * len(factors), 3.2), sharey=True, squeeze=False)
    for axis, factor in zip(axes[0], factors):
        for i, critic in enumerate(critics):
            runs = curves[critic, factor]
            length = min(len(run["episode_return"]) for run in runs)
            returns = np.stack([run["episode_return"][:length] for run in runs]) / factor
            steps = runs[0]["actor_steps"][:length]
            axis.plot(steps, returns.T, color=f"C{i}", alpha=0.3, linewidth=1)
            axis.plot(steps, returns.mean(axis=0), color=f"C{i}", label=critic)
        axis.set(title=f"rewards x{factor:g}", xlabel="environment steps")
    axes[0, 0].set_ylabel("return / factor")
    axes[0, 0].legend()
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
