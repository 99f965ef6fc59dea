"""Statistics over tasks and seeds, by rliable: Agarwal et al. 2021, arXiv 2108.13264.

The bootstrap is stratified: runs are drawn within each task. Equal scores give equal intervals.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from acme_agents.launch import plot
from acme_agents.launch.benchmark import suites

METRICS = ("IQM", "median", "mean", "optimality gap")
REPETITIONS = 2000  # of the bootstrap
_THRESHOLDS = np.linspace(0.0, 1.0, 101)  # of a performance profile

# task -> label -> one for each seed that has finished
Scores = Mapping[str, Mapping[str, Sequence[float]]]


class Interval(NamedTuple):
    """An estimate and its 95% bootstrap confidence interval."""

    value: float
    low: float
    high: float


class Complete(NamedTuple):
    """The normalised scores that aggregates are made of: as many seeds for each agent and task."""

    tasks: list[str]
    seeds: int
    scores: dict[str, np.ndarray]  # label -> [seeds, tasks]


class Profiles(NamedTuple):
    """The share of runs whose normalised score is above each threshold."""

    thresholds: np.ndarray  # [T]
    shares: dict[str, np.ndarray]  # label -> [T]
    intervals: dict[str, np.ndarray]  # label -> [2, T]


def bounds(scores: Scores) -> dict[str, suites.Bounds]:
    """By task the scores that count as 0 and 1: the task's own, else the lowest and the highest of all runs here."""
    found = {}
    for task, by_label in scores.items():
        known, here = suites.bounds(task), [score for each in by_label.values() for score in each]
        if known is None and here:
            known = suites.Bounds(min(here), max(here), "the lowest and the highest score in this report")
        if known is not None:
            found[task] = known
    return found


def complete(scores: Scores, bounds: Mapping[str, suites.Bounds]) -> Complete | None:
    """The largest part of the scores that has as many seeds for each task and each agent that has finished anything.

    Of seeds that are too many the first count. None if there is no such part.
    """
    labels = list(dict.fromkeys(label for each in scores.values() for label, of_seeds in each.items() if of_seeds))
    counts = {task: min((len(each.get(label, ())) for label in labels), default=0) for task, each in scores.items()}
    parts = {n: [task for task in scores if counts[task] >= n] for n in range(1, max(counts.values(), default=0) + 1)}
    if not parts:
        return None
    seeds = max(parts, key=lambda n: (n * len(parts[n]), n))
    low = np.array([bounds[task].low for task in parts[seeds]])
    high = np.array([bounds[task].high for task in parts[seeds]])
    width = np.where(high > low, high - low, 1.0)  # All runs of a task without bounds of its own may be equal.
    raw = {label: np.array([scores[task][label][:seeds] for task in parts[seeds]]).T for label in labels}
    return Complete(parts[seeds], seeds, {label: (each - low) / width for label, each in raw.items()})


def means(scores: Scores) -> dict[tuple[str, str], Interval]:
    """The mean over the seeds of each task and label that has any."""
    from rliable import library

    columns = {(task, label): each for task, by_label in scores.items() for label, each in by_label.items() if each}
    found: dict[tuple[str, str], Interval] = {}
    for count in sorted({len(each) for each in columns.values()}):  # One bootstrap for all that have as many seeds.
        keys = [key for key, each in columns.items() if len(each) == count]
        table = np.array([columns[key] for key in keys]).T
        with plot.seeded():
            points, intervals = library.get_interval_estimates(
                {"": table}, lambda drawn: np.mean(drawn, axis=0), reps=REPETITIONS
            )
        found |= {key: Interval(*map(float, each)) for key, each in zip(keys, zip(points[""], *intervals[""]))}
    return found


def aggregate(scores: Mapping[str, np.ndarray]) -> dict[str, dict[str, Interval]]:
    """Label -> each of `METRICS` over all tasks and seeds.

    Args:
      scores: label -> [seeds, tasks] normalised scores.
    """
    from rliable import library, metrics

    functions = (
        metrics.aggregate_iqm,
        metrics.aggregate_median,
        metrics.aggregate_mean,
        metrics.aggregate_optimality_gap,
    )
    with plot.seeded():
        points, intervals = library.get_interval_estimates(
            dict(scores), lambda drawn: np.array([function(drawn) for function in functions]), reps=REPETITIONS
        )
    return {
        label: {name: Interval(*map(float, each)) for name, each in zip(METRICS, zip(points[label], *intervals[label]))}
        for label in scores
    }


def profiles(scores: Mapping[str, np.ndarray]) -> Profiles:
    """The performance profile of each label; the arguments are those of `aggregate`."""
    from rliable import library

    with plot.seeded():
        shares, intervals = library.create_performance_profile(
            dict(scores), _THRESHOLDS, reps=REPETITIONS, custom_profile_func=shares_above
        )
    return Profiles(_THRESHOLDS, shares, intervals)


def shares_above(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The share of [seeds, tasks] scores above each threshold: rliable's own, at all thresholds at once."""
    return np.mean(scores[None] > thresholds[:, None, None], axis=(1, 2))


def improvements(scores: Mapping[str, np.ndarray]) -> dict[tuple[str, str], Interval]:
    """For each two labels the probability that a run of the first scores higher than one of the second.

    The task is drawn uniformly; the arguments are those of `aggregate`.
    """
    from rliable import library

    if len(scores) < 2:
        return {}
    pairs = {(a, b): (scores[a], scores[b]) for a, b in itertools.combinations(scores, 2)}
    with plot.seeded():
        points, intervals = library.get_interval_estimates(
            pairs, lambda x, y: np.array([probability_of_improvement(x, y)]), reps=REPETITIONS
        )
    return {pair: Interval(*(float(each[0]) for each in (points[pair], *intervals[pair]))) for pair in pairs}


def probability_of_improvement(x: np.ndarray, y: np.ndarray) -> float:
    """`rliable.metrics.probability_of_improvement`, of all tasks at once.

    Args:
      x: [seeds, tasks].
      y: [seeds, tasks]; there may be other seeds than of `x`.
    """
    higher = np.where(x[:, None] == y[None], 0.5, x[:, None] > y[None])
    return float(np.mean(higher))
