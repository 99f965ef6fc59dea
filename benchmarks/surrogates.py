"""The surrogates of fma-pg with networks and samples, beside PPO's: the same agent but for the loss of the policy.

Each task is trained with --seeds seeds, from 8 environments, fused into one compiled program where the task is pure JAX
and otherwise in one process; the configuration is PPO's default but for the surrogate.

    python benchmarks/surrogates.py --output benchmarks/results/surrogates.md

Columns: the final return, a mean of 10 episodes of the policy's mode, seed by seed; and the mean return of all
evaluations, six of a run, seed by seed, which says how fast it was learnt. Each run's directory is kept under --runs,
and a run that is finished there is not repeated.
"""

import argparse
import dataclasses
import pathlib
from typing import Any

import common
import numpy as np

from acme_agents import environments
from acme_agents.agents import fma_pg
from acme_agents.experiments import Experiment
from acme_agents.runtime import loggers

# The name of what is compared, and its configuration.
_METHODS: dict[str, dict[str, Any]] = {
    "ppo": {"surrogate": "ppo"},
    "sppo": {"surrogate": "sppo"},
    "sppo-min": {"surrogate": "sppo-min"},
    "smdpo": {"surrogate": "smdpo"},
    "mdpo": {"surrogate": "mdpo"},
    "trpo": {"surrogate": "trpo"},
}
_NUM_EVALUATIONS = 6


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--tasks", default=["jax:cartpole", "jax:pendulum"], nargs="+")
    parser.add_argument("--methods", default=list(_METHODS), nargs="+", choices=list(_METHODS))
    parser.add_argument("--etas", default=[0.3], nargs="+", type=float, help="of smdpo, mdpo and trpo")
    parser.add_argument("--seeds", default=3, type=int)
    parser.add_argument("--steps", default=120_000, type=int)
    parser.add_argument("--table", action="store_true", help="train nothing, and show what is finished")
    parser.add_argument("--runs", default=pathlib.Path("runs/surrogates"), type=pathlib.Path, help="run directories")
    options = parser.parse_args()

    columns = ["task", "surrogate", "final return, by seed", "mean", "mean of all evaluations, by seed", "mean "]
    report = common.Report(f"Surrogates of the policy, {options.steps:,} steps, 8 environments", columns)
    curves: dict[tuple[str, str], list[Any]] = {}
    for task in options.tasks:
        for name, config in _settings(options):
            tables = _run(task, name, config, options)
            if not tables:
                report.row(task, name, *["not run"] * 4)
                continue
            curves[task, name] = tables
            returns = [table["episode_return"] for table in tables]
            row: list[str] = []
            for values in ([each[-1] for each in returns], [np.mean(each) for each in returns]):
                row += [", ".join(f"{value:.1f}" for value in values), f"{np.mean(values):.1f}"]
            report.row(task, name, *row)
    if options.output is not None and curves:
        figure = options.output.with_suffix(".png")
        figure.parent.mkdir(parents=True, exist_ok=True)
        _draw(curves, options.tasks, figure)
        report.note(f"![Returns over environment steps]({figure.name})")
    report.finish(options.output)


def _settings(options: argparse.Namespace) -> list[tuple[str, dict[str, Any]]]:
    """What is compared: a surrogate that clips once, another one for each eta."""
    found = []
    for name in options.methods:
        if name in ("ppo", "sppo", "sppo-min"):
            found.append((name, _METHODS[name]))
        else:
            found += [(f"{name}, eta {eta:g}", _METHODS[name] | {"eta": eta}) for eta in options.etas]
    return found


def _run(task: str, name: str, config: dict[str, Any], options: argparse.Namespace) -> list[dict[str, Any]]:
    """evaluator.csv of each seed; none if it is not to train and has not."""
    experiment = Experiment(
        agent="fma-pg",
        environment=task,
        config=fma_pg.Config(**config),
        environments_per_actor=8,
        max_steps=options.steps,
        eval_every=options.steps // _NUM_EVALUATIONS,
        eval_episodes=10,
        checkpoint_seconds=3600.0,
    )
    label = name.replace(", ", "-").replace(" ", "")
    run_dir = options.runs / f"{task.replace(':', '-')}-{label}-{options.steps}"
    if environments.find_pure(task) is not None:
        if not options.table:
            common.train(experiment, run_dir, launcher="fused", seeds=options.seeds)
        tables = common.seeds_of(run_dir) if (run_dir / "finished").exists() else []
    else:
        run_dirs = [run_dir / f"seed-{seed}" for seed in range(options.seeds)]
        for seed, each in enumerate(run_dirs):
            if not options.table:
                common.train(dataclasses.replace(experiment, seed=seed), each)
        tables = run_dirs if all((each / "finished").exists() for each in run_dirs) else []
    return [loggers.read_csv(each / "evaluator.csv") for each in tables]


def _draw(curves: dict[tuple[str, str], list[Any]], tasks: list[str], path: pathlib.Path) -> None:
    """Returns over steps, a line for each seed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(tasks), figsize=(5.5 * len(tasks), 4), squeeze=False)
    names = list(dict.fromkeys(name for _, name in curves))
    for (task, name), tables in curves.items():
        axis = axes[0, tasks.index(task)]
        for seed, table in enumerate(tables):
            label = name if seed == 0 else None
            color = f"C{names.index(name)}"
            axis.plot(table["actor_steps"], table["episode_return"], color=color, label=label, linewidth=1)
    for axis, task in zip(axes[0], tasks):
        axis.set_title(task)
        axis.set_xlabel("environment steps")
        axis.set_ylabel("return")
        axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
