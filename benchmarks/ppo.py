"""PPO: does one configuration, its defaults, learn three small tasks within 200,000 steps? (specs 12.2)

Each task is trained from --seeds seeds with --launcher. The last column has the figure that is asked for.

    python benchmarks/ppo.py --output benchmarks/results/ppo.md
    python benchmarks/ppo.py --launcher processes --seeds 1 --output benchmarks/results/ppo_processes.md

Reading it: the final returns are means of 20 episodes of the policy's mode after the last update, seed by seed, and
every one should be on the right side of the figure. `passed after` has the first of the evaluations, 20,000 steps
apart, that was. Steps per second are those of the whole run, evaluations and compilation included. The lag is the mean
number of updates by which the policy that acted was older than the one that learned: in one process it must be 0.

Each run's directory is kept under --runs, and a run that is finished there is not repeated.
"""

import argparse
import pathlib

import common
import numpy as np

from acme_agents.agents import ppo
from acme_agents.experiments import Experiment
from acme_agents.runtime import loggers

_STEPS = 200_000
# What is asked for: a final return of at least as much.
_TASKS = {"gym:CartPole-v1": 500.0, "gym:Acrobot-v1": -100.0, "gym:Pendulum-v1": -200.0}


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--tasks", default=list(_TASKS), nargs="+", choices=list(_TASKS))
    parser.add_argument("--seeds", default=[0, 1, 2], nargs="+", type=int)
    parser.add_argument("--launcher", default="in-process", choices=["in-process", "processes"])
    parser.add_argument("--runs", default=pathlib.Path("runs/ppo"), type=pathlib.Path, help="run directories")
    options = parser.parse_args()

    report = common.Report(
        f"PPO with its defaults, {_STEPS:,} steps, one environment, {options.launcher}",
        ["task", "final return, by seed", "passed after", "steps/s", "lag", "dropped", "asked for"],
    )
    for task in options.tasks:
        found = [_run(task, seed, options) for seed in options.seeds]
        finals, passed, speed, lag, dropped = zip(*found)
        report.row(
            task,
            ", ".join(f"{final:.1f}" for final in finals),
            ", ".join(f"{steps:,}" if steps else "never" for steps in passed),
            float(np.mean(speed)),
            f"{np.mean(lag):.2f}",
            f"{np.mean(dropped):.1%}",
            f">= {_TASKS[task]:.0f}",
        )
    report.finish(options.output)


def _run(task: str, seed: int, options: argparse.Namespace) -> tuple[float, int, float, float, float]:
    """Final return, steps at the first evaluation that was good enough (or 0), steps/s, mean lag, share dropped."""
    experiment = Experiment(
        agent="ppo",
        environment=task,
        config=ppo.Config(),
        seed=seed,
        max_steps=_STEPS,
        eval_every=20_000,
        eval_episodes=20,
        checkpoint_seconds=3600.0,
    )
    run_dir = options.runs / f"{task.replace(':', '-')}-{options.launcher}-seed{seed}"
    evaluation = common.train(experiment, run_dir, launcher=options.launcher)
    learner = loggers.read_csv(run_dir / "learner.csv")
    good = np.flatnonzero(evaluation["episode_return"] >= _TASKS[task])
    passed = int(evaluation["actor_steps"][good[0]]) if len(good) else 0
    final, speed = float(evaluation["episode_return"][-1]), _STEPS / float(evaluation["walltime"][-1])
    updates = learner["learner_steps"][-1]
    dropped = learner["dropped_items"][-1] / (learner["dropped_items"][-1] + experiment.config.batch_size * updates)
    print(f"{run_dir.name}: {final:.1f}, passed after {passed:,}, {speed:.0f} steps/s", flush=True)
    return final, passed, speed, float(np.mean(learner["policy_lag"])), float(dropped)


if __name__ == "__main__":
    main()
