"""What a method has made of a task, in numbers that mean the same on every task."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from acme_agents.core import errors
from acme_agents.environments import credit
from acme_agents.launch import plot
from acme_agents.launch.benchmark import results
from acme_agents.launch.benchmark.results import Result

THRESHOLD = 0.9  # the score that counts as learned


class Measured(NamedTuple):
    """One seed of a method on a task. A score is 0 for a uniformly random policy's return and 1 for the best one."""

    score: float  # at the end: the mean of the evaluations in the last tenth of the run
    regret: float  # what is missing to a score of 1, in the mean of all evaluations
    steps: int | None  # environment steps at the first evaluation with a score of `THRESHOLD`; None if there is none


def measure(result: Result) -> Measured | None:
    """The measures of a run; None unless it has finished."""
    if not result.is_finished:
        return None
    try:
        curve = plot.load(result.run_dir, metric="episode_return", table="evaluator", x="actor_steps")
    except errors.UserError:  # It has no evaluations.
        return None
    return of_curve(normalised(result.run.task, curve.y), curve.x)


def normalised(task: str, returns: np.ndarray) -> np.ndarray:
    """The scores of returns."""
    knobs = credit.parse(task.removeprefix("credit:"))
    assert knobs is not None, "The environment exists."
    return (returns - knobs.uniform) / (credit.BEST - knobs.uniform)


def of_curve(scores: np.ndarray, steps: np.ndarray) -> Measured:
    """The measures of a learning curve.

    Args:
      scores: [N], of each evaluation.
      steps: [N], increasing.
    """
    reached = np.flatnonzero(scores >= THRESHOLD)
    first = int(steps[reached[0]]) if len(reached) else None
    return Measured(results.score(steps, scores), float(np.mean(1.0 - scores)), first)


def in_words(steps: Sequence[int | None]) -> str:
    """After how many steps the seeds have learned: the median of those that have, and how many have."""
    known = [each for each in steps if each is not None]
    if not known:
        return f"0 of {len(steps)}"
    return f"{np.median(known):,.0f} ({len(known)} of {len(steps)})"
