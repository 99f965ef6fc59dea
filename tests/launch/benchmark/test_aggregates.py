"""Aggregates over tasks and seeds: against rliable, and against numbers worked by hand."""

import numpy as np
import pytest
from rliable import library, metrics

from acme_agents.launch import plot
from acme_agents.launch.benchmark import aggregates, suites


@pytest.fixture(autouse=True)
def few_repetitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregates, "REPETITIONS", 100)


def _scores(seed: int = 0) -> dict[str, np.ndarray]:
    draws = np.random.default_rng(seed).uniform(0, 1.2, (2, 4, 3))  # [labels, seeds, tasks]
    draws[0, 0, 0] = draws[1, 2, 0]  # a tie
    return {"a": draws[0], "b": draws[1]}


def test_aggregates_by_hand() -> None:
    # 8 runs; the middle half of 0, 0, .2, .4, .6, .8, 1, 2 is .2, .4, .6, .8.
    scores = np.array([[0.0, 2.0], [0.0, 1.0], [0.2, 0.8], [0.4, 0.6]])
    found = aggregates.aggregate({"a": scores})["a"]
    assert found["IQM"].value == pytest.approx(0.5)
    assert found["mean"].value == pytest.approx(0.625)
    assert found["median"].value == pytest.approx((0.15 + 1.1) / 2)  # of the tasks' means
    assert found["optimality gap"].value == pytest.approx(1 - 4.0 / 8)  # 2 counts as 1
    for value, low, high in found.values():
        assert low <= value <= high


def test_aggregates_are_rliables() -> None:
    scores = _scores()
    with plot.seeded():
        points, intervals = library.get_interval_estimates(
            scores, lambda x: np.array([metrics.aggregate_iqm(x), metrics.aggregate_optimality_gap(x)]), reps=100
        )
    found = aggregates.aggregate(scores)
    for label in scores:
        for i, name in enumerate(("IQM", "optimality gap")):
            np.testing.assert_allclose(found[label][name], [points[label][i], *intervals[label][:, i]])


def test_profiles_are_rliables() -> None:
    scores = _scores()
    found = aggregates.profiles(scores)
    with plot.seeded():
        shares, intervals = library.create_performance_profile(scores, found.thresholds, reps=100)
    for label in scores:
        np.testing.assert_allclose(found.shares[label], shares[label])
        np.testing.assert_allclose(found.intervals[label], intervals[label])


def test_probability_of_improvement_is_rliables() -> None:
    scores = _scores()
    ours = aggregates.probability_of_improvement(scores["a"], scores["b"][:3])
    assert ours == pytest.approx(metrics.probability_of_improvement(scores["a"], scores["b"][:3]))
    x, y = np.array([[1.0], [3.0]]), np.array([[2.0], [3.0]])  # of four pairs 3 > 2 counts 1 and 3 = 3 a half
    assert aggregates.probability_of_improvement(x, y) == pytest.approx(1.5 / 4)
    found = aggregates.improvements(scores)
    assert list(found) == [("a", "b")]
    assert found["a", "b"].value == pytest.approx(metrics.probability_of_improvement(scores["a"], scores["b"]))
    assert found["a", "b"].low <= found["a", "b"].value <= found["a", "b"].high
    assert aggregates.improvements({"a": scores["a"]}) == {}


def test_means_are_of_each_tasks_own_seeds() -> None:
    scores = {"t": {"a": [1.0, 2.0, 6.0], "b": [5.0]}, "u": {"a": [4.0, 8.0], "b": []}}
    found = aggregates.means(scores)
    assert set(found) == {("t", "a"), ("t", "b"), ("u", "a")}
    assert found["t", "a"].value == pytest.approx(3.0) and found["u", "a"].value == pytest.approx(6.0)
    assert found["t", "b"] == (5.0, 5.0, 5.0)
    assert 1.0 <= found["t", "a"].low < 3.0 < found["t", "a"].high <= 6.0


def test_the_largest_complete_part_counts() -> None:
    scores = {
        "control:a:b": {"a": [100.0, 200.0, 300.0], "b": [500.0, 400.0], "c": []},
        "control:c:d": {"a": [600.0, 700.0], "b": [800.0, 900.0, 950.0], "c": []},
        "control:e:f": {"a": [1.0], "b": [], "c": []},
    }
    found = aggregates.complete(scores, aggregates.bounds(scores))
    assert found is not None and (found.tasks, found.seeds) == (["control:a:b", "control:c:d"], 2)
    assert list(found.scores) == ["a", "b"]  # c has finished nothing
    np.testing.assert_allclose(found.scores["a"], [[0.1, 0.6], [0.2, 0.7]])
    np.testing.assert_allclose(found.scores["b"], [[0.5, 0.8], [0.4, 0.9]])
    assert aggregates.complete({"t": {"a": []}}, {}) is None
    scores = {f"control:{task}:x": {"a": [1.0] * (3 if task == "a" else 1)} for task in "abcd"}
    found = aggregates.complete(scores, aggregates.bounds(scores))
    assert found is not None and (len(found.tasks), found.seeds) == (4, 1)  # Four runs, rather than three.


def test_a_task_without_bounds_has_those_of_its_runs() -> None:
    scores = {"probe:sign": {"a": [2.0, 4.0], "b": [3.0, 6.0]}, "probe:blank": {"a": [1.0, 1.0], "b": [1.0, 1.0]}}
    bounds = aggregates.bounds(scores)
    assert bounds["probe:sign"] == suites.Bounds(2.0, 6.0, "the lowest and the highest score in this report")
    found = aggregates.complete(scores, bounds)
    assert found is not None
    np.testing.assert_allclose(found.scores["b"], [[0.25, 0.0], [1.0, 0.0]])
