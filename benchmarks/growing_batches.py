"""Growing batches: what few and large deployments cost, and what a teacher's signals give back. (specs 8)

D4PG in --cycles cycles, whose deployments have --steps environment steps and whose learning has --updates updates
together, however many cycles there are; beside it, D4PG that learns while it acts, with as many of both. At the middle
number of cycles each of a teacher's signals is added: demonstrations (a quarter of each batch), its actions at the
states of the batch, the gradients of its critic in the actions of the batch, and all three. Their weights fall to zero
over the run's updates. The teacher is D4PG after --teacher-steps steps, which learns while it acts.

    python benchmarks/growing_batches.py --output benchmarks/results/growing_batches.md

All have networks of two layers of 64, batches of 64, a categorical critic of 0 to 100 and a learning rate of 1e-3; what
else there is are D4PG's defaults. A cell is the last evaluation's return: mean over seeds (lowest .. highest). Reading
it: Emedom-Nnamdi et al. (2023) report that fewer and larger batches are worse, and that each signal recovers most of
what is lost.

Each run's directory is kept under --runs: one that is finished is not repeated, one that was interrupted goes on, and
--report tells of what is there alone.
"""

import argparse
import pathlib
import re
from typing import Any, NamedTuple

import common
import numpy as np

from acme_agents.agents import d4pg
from acme_agents.experiments import Experiment
from acme_agents.launch.collect import collect
from acme_agents.runtime import loggers

_SHARED: dict[str, Any] = {
    "policy_layers": (64, 64),
    "critic_layers": (64, 64),
    "batch_size": 64,
    "learning_rate": 1e-3,
    "vmin": 0.0,
    "vmax": 100.0,
}
_DEMONSTRATIONS = 5_000  # steps of the teacher's policy


class _Signal(NamedTuple):
    """What a teacher says."""

    config: dict[str, Any]
    has_demonstrations: bool = False


_SIGNALS = {
    "none": _Signal({}),
    "demonstrations": _Signal({}, True),
    "actions": _Signal({"teacher_action_weight": 1.0}),
    "gradients": _Signal({"teacher_gradient_weight": 1.0}),
    "all": _Signal({"teacher_action_weight": 1.0, "teacher_gradient_weight": 1.0}, True),
}


class _Cell(NamedTuple):
    """A row of the table: how it is trained."""

    cycles: int | None  # None while it acts
    signal: str = "none"

    @property
    def label(self) -> str:
        if self.cycles is None:
            return "the teacher" if self.signal == "teacher" else "while acting"
        return f"{self.cycles} cycles" + ("" if self.signal == "none" else f", {self.signal}")


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--envs", default=["control:cartpole:swingup", "control:walker:walk"], nargs="+", help="tasks")
    parser.add_argument("--cycles", default=[2, 5, 10], nargs="+", type=int, help="numbers of cycles")
    parser.add_argument("--signals", default=list(_SIGNALS), nargs="+", choices=list(_SIGNALS), help="of the teacher")
    parser.add_argument("--seeds", default=[0, 1, 2], nargs="+", type=int, help="seeds")
    parser.add_argument("--steps", default=20_000, type=int, help="environment steps of all deployments of a run")
    parser.add_argument("--updates", default=20_000, type=int, help="updates of a run")
    parser.add_argument("--teacher-steps", default=50_000, type=int, help="environment steps of the teacher's run")
    parser.add_argument("--eval-episodes", default=5, type=int, help="episodes of each evaluation")
    parser.add_argument("--runs", default=pathlib.Path("runs/growing_batches"), type=pathlib.Path, help="their place")
    parser.add_argument("--report", action="store_true", help="train nothing: the table of what there is")
    options = parser.parse_args()

    middle = sorted(options.cycles)[len(options.cycles) // 2]
    cells = [_Cell(None), *map(_Cell, options.cycles)]
    cells += [_Cell(middle, signal) for signal in options.signals if signal != "none"]
    curves: dict[tuple[str, str], list[tuple[np.ndarray, np.ndarray]]] = {}
    for seed in options.seeds:  # outermost, so that there is some of everything
        for environment in options.envs:
            for cell in (_TEACHER, *cells):
                curve = _curve(environment, cell, seed, options)
                curves.setdefault((environment, cell.label), []).extend([] if curve is None else [curve])

    report = common.Report(
        f"D4PG's return after {options.steps:,} steps and {options.updates:,} updates", ["how", *options.envs]
    )
    for cell in (_TEACHER, *cells):
        report.row(cell.label, *(_text(curves[environment, cell.label]) for environment in options.envs))
    report.note(
        f"Mean (lowest .. highest) of the last evaluation, {options.eval_episodes} episodes; in brackets the number of "
        f"seeds. The teacher has {options.teacher_steps:,} steps and as many updates."
    )
    if options.output is not None:
        figure = options.output.with_suffix(".png")
        figure.parent.mkdir(parents=True, exist_ok=True)
        _plot(curves, cells, options, figure)
        report.note(f"![Return by environment steps]({figure.name})")
    report.finish(options.output)


_TEACHER = _Cell(None, "teacher")


def _curve(
    environment: str, cell: _Cell, seed: int, options: argparse.Namespace
) -> tuple[np.ndarray, np.ndarray] | None:
    """Steps and returns of a run's evaluations; it is trained unless it is there. None where there is none."""
    run_dir = _run_dir(environment, cell, seed, options)
    if not options.report:
        common.train(_experiment(environment, cell, seed, options), run_dir)
    if not (run_dir / "finished").exists():
        return None
    evaluations = loggers.read_csv(run_dir / "evaluator.csv")
    steps = evaluations["actor_steps"]
    if cell.cycles is not None:
        steps = evaluations["learner_steps"] * options.steps / options.updates
    print(f"{run_dir.name}: {evaluations['episode_return'][-1]:.0f}", flush=True)
    return steps, evaluations["episode_return"]


def _run_dir(environment: str, cell: _Cell, seed: int, options: argparse.Namespace) -> pathlib.Path:
    size = options.teacher_steps if cell == _TEACHER else f"{options.steps}-{options.updates}"
    label = f"{'acting' if cell.cycles is None else cell.cycles}-{cell.signal}"
    return options.runs / re.sub(r"[^\w.]+", "-", f"{environment}-{size}-{label}-{seed}")


def _experiment(environment: str, cell: _Cell, seed: int, options: argparse.Namespace) -> Experiment:
    """What a cell trains."""
    shared = {"environment": environment, "seed": seed, "eval_episodes": options.eval_episodes}
    if cell.cycles is None:
        steps = options.teacher_steps if cell == _TEACHER else options.steps
        updates = steps if cell == _TEACHER else options.updates
        samples = _SHARED["batch_size"] * updates / steps
        config = d4pg.Config(**_SHARED, samples_per_insert=samples)
        return Experiment("d4pg", config=config, max_steps=steps, eval_every=steps // 5, **shared)
    signal, teacher = _SIGNALS[cell.signal], _run_dir(environment, _TEACHER, seed, options)
    falling = {"teacher_updates": options.updates} if signal.config else {}
    return Experiment(
        "d4pg",
        config=d4pg.Config(**_SHARED, **signal.config, **falling),
        max_steps=None,
        cycles=cell.cycles,
        cycle_steps=options.steps // cell.cycles,
        cycle_updates=options.updates // cell.cycles,
        eval_every=options.updates,  # and after each cycle
        dataset=str(_demonstrations(teacher, seed)) if signal.has_demonstrations else None,
        dataset_share=0.25 if signal.has_demonstrations else None,
        teacher=str(teacher) if signal.config else None,
        **shared,
    )


def _demonstrations(teacher: pathlib.Path, seed: int) -> pathlib.Path:
    """Episodes of a teacher's policy; collected unless they are there."""
    dataset = teacher / "demonstrations"
    if not dataset.exists():
        collect(teacher, dataset, steps=_DEMONSTRATIONS, seed=seed)
    return dataset


def _text(curves: list[tuple[np.ndarray, np.ndarray]]) -> str:
    if not curves:
        return "not run"
    last = [returns[-1] for _, returns in curves]
    return f"{np.mean(last):.0f} ({min(last):.0f} .. {max(last):.0f}) [{len(last)}]"


def _plot(curves: dict[Any, Any], cells: list[_Cell], options: argparse.Namespace, path: pathlib.Path) -> None:
    """Draws two panels for each task: numbers of cycles, and signals; a line a cell, every seed faintly."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(options.envs), 2, figsize=(9, 3 * len(options.envs)), squeeze=False)
    middle = {cell.cycles for cell in cells if cell.signal != "none"}
    panels = (
        [cell for cell in cells if cell.signal == "none"],
        [cell for cell in cells if cell.cycles in middle],
    )
    for row, environment in zip(axes, options.envs):
        for axis, panel in zip(row, panels):
            for i, cell in enumerate(panel):
                found = curves[environment, cell.label]
                for steps, returns in found:
                    axis.plot(steps, returns, color=f"C{i}", alpha=0.3, linewidth=1)
                if found:
                    mean = np.mean([returns for _, returns in found], axis=0)
                    axis.plot(found[0][0], mean, color=f"C{i}", marker=".", label=cell.label)
            taught = [returns[-1] for _, returns in curves[environment, _TEACHER.label]]
            if taught:
                axis.axhline(np.mean(taught), color="black", linestyle=":", label="teacher, in the end")
            axis.set(title=environment, xlabel="environment steps")
            axis.legend(fontsize=7)
        row[0].set_ylabel("return")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
