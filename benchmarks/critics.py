"""Which critic mpo should have: mixture, categorical or scalar, on six tasks of the control suite, beside published
scores.

One command does it all, and the same command goes on where it was stopped: a run that is finished under --runs is not
repeated, and an interrupted one continues from its checkpoint. One run at a time, in this process: about 6 minutes each
on two idle cores, so hours in all. Two parts, in this order:

1. The sweep, on --sweep-tasks, none of which is in the second part: the policy's initial standard deviation; the bound
   on its KL through the standard deviation, by which exploration noise lasts longer or shorter; and whether the
   temperature is fitted. What has the highest mean over tasks and seeds is what the second part runs with;
   --init-stddev, --epsilon-stddev and --fit-temperature together say it by hand and skip the sweep.
2. The critics, on --tasks. All else is mpo's defaults.

    python benchmarks/critics.py --output benchmarks/results/critics.md
    python benchmarks/critics.py --table --output benchmarks/results/critics.md        # trains nothing
    python benchmarks/critics.py --init-stddev 0.7 --epsilon-stddev 1e-6 --fit-temperature on --tasks finger:spin \
        --critics mixture --seeds 3 --steps 40000

A score is the mean of the evaluations in the last tenth of --steps, 10 episodes each of the policy's mean. What has not
run is marked "-", and what has run in part shows the evaluations that it has, with the steps, and counts in no mean.
Published: DMPO (categorical) and MPO (scalar) after 100,000 steps, mean and standard deviation of ten seeds, from the
score files of danijar/dreamerv3 at e3f0224; whether those ran with each action repeated twice is not known.
"""

import argparse
import dataclasses
import itertools
import pathlib
import re
from typing import Any

import common
import numpy as np

from acme_agents.agents.mpo import config as mpo_config
from acme_agents.experiments import Experiment
from acme_agents.runtime import loggers

_PUBLISHED = {  # at 100,000 steps: DMPO, MPO
    "cartpole:swingup": ("633 ± 162", "792 ± 60"),
    "finger:spin": ("360 ± 167", "464 ± 94"),
    "ball_in_cup:catch": ("862 ± 105", "280 ± 248"),
    "reacher:easy": ("554 ± 178", "473 ± 309"),
    "walker:walk": ("277 ± 135", "299 ± 84"),
    "cheetah:run": ("91 ± 69", "216 ± 70"),
}
_SWEEP_TASKS = ("pendulum:swingup", "finger:turn_easy", "hopper:stand")


@dataclasses.dataclass(frozen=True)
class Job:
    """One run."""

    task: str
    critic: str
    seed: int
    steps: int
    policy_init_stddev: float
    epsilon_stddev: float
    fit_temperature: bool

    def run_dir(self, runs: pathlib.Path) -> pathlib.Path:
        """Where it lives: every field is in the name."""
        return runs / re.sub(r"[^\w.+-]+", "-", "-".join(f"{value}" for value in dataclasses.astuple(self)))

    def experiment(self) -> Experiment:
        """What it trains: evaluations every twentieth of its steps, so that three are in the last tenth."""
        config = mpo_config.Config(
            critic=self.critic,  # type: ignore[arg-type]
            policy_init_stddev=self.policy_init_stddev,
            epsilon_stddev=self.epsilon_stddev,
            fit_temperature=self.fit_temperature,
        )
        return Experiment(
            agent="mpo",
            environment=f"control:{self.task}",
            config=config,
            seed=self.seed,
            max_steps=self.steps,
            eval_every=max(1, self.steps // 20),
            eval_episodes=10,
        )


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--tasks", default=list(_PUBLISHED), nargs="+", help="DOMAIN:TASK of the control suite")
    parser.add_argument("--critics", default=["mixture", "categorical", "scalar"], nargs="+", help="kinds of critic")
    parser.add_argument("--seeds", default=[0, 1, 2], nargs="+", type=int, help="of both parts")
    parser.add_argument("--steps", default=100_000, type=int, help="environment steps of each run")
    parser.add_argument("--init-stddev", type=float, help="of the policy, in units of the action: no sweep")
    parser.add_argument("--epsilon-stddev", type=float, help="bound through the policy's stddev, in nats: no sweep")
    parser.add_argument("--sweep-tasks", default=list(_SWEEP_TASKS), nargs="+", help="other tasks, to sweep on")
    parser.add_argument("--sweep-steps", default=50_000, type=int, help="environment steps of each run of the sweep")
    parser.add_argument("--sweep-init-stddev", default=[0.3, 0.5, 0.7, 1.0], nargs="+", type=float)
    parser.add_argument("--sweep-epsilon-stddev", default=[1e-6, 1e-5, 1e-4], nargs="+", type=float)
    parser.add_argument(
        "--fit-temperature", choices=("on", "off"), help="with that option of mpo's or without: no sweep"
    )
    parser.add_argument("--runs", default=pathlib.Path("runs/critics"), type=pathlib.Path, help="run directories")
    parser.add_argument("--table", action="store_true", help="train nothing: the table of what there is")
    options = parser.parse_args()

    swept, notes = (options.init_stddev, options.epsilon_stddev, options.fit_temperature), ""
    if None in swept:
        swept, notes = _sweep(options)
    init_stddev, epsilon_stddev, fit_temperature = swept
    exploration = float(init_stddev), float(epsilon_stddev), fit_temperature == "on"
    report = common.Report(
        f"MPO's critics: return after {options.steps:,} steps",
        ["task", *options.critics, "DMPO, published", "MPO, published"],
    )
    for task in options.tasks:
        cells = []
        for critic in options.critics:
            jobs = [Job(task, critic, seed, options.steps, *exploration) for seed in options.seeds]
            cells.append(_cell([_score(job, options) for job in jobs]))
        report.row(task, *cells, *_PUBLISHED.get(task, ("-", "-")))
    report.note(
        f"Mean (lowest .. highest) of the seeds {', '.join(map(str, options.seeds))}, of which as many are finished as "
        f"the cell says; policy_init_stddev {init_stddev:g}, epsilon_stddev {epsilon_stddev:g}, "
        f"fit_temperature {fit_temperature}, else mpo's defaults."
    )
    if notes:
        report.note(notes)
    report.finish(options.output)


def _sweep(options: argparse.Namespace) -> tuple[tuple[float, float, str], str]:
    """What exploration depends on, the best by the mean over all tasks and seeds of the sweep; and a note."""
    means, missing = {}, 0
    candidates = itertools.product(options.sweep_init_stddev, options.sweep_epsilon_stddev, ("off", "on"))
    for stddev, epsilon, fit in candidates:
        scores = [
            _score(Job(task, "mixture", seed, options.sweep_steps, stddev, epsilon, fit == "on"), options)
            for task in options.sweep_tasks
            for seed in options.seeds
        ]
        complete = [mean for mean, reached in scores if reached is None]
        missing += len(scores) - len(complete)
        means[stddev, epsilon, fit] = float(np.mean(complete)) if len(complete) == len(scores) else -np.inf
    best = max(means, key=lambda key: means[key])
    if missing:
        default = mpo_config.Config()
        best = (default.policy_init_stddev, default.epsilon_stddev, "on" if default.fit_temperature else "off")
    listed = ", ".join(f"{s:g}, {e:g}, {fit}: {m:.0f}" for (s, e, fit), m in means.items() if np.isfinite(m))
    return best, (
        f"Sweep on {', '.join(options.sweep_tasks)}, {options.sweep_steps:,} steps, mean return by policy_init_stddev, "
        f"epsilon_stddev and fit_temperature: {listed or 'nothing finished'}."
        + (f" **{missing} of its runs are missing: the defaults stand.**" if missing else "")
    )


def _score(job: Job, options: argparse.Namespace) -> tuple[float, int | None]:
    """A run's score, and the steps that it has reached if it is not finished: 0 of them where it has not begun."""
    run_dir = job.run_dir(options.runs)
    if not options.table:
        common.train(job.experiment(), run_dir)
    path = run_dir / "evaluator.csv"
    curve = loggers.read_csv(path) if path.exists() else {}
    if not len(curve.get("episode_return", ())):
        return 0.0, 0
    steps, returns = np.asarray(curve["actor_steps"]), np.asarray(curve["episode_return"])
    score = float(np.mean(returns[steps >= 0.9 * steps[-1]]))
    return score, None if (run_dir / "finished").exists() else int(steps[-1])


def _cell(scores: list[tuple[float, Any]]) -> str:
    """A cell of the table."""
    done = [score for score, reached in scores if reached is None]
    parts = [f"partial, {reached:,} steps: {score:.0f}" for score, reached in scores if reached]
    if done:
        parts = [f"{np.mean(done):.0f} ({min(done):.0f} .. {max(done):.0f}; {len(done)} of {len(scores)})", *parts]
    return "; ".join(parts) or "-"


if __name__ == "__main__":
    main()
