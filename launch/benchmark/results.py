"""What the runs of a benchmark have come to, read from their directories."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from acme_agents.launch.benchmark import outcomes
from acme_agents.launch.benchmark.plan import Plan, Run
from acme_agents.runtime import loggers

_LAST = 0.9  # A score is the mean of the evaluations after this share of the steps.


class Result(NamedTuple):
    """A run as it stands; of a run of several seeds, one of them."""

    run: Run
    seed: int
    run_dir: pathlib.Path
    outcome: outcomes.Outcome | None  # None for a run that was never started
    score: float | None  # None unless it has finished
    steps: int  # environment steps at its newest evaluation
    steps_per_second: float | None  # up to then, evaluations included
    updates_per_second: float | None
    seconds: float  # up to then, without those in which it did not run
    starts: list[dict[str, Any]]  # when and with which versions it was started, from `config.json`

    @property
    def is_finished(self) -> bool:
        """Whether it has used up its budget."""
        return self.outcome is not None and self.outcome.state == outcomes.FINISHED


def read(plan: Plan, directory: pathlib.Path) -> list[Result]:
    """Every run of a benchmark and each of its seeds as it stands, also while it goes on.

    Raises:
      UserError: a file cannot be read.
    """
    return [
        _read(directory, run, seed, run_dir)
        for run in plan.runs()
        for seed, run_dir in outcomes.run_dirs(directory, run).items()
    ]


def _read(directory: pathlib.Path, run: Run, seed: int, run_dir: pathlib.Path) -> Result:
    outcome = outcomes.read(directory, run)
    path = run_dir / "evaluator.csv"
    table = loggers.read_csv(path) if path.exists() else {}
    returns = table.get("episode_return", np.zeros(0))
    result = Result(run, seed, run_dir, outcome, None, 0, None, None, 0.0, _starts(run_dir))
    if not len(returns):
        return result
    steps, updates, seconds = (table[name][-1] for name in ("actor_steps", "learner_steps", "walltime"))
    return result._replace(
        score=score(table["actor_steps"], returns) if result.is_finished else None,
        steps=int(steps),
        steps_per_second=steps / seconds if seconds else None,
        updates_per_second=updates / seconds if seconds else None,
        seconds=float(seconds),
    )


def score(steps: np.ndarray, returns: np.ndarray) -> float:
    """The mean of the evaluations in the last tenth of a run.

    Args:
      steps: [N], of each evaluation.
      returns: [N], its mean episode return.
    """
    return float(np.mean(returns[steps >= _LAST * steps[-1]]))


def by_task(results: Sequence[Result]) -> dict[str, dict[str, list[float]]]:
    """The scores of what has finished: task -> label -> one for each seed, in the order of the seeds."""
    found: dict[str, dict[str, list[float]]] = {}
    for result in results:
        scores = found.setdefault(result.run.task, {}).setdefault(result.run.variant.label, [])
        if result.score is not None:
            scores.append(result.score)
    return found


def _starts(run_dir: pathlib.Path) -> list[dict[str, Any]]:
    try:
        return json.loads((run_dir / "config.json").read_text()).get("starts", [])
    except (OSError, ValueError, AttributeError):
        return []
