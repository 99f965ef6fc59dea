"""Benchmarks that nobody ran: directories as runs leave them, with curves of our own."""

import json
import pathlib
from collections.abc import Callable

from acme_agents.launch.benchmark import outcomes, plan
from acme_agents.runtime import loggers

# A run -> how it ended, and its evaluations: environment steps and mean return of each. None: it was never started.
Curve = Callable[[plan.Run], tuple[str, list[tuple[int, float]]] | None]


def make_plan(tasks: dict[str, list[str]], agents: list[str], **fields) -> plan.Plan:
    """A plan with few steps, of which any field may be another."""
    common = {"steps": 1000, "eval_every": 100, "eval_episodes": 5, "actors": 1, "environments_per_actor": 1}
    variants = [plan.parse(agent) for agent in agents]
    fields = {"title": "own tasks", "seeds": [0, 1, 2], "launcher": "in-process", **common, **fields}
    return plan.Plan(groups=tasks, agents=variants, **fields)


def make(directory: pathlib.Path, planned: plan.Plan, curve: Curve) -> None:
    """Writes the directory of a benchmark."""
    directory.mkdir(parents=True)
    planned.write(directory)
    outcomes.make_directories(directory)
    for run in planned.runs():
        found = curve(run)
        if found is None:
            continue
        state = found[0]
        reason = "there was no more milk" if state == outcomes.FAILED else None
        outcomes.Outcome(state, reason, 3 * 2**29, 2 if run.seed else 1, 0.5, 1, "A box, 2 cores, 4 GiB").write(
            directory, run
        )
        for seed, run_dir in outcomes.run_dirs(directory, run).items():
            found = curve(run._replace(seed=seed, num_seeds=1))
            assert found is not None, "A run's seeds are started together."
            run_dir.mkdir(parents=True)
            start = {"date": f"2026-01-0{seed + 1}T00:00:00Z", "commit": "c0ffee", "jax": "0.6.2"}
            config = {"agent": run.variant.agent, "environment": run.task, "seed": seed, "starts": [start]}
            (run_dir / "config.json").write_text(json.dumps(config))
            table = loggers.CsvTable(run_dir / "evaluator.csv")
            for steps, value in found[1]:
                table.write(
                    {"actor_steps": steps, "learner_steps": 2 * steps, "walltime": steps / 50, "episode_return": value}
                )
