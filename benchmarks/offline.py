"""Learning from mixed data: does critic-regularised regression beat imitation, and does a trade-off help? (specs 1, 3)

For each task, MPO trains once and its whole history is recorded: from random actions to at least half of what it can
reach there. Of the good episodes (a return of at least half the way from the worst to the best) two thirds are dropped,
as RL Unplugged does. From that BC, three kinds of CRR, and DiME(BC) at each of --alphas learn, every number else the
same.

    python benchmarks/offline.py --output benchmarks/results/offline.md

Reading it: BC imitates the average of the data. CRR should beat it on every task (Wang et al. 2020); BC with CRR's
policy, a mixture, is its baseline, and BC with a Gaussian that of DiME(BC). DiME(BC) at alpha = 0 is that BC in MPO's
trust regions, so that the two should agree; at alpha = 1 it is MPO on data alone, whose critic is never put right: good
on easy tasks, lost on hard ones, where the best should lie between the two. Every cell is the final evaluation's
return: mean over seeds, and a 95% interval of it, bootstrapped over seeds (of three, which is coarse). Two rows say
what the data itself returns. The last column is the mean over tasks of the return, as a share of the task's best,
bootstrapped over the seeds of each task.

Each run's directory is kept under --runs: a run that is finished there is not repeated, and one that was interrupted
goes on from its checkpoint, so that the same command continues. The whole is estimated to take most of a day on two
cores: three recordings, and 99 offline runs of 5 (BC) to 15 (DiME) minutes. A slice of it, such as

    python benchmarks/offline.py --tasks control:cartpole:swingup --steps 30000 --updates 3000 --alphas 0 --methods BC

takes minutes, and shows BC and DiME(BC) at 0 side by side; on so little data their returns are luck.
"""

import argparse
import pathlib
import re
from typing import NamedTuple

import common
import numpy as np

from acme_agents import datasets
from acme_agents.agents import bc, crr, dime, mpo
from acme_agents.experiments import Experiment


class _Task(NamedTuple):
    steps: int  # environment steps of the recording
    reach: float  # the return that MPO comes to with ten times as many, of which the data should have half


_TASKS = {
    "control:cartpole:swingup": _Task(100_000, 860.0),
    "control:walker:walk": _Task(400_000, 960.0),
    "control:cheetah:run": _Task(400_000, 750.0),
}
_CRITIC = {"critic": "categorical", "vmin": 0.0, "vmax": 100.0, "num_atoms": 21}
_LEARNING_RATE = 3e-4
_RESAMPLES = 10_000  # of the bootstrap


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--tasks", default=list(_TASKS), nargs="+", help="control-suite tasks")
    parser.add_argument("--methods", nargs="+", help="of the table's first rows, beside DiME(BC) (default: all)")
    parser.add_argument("--alphas", default=[0.0, 0.25, 0.5, 0.75, 0.9, 1.0], nargs="+", type=float, help="of DiME(BC)")
    parser.add_argument("--seeds", default=3, type=int, help="how many")
    parser.add_argument("--updates", default=50_000, type=int, help="of each offline run")
    parser.add_argument("--width", default=256, type=int, help="of both layers of every network, and of a batch")
    parser.add_argument("--steps", type=int, help="environment steps of each recording (default: 100,000 to 400,000)")
    parser.add_argument("--eval-episodes", default=20, type=int, help="episodes of the final evaluation")
    parser.add_argument("--runs", default=pathlib.Path("runs/offline"), type=pathlib.Path, help="run directories")
    options = parser.parse_args()

    data = {task: _record(task, options) for task in options.tasks}
    results: dict[tuple[str, str], list[float]] = {}
    variants = _variants(options)
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
                name = _name(f"{data[task].name}-{label}-{options.updates}-{options.width}-seed{seed}")
                found = common.train(experiment, options.runs / name)["episode_return"][-1]
                print(f"{name}: {found:.1f}", flush=True)
                results.setdefault((label, task), []).append(float(found))

    columns = ["method", *options.tasks, "of the best"]
    report = common.Report(f"Return after {options.updates:,} updates on mixed data", columns)
    returns = {task: _returns(data[task], task) for task in options.tasks}
    best = {task: max(np.mean(results[label, task]) for label in variants) for task in options.tasks}
    for label in variants:
        found_per_task = [np.array(results[label, task]) for task in options.tasks]
        cells = [_interval([found]) for found in found_per_task]
        shares = [found / best[task] for found, task in zip(found_per_task, options.tasks)]
        report.row(label, *cells, _interval(shares, digits=2))
    report.row("the data's mean", *(f"{np.mean(returns[task]):.0f}" for task in options.tasks), "")
    report.row("the data's best", *(f"{np.max(returns[task]):.0f}" for task in options.tasks), "")
    for task in options.tasks:
        report.note(f"{task}: {_describe(returns[task], task)}")
    report.note(
        f"Mean of {options.seeds} seeds and its 95% interval, bootstrapped over them; {options.eval_episodes} episodes "
        "of the deterministic policy."
    )
    if options.output is not None:
        figure = options.output.with_suffix(".png")
        figure.parent.mkdir(parents=True, exist_ok=True)
        _plot(results, returns, options.alphas, figure)
        report.note(f"![Returns]({figure.name})")
    report.finish(options.output)


def bootstrap(groups: list[np.ndarray]) -> tuple[float, float]:
    """The 95% interval of the mean over groups of their means: values are drawn again within each group.

    Args:
      groups: one or more arrays [seeds], such as a task's returns.
    """
    rng = np.random.default_rng(0)
    draws = [rng.choice(group, (_RESAMPLES, len(group))).mean(axis=1) for group in groups]
    low, high = np.percentile(np.mean(draws, axis=0), [2.5, 97.5])
    return float(low), float(high)


def _interval(groups: list[np.ndarray], digits: int = 0) -> str:
    low, high = bootstrap(groups)
    return f"{np.mean([group.mean() for group in groups]):.{digits}f} ({low:.{digits}f} .. {high:.{digits}f})"


def _name(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text)


def _record(task: str, options: argparse.Namespace) -> pathlib.Path:
    """Trains MPO on a task and records it; returns the dataset's path."""
    steps = options.steps or _TASKS[task].steps
    name = _name(f"{task}-mpo-{steps}-{options.width}")
    dataset = options.runs / f"{name}-history"
    experiment = Experiment(
        agent="mpo",
        environment=task,
        config=mpo.Config(**_networks(options, critic=True), num_actions=10, samples_per_insert=32.0),
        max_steps=steps,
        eval_every=steps // 5,
        eval_episodes=3,
        record=str(dataset),
    )
    common.train(experiment, options.runs / name)
    return dataset


def _networks(options: argparse.Namespace, *, critic: bool) -> dict[str, object]:
    layers = (options.width, options.width)
    return {"policy_layers": layers, "batch_size": options.width} | ({"critic_layers": layers} if critic else {})


def _variants(options: argparse.Namespace) -> dict[str, tuple[str, object]]:
    """Label -> agent and configuration."""
    rates = {"policy_learning_rate": _LEARNING_RATE, "critic_learning_rate": _LEARNING_RATE}
    shared = {**_networks(options, critic=True), **_CRITIC}
    variants: dict[str, tuple[str, object]] = {}
    for label, policy in (("BC", "gaussian"), ("BC, mixture", "mixture")):
        variants[label] = (
            "bc",
            bc.Config(**_networks(options, critic=False), learning_rate=_LEARNING_RATE, policy=policy),
        )
    for label, weight, baseline in (
        ("CRR exp", "exp", "mean"),
        ("CRR binary", "binary", "mean"),
        ("CRR binary max", "binary", "max"),
    ):
        variants[label] = "crr", crr.Config(**shared, **rates, weight=weight, baseline=baseline)
    if options.methods is not None:
        variants = {label: variants[label] for label in options.methods}
    for alpha in options.alphas:
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


def _returns(dataset: pathlib.Path, task: str) -> np.ndarray:
    """[episodes], of those that are learnt from."""
    spec = Experiment("mpo", task).environment_spec()
    return np.array([trajectory.reward.sum() for trajectory in datasets.load(dataset, spec, keep_good=1 / 3)])


def _describe(returns: np.ndarray, task: str) -> str:
    low, middle, high = np.percentile(returns, [10, 50, 90])
    reach = _TASKS[task].reach if task in _TASKS else np.nan
    short = "" if not returns.max() < reach / 2 else ", less than half: **the recording was too short**"
    return (
        f"{len(returns)} episodes are left, of returns {min(returns):.0f} to {max(returns):.0f}, mean "
        f"{np.mean(returns):.0f}, tenth, median and ninetieth percentile {low:.0f}, {middle:.0f}, {high:.0f}; the best "
        f"is {max(returns) / reach:.2f} of what MPO can reach, about {reach:.0f}{short}."
    )


def _plot(
    results: dict[tuple[str, str], list[float]], returns: dict[str, np.ndarray], alphas: list[float], path: pathlib.Path
) -> None:
    """Draws one panel for each task: every seed as a point, the mean as a bar with its interval, DiME's sweep joined by
    a line, and the mean and the best of the data's returns."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    others = [label for label in dict.fromkeys(label for label, _ in results) if not label.startswith("DiME")]
    labels = [*others, *map(_dime, alphas)]
    positions = [*range(len(others)), *range(len(others) + 1, len(labels) + 1)]  # a gap between the two groups
    colours = [*(f"C{i}" for i in range(1, len(others) + 1)), *["C0"] * len(alphas)]
    figure, axes = pyplot.subplots(1, len(returns), figsize=(3.6 * len(returns), 3.6), squeeze=False)
    for axis, task in zip(axes[0], returns):
        for position, label, colour in zip(positions, labels, colours):
            found = results[label, task]
            axis.plot([position] * len(found), found, "o", color=colour, markersize=3, alpha=0.6)
            axis.hlines(np.mean(found), position - 0.35, position + 0.35, color=colour, linewidth=2.5)
            axis.vlines(position, *bootstrap([np.array(found)]), color=colour, linewidth=1)
        for value, name in ((np.mean(returns[task]), "data's mean"), (np.max(returns[task]), "data's best")):
            axis.axhline(value, color="0.6", linewidth=0.8, linestyle="--")
            axis.text(positions[-1] + 0.5, value, name, fontsize=7, color="0.4", ha="right", va="bottom")
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
