"""Learning from mixed data: does critic-regularised regression beat imitation, and does a trade-off help? (specs 1, 3)

For each task, MPO trains once and its whole history is recorded: from random actions to the best it came to. Of the
good episodes (a return of at least half the way from the worst to the best) two thirds are dropped, as RL Unplugged
does. From that BC, three kinds of CRR, and DiME(BC) at each of --alphas learn, every number else the same.

    python benchmarks/offline.py --output benchmarks/results/offline.md

Reading it: BC imitates the average of the data. CRR should beat it on every task (Wang et al. 2020). DiME(BC) at alpha
= 0 is BC in MPO's trust regions, at alpha = 1 it is MPO on data alone, whose critic is never put right: good on easy
tasks, lost on hard ones, where the best should lie between the two. Every cell is the final evaluation's return: mean
over seeds, and the lowest and the highest seed. The last column is the mean over tasks of the return, as a share of
the task's best.

Each run's directory is kept under --runs, and a run that is finished there is not repeated. Recording takes about two
minutes for each 100,000 steps on an idle machine of two cores, every other run about half a minute.
"""

import pathlib
import re

import common
import numpy as np

from acme_agents import bc, crr, datasets, dime, mpo
from acme_agents.experiments import Experiment

_TASKS = {
    "control:cartpole:swingup": 60_000,
    "control:cheetah:run": 100_000,
    "control:walker:walk": 150_000,
    "control:walker:stand": 60_000,
}
_NETWORKS = {"policy_layers": (128, 128), "batch_size": 128}  # of every agent here: small, to take minutes
_CRITIC = {"critic_layers": (128, 128), "critic": "categorical", "vmin": 0.0, "vmax": 100.0, "num_atoms": 21}
_LEARNING_RATE = 3e-4


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--tasks", default=list(_TASKS), nargs="+", help="control-suite tasks")
    parser.add_argument("--alphas", default=[0.0, 0.25, 0.5, 0.75, 0.9, 1.0], nargs="+", type=float, help="of DiME(BC)")
    parser.add_argument("--seeds", default=3, type=int, help="how many")
    parser.add_argument("--updates", default=10_000, type=int, help="of each offline run")
    parser.add_argument("--steps", type=int, help="environment steps of each recording (default: 60,000 to 150,000)")
    parser.add_argument("--eval-episodes", default=20, type=int, help="episodes of the final evaluation")
    parser.add_argument("--runs", default=pathlib.Path("runs/offline"), type=pathlib.Path, help="run directories")
    options = parser.parse_args()

    data = {task: _record(task, options.steps or _TASKS.get(task, 100_000), options.runs) for task in options.tasks}
    results: dict[tuple[str, str], list[float]] = {}
    variants = _variants(options.alphas)
    for seed in range(options.seeds):  # Seeds outermost: an interrupted benchmark has some of everything.
        for task in options.tasks:
            for label, (agent, config) in variants.items():
                experiment = Experiment(
                    agent=agent,
                    environment=task,
                    dataset=str(data[task]),
                    keep_good=1 / 3,
                    config=config,
                    seed=seed,
                    max_steps=0,
                    max_updates=options.updates,
                    eval_every=options.updates,
                    eval_episodes=options.eval_episodes,
                )
                name = re.sub(r"[^\w.]+", "-", f"{task}-{label}-{options.updates}-seed{seed}")
                found = common.train(experiment, options.runs / name)["episode_return"][-1]
                print(f"{name}: {found:.1f}", flush=True)
                results.setdefault((label, task), []).append(float(found))

    columns = ["method", *options.tasks, "of the best"]
    report = common.Report(f"Return after {options.updates:,} updates on mixed data", columns)
    means = np.array([[np.mean(results[label, task]) for task in options.tasks] for label in variants])
    shares = np.mean(means / means.max(axis=0), axis=1)
    for label, share in zip(variants, shares):
        found_per_task = [results[label, task] for task in options.tasks]
        cells = (f"{np.mean(found):.0f} ({min(found):.0f} .. {max(found):.0f})" for found in found_per_task)
        report.row(label, *cells, f"{share:.2f}")
    for task in options.tasks:
        report.note(f"{task}: {_describe(data[task], task)}")
    report.note(
        f"Mean (lowest .. highest) of {options.seeds} seeds; {options.eval_episodes} episodes of the deterministic "
        "policy."
    )
    if options.output is not None:
        figure = options.output.with_suffix(".png")
        figure.parent.mkdir(parents=True, exist_ok=True)
        _plot(results, options.tasks, options.alphas, figure)
        report.note(f"![Returns]({figure.name})")
    report.finish(options.output)


def _record(task: str, steps: int, runs: pathlib.Path) -> pathlib.Path:
    """Trains MPO on a task and records it; returns the dataset's path."""
    name = re.sub(r"[^\w.]+", "-", f"{task}-mpo-{steps}")
    dataset = runs / f"{name}-history"
    experiment = Experiment(
        agent="mpo",
        environment=task,
        config=mpo.Config(**_NETWORKS, critic_layers=(128, 128), num_actions=10, samples_per_insert=32.0),
        max_steps=steps,
        eval_every=steps // 5,
        eval_episodes=3,
        record=str(dataset),
    )
    common.train(experiment, runs / name)
    return dataset


def _variants(alphas: list[float]) -> dict[str, tuple[str, object]]:
    """Label -> agent and configuration."""
    rates = {"policy_learning_rate": _LEARNING_RATE, "critic_learning_rate": _LEARNING_RATE}
    shared = {**_NETWORKS, **_CRITIC}
    variants: dict[str, tuple[str, object]] = {"BC": ("bc", bc.Config(**_NETWORKS, learning_rate=_LEARNING_RATE))}
    for label, weight, baseline in (
        ("CRR exp", "exp", "mean"),
        ("CRR binary", "binary", "mean"),
        ("CRR binary max", "binary", "max"),
    ):
        variants[label] = "crr", crr.Config(**shared, **rates, weight=weight, baseline=baseline)
    for alpha in alphas:
        variants[_dime(alpha)] = (
            "dime",
            dime.Config(
                **shared,
                behaviour="bc",
                preference=(alpha, 1 - alpha),
                num_actions=10,
                n_step=1,
                learning_rate=_LEARNING_RATE,
            ),
        )
    return variants


def _dime(alpha: float) -> str:
    return f"DiME(BC), alpha {alpha:g}"


def _describe(dataset: pathlib.Path, task: str) -> str:
    spec = Experiment("mpo", task).environment_spec()
    returns = [trajectory.reward.sum() for trajectory in datasets.load(dataset, spec, keep_good=1 / 3)]
    low, middle, high = np.percentile(returns, [10, 50, 90])
    return (
        f"{len(returns)} episodes are left, of returns {min(returns):.0f} to {max(returns):.0f}, mean "
        f"{np.mean(returns):.0f}, tenth, median and ninetieth percentile {low:.0f}, {middle:.0f}, {high:.0f}."
    )


def _plot(
    results: dict[tuple[str, str], list[float]], tasks: list[str], alphas: list[float], path: pathlib.Path
) -> None:
    """Draws one panel for each task: every seed as a point, the mean as a bar, and DiME's sweep joined by a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    others = [label for label in dict.fromkeys(label for label, _ in results) if not label.startswith("DiME")]
    labels = [*others, *map(_dime, alphas)]
    positions = [*range(len(others)), *range(len(others) + 1, len(labels) + 1)]  # a gap between the two groups
    colours = [*(f"C{i}" for i in range(1, len(others) + 1)), *["C0"] * len(alphas)]
    figure, axes = pyplot.subplots(1, len(tasks), figsize=(3.6 * len(tasks), 3.6), squeeze=False)
    for axis, task in zip(axes[0], tasks):
        for position, label, colour in zip(positions, labels, colours):
            found = results[label, task]
            axis.plot([position] * len(found), found, "o", color=colour, markersize=3, alpha=0.6)
            axis.hlines(np.mean(found), position - 0.35, position + 0.35, color=colour, linewidth=2.5)
        sweep = [np.mean(results[_dime(alpha), task]) for alpha in alphas]
        axis.plot(positions[len(others) :], sweep, color="C0", linewidth=0.8)
        axis.set_xticks(positions, [*others, *(f"{alpha:g}" for alpha in alphas)], rotation=60, fontsize=8)
        axis.set(title=task.removeprefix("control:"), ylim=(0, None))
        axis.text(0.98, -0.24, "DiME(BC) by alpha", transform=axis.transAxes, ha="right", fontsize=8, color="C0")
    axes[0, 0].set_ylabel("return")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
