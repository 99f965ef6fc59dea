"""Learning curves: numbers of the aggregate, how runs are grouped, and what is refused."""

import json
import os

import numpy as np
import pytest
from matplotlib.figure import Figure
from rliable import metrics

from acme_agents.launch import plot
from acme_agents.runtime import loggers


def _run_dir(path, *, returns=(0.0, 50.0, 100.0), steps=None, agent="mpo", environment="probe", seed=0, config=None):
    path.mkdir()
    description = {"agent": agent, "environment": environment, "seed": seed, "config": config or {}}
    (path / "config.json").write_text(json.dumps(description))
    table = loggers.CsvTable(path / "evaluator.csv")
    for i, value in enumerate(returns):
        step = steps[i] if steps else 1000 * i
        row = {"actor_steps": step, "learner_steps": step // 2, "walltime": i * 1.5, "episode_return": value}
        table.write(row)
    return path


def _run(agent="mpo", environment="probe", **config):
    return plot.Run(agent, environment, config, np.arange(2.0), np.arange(2.0))


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, path: (figures.append(figure), save(figure, path)))
    return figures


def test_aggregate_is_the_mean_of_the_middle_half():
    # Four runs: at every point the smallest and the largest are left out, whichever runs they are.
    x = np.array([0.0, 10.0])
    curves = [(x, np.array(y)) for y in ([0.0, 1000.0], [1.0, 4.0], [3.0, 6.0], [100.0, -1000.0])]
    curve = plot.aggregate(curves)
    np.testing.assert_allclose(curve.x, [0.0, 10.0])
    np.testing.assert_allclose(curve.iqm, [2.0, 5.0])
    assert np.all(curve.low < curve.iqm) and np.all(curve.iqm < curve.high)
    assert curve.low[0] >= 0.0 and curve.high[0] <= 100.0


def test_aggregate_interpolates_within_the_range_all_runs_cover():
    first = np.array([0.0, 10.0, 30.0]), np.array([0.0, 10.0, 30.0])
    second = np.array([5.0, 25.0]), np.array([15.0, 35.0])  # ten above the first
    curve = plot.aggregate([first, second])
    np.testing.assert_allclose(curve.x, [5.0, 10.0, 25.0])
    np.testing.assert_allclose(curve.iqm, [10.0, 15.0, 30.0])
    np.testing.assert_allclose(curve.low, [5.0, 10.0, 25.0])  # of two runs, resampled: both may be the lower one
    np.testing.assert_allclose(curve.high, [15.0, 20.0, 35.0])


def test_aggregate_of_long_curves_has_few_points_and_keeps_the_ends():
    x = np.arange(1000.0)
    curve = plot.aggregate([(x, x), (x, x + 2)], repetitions=10)
    assert curve.x.shape == (plot.MAX_POINTS,)
    assert (curve.x[0], curve.x[-1]) == (0.0, 999.0)
    np.testing.assert_allclose(curve.iqm, curve.x + 1)


def test_aggregate_repeats_itself_and_leaves_the_global_generator_alone():
    curves = [(np.arange(3.0), np.array([a, a**2, a**3])) for a in (1.0, 2.0, 3.0, 4.0, 5.0)]
    np.random.seed(1)
    first = plot.aggregate(curves)
    after = np.random.uniform()
    second = plot.aggregate(curves)
    np.random.seed(1)
    assert after == np.random.uniform()
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_aggregate_refuses_runs_without_a_common_range():
    curves = [(np.array([0.0, 10.0]), np.zeros(2)), (np.array([20.0, 30.0]), np.zeros(2))]
    with pytest.raises(ValueError, match="one begins at 20 and another ends at 10"):
        plot.aggregate(curves)


def test_interquartile_mean_is_rliables_at_every_point():
    scores = np.random.default_rng(0).normal(size=(7, 1, 3))
    expected = [metrics.aggregate_iqm(scores[..., point]) for point in range(3)]
    np.testing.assert_allclose(plot.interquartile_mean(scores), expected)


def test_groups_are_named_by_the_fields_that_differ():
    runs = [
        _run(gamma=0.99, **{"critic.kind": "scalar", "sizes": [256, 256]}),
        _run(gamma=0.99, **{"critic.kind": "categorical", "sizes": [64]}),
        _run(gamma=0.99, **{"critic.kind": "categorical", "sizes": [64]}),
        _run(agent="dime", gamma=0.9),
        _run(environment="other", gamma=0.5),
    ]
    panels = plot.group(runs)
    counts = {
        environment: {label: len(group) for label, group in groups.items()} for environment, groups in panels.items()
    }
    assert counts == {
        "probe": {
            "mpo, critic.kind=scalar, sizes=256x256": 1,
            "mpo, critic.kind=categorical, sizes=64": 2,
            "dime": 1,
        },
        "other": {"mpo": 1},
    }


def test_load_flattens_the_config_and_sorts_rows_leaving_out_empty_ones(tmp_path):
    run_dir = _run_dir(
        tmp_path / "a",
        returns=[3.0, 1.0, float("nan"), 9.0],
        steps=[300, 100, 200, 300],
        config={"critic": {"kind": "scalar", "atoms": 51}},
    )
    run = plot.load(run_dir, metric="episode_return", table="evaluator", x="actor_steps")
    assert run.config == {"critic.kind": "scalar", "critic.atoms": 51}
    np.testing.assert_array_equal(run.x, [100.0, 300.0])
    np.testing.assert_array_equal(run.y, [1.0, 9.0])  # of the two rows at 300 the newest


def test_seeds_are_drawn_as_one_line_with_the_single_runs_behind_it(tmp_path, drawn):
    runs = [_run_dir(tmp_path / str(i), returns=[0.0, 10.0 * i, 100.0], seed=i) for i in range(4)]
    output = tmp_path / "figures" / "curve.png"
    plot.plot(runs, output)
    assert output.read_bytes().startswith(b"\x89PNG")
    (axes,) = drawn[0].axes
    assert len(axes.lines) == 5
    np.testing.assert_allclose(axes.lines[-1].get_xdata(), [0.0, 1000.0, 2000.0])
    np.testing.assert_allclose(axes.lines[-1].get_ydata(), [0.0, 15.0, 100.0])  # the middle two of 0, 10, 20, 30
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("probe", "Environment steps", "Episode return")
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["mpo (4 runs)"]


def test_single_run_is_drawn_as_it_is_even_if_given_twice(tmp_path, drawn):
    run_dir = _run_dir(tmp_path / "a")
    plot.plot([run_dir, tmp_path / "a" / ".." / "a"], tmp_path / "curve.svg", x="walltime")
    (axes,) = drawn[0].axes
    (line,) = axes.lines
    np.testing.assert_allclose(line.get_xdata(), [0.0, 1.5, 3.0])
    np.testing.assert_allclose(line.get_ydata(), [0.0, 50.0, 100.0])
    assert not axes.collections  # no interval
    assert axes.get_xlabel() == "Wall time (s)"


def test_one_panel_per_environment_and_one_colour_per_label(tmp_path, drawn):
    runs = [
        _run_dir(tmp_path / f"{agent}-{environment}", agent=agent, environment=environment)
        for environment in ("cartpole", "walker")
        for agent in ("mpo", "dime")
    ]
    plot.plot(runs, tmp_path / "curve.pdf")
    assert [axes.get_title() for axes in drawn[0].axes] == ["cartpole", "walker"]
    colours = [[line.get_color() for line in axes.lines] for axes in drawn[0].axes]
    assert colours == [["#0072B2", "#D55E00"], ["#0072B2", "#D55E00"]]


@pytest.mark.parametrize(
    ("value", "largest", "text"),
    [(0, 1e6, "0"), (200_000, 1e6, "200k"), (1_500_000, 2e6, "1.5M"), (2000, 9000, "2,000"), (-500, 900, "−500")],
)
def test_ticks(value, largest, text):
    assert plot.tick(value, largest) == text


def test_what_cannot_be_drawn_is_said_in_one_sentence(tmp_path):
    good = _run_dir(tmp_path / "good")
    empty = _run_dir(tmp_path / "empty", returns=[])
    undefined = _run_dir(tmp_path / "undefined", returns=[float("nan")])
    (tmp_path / "not_a_run").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text('{"agent": "mpo"')

    def message(run_dirs, name="curve.png", **arguments):
        with pytest.raises(ValueError) as error:
            plot.plot(run_dirs, tmp_path / name, **arguments)
        return str(error.value)

    assert message([tmp_path / "not_a_run"]).endswith("not_a_run is not a run directory: it has no config.json.")
    assert message([good, tmp_path / "missing"]) == f"There is no {tmp_path / 'missing'}."
    assert message([tmp_path / "broken"]).endswith("its config.json is not one of a run.")
    first = f"The first: {empty} has no evaluations yet."
    assert message([empty, undefined]) == f"There is nothing to draw in any of 2 runs. {first}"
    assert message([undefined]) == f"{undefined} has no evaluations yet."
    assert message([good], table="learner") == f"{good / 'learner.csv'} has no rows yet."
    columns = "actor_steps, learner_steps, walltime, episode_return"
    assert message([good], metric="reward").endswith(f"has no column reward; its columns are {columns}.")
    assert message([good], x="time").endswith(f"has no column time; its columns are {columns}.")
    assert message([good], table="critic") == "There is no table critic; the tables are actor, learner, evaluator."
    assert "its suffix has to be one of .eps, " in message([good], "curve.docx")
    assert "its suffix has to be one of " in message([good], "curve")
    assert message([]) == "Nothing to plot: give at least one run directory."


def test_offline_runs_are_drawn_over_updates_and_by_what_they_learned_from(tmp_path, drawn):
    directories = []
    for i, (dataset, value) in enumerate([("a", 10.0), ("a", 20.0), ("b", 50.0)]):
        directory = _run_dir(tmp_path / str(i), returns=[value, value], seed=i)
        description = json.loads((directory / "config.json").read_text()) | {"max_steps": 0, "dataset": dataset}
        (directory / "config.json").write_text(json.dumps(description))
        directories.append(directory)
    plot.plot(directories, tmp_path / "figure.png")
    (axes,) = drawn[0].axes
    assert axes.get_xlabel() == "Learner updates"
    texts = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert texts == ["mpo, dataset=a (2 runs)", "mpo, dataset=b (1 run)"]


def test_online_runs_beside_offline_ones_are_drawn_over_updates_too(tmp_path, drawn):
    offline, idle = (_run_dir(tmp_path / name, returns=[20.0, 30.0], steps=[0, 0]) for name in ("offline", "idle"))
    for directory, steps in ((offline, [100, 200]), (idle, [])):
        table = loggers.CsvTable(directory / "evaluator.csv")
        table.truncate(0)
        for step in steps:
            table.write({"actor_steps": 0, "learner_steps": step, "walltime": step, "episode_return": 0.1 * step})
        description = json.loads((directory / "config.json").read_text()) | {"max_steps": 0, "dataset": directory.name}
        (directory / "config.json").write_text(json.dumps(description))
    online, other = _run_dir(tmp_path / "online"), _run_dir(tmp_path / "other", environment="other")

    assert plot.plot([online, other, idle], tmp_path / "figure.png") == [f"{idle} has no evaluations yet."]
    assert [axes.get_xlabel() for axes in drawn[0].axes] == ["Environment steps", "Environment steps"]

    plot.plot([online, other, offline], tmp_path / "figure.png")
    probe, other_panel = drawn[1].axes
    assert (probe.get_xlabel(), other_panel.get_xlabel()) == ("Learner updates", "Environment steps")
    by_label = {tuple(line.get_xdata()): tuple(line.get_ydata()) for line in probe.lines}
    assert by_label == {(0.0, 500.0, 1000.0): (0.0, 50.0, 100.0), (100.0, 200.0): (10.0, 20.0)}

    notes = plot.plot([online, offline], tmp_path / "figure.png", x="actor_steps")
    assert notes == [f"{offline} is offline: it has no environment steps."]


def test_what_has_nothing_to_draw_is_left_out_and_said(tmp_path, drawn):
    """`plot runs/*`, where one run has just begun, one path is a figure, and one run has no such column."""
    good, empty, young = _run_dir(tmp_path / "a"), _run_dir(tmp_path / "b", returns=[]), _run_dir(tmp_path / "c")
    (young / "evaluator.csv").unlink()
    figure = tmp_path / "d.png"
    figure.write_bytes(b"")
    dangling = tmp_path / "e"
    dangling.symlink_to(tmp_path / "nowhere")
    notes = plot.plot([good, empty, young, figure, dangling], tmp_path / "figure.png")
    assert notes == [
        f"{empty} has no evaluations yet.",
        f"{young} has no evaluations yet.",
        f"{figure} is not a run directory: it has no config.json.",
        f"{dangling} is not a run directory: it has no config.json.",
    ]
    assert [len(axes.lines) for axes in drawn[0].axes] == [1]


def test_a_seed_counts_once(tmp_path, drawn):
    """The run that got further, of equals the newer."""
    runs = [_run_dir(tmp_path / name, returns=[1.0, 2.0], seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))]
    further = _run_dir(tmp_path / "d", returns=[3.0, 4.0, 5.0], seed=1)
    for age, run in enumerate([further, *runs]):
        os.utime(run / "evaluator.csv", (1e9 + age, 1e9 + age))
    notes = plot.plot([*runs, further], tmp_path / "figure.png")
    again = "which got further or is newer"
    assert notes == [
        f"{tmp_path / 'a'} is the same run as {tmp_path / 'b'}, {again}: seed 0 counts once.",
        f"{tmp_path / 'c'} is the same run as {tmp_path / 'd'}, {again}: seed 1 counts once.",
    ]
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["mpo (2 runs)"]
    assert [tuple(line.get_ydata()) for line in drawn[0].axes[0].lines[:2]] == [(1.0, 2.0), (3.0, 4.0, 5.0)]


def test_runs_without_a_common_range_are_drawn_without_a_mean(tmp_path, drawn):
    early = _run_dir(tmp_path / "a", steps=[0, 1, 2], seed=0)
    late = _run_dir(tmp_path / "b", steps=[5, 6, 7], seed=1)
    notes = plot.plot([early, late], tmp_path / "figure.png")
    assert notes == ["The runs of mpo on probe have no range in common, so no mean is drawn."]
    assert len(drawn[0].axes[0].lines) == 2


def test_a_long_label_goes_over_several_lines(tmp_path, drawn):
    directories = []
    for dataset in ("a" * 120, "b"):
        directory = _run_dir(tmp_path / dataset[:3])
        description = json.loads((directory / "config.json").read_text()) | {"max_steps": 0, "dataset": dataset}
        (directory / "config.json").write_text(json.dumps(description))
        directories.append(directory)
    plot.plot(directories, tmp_path / "figure.png")
    long, short = (text.get_text() for text in drawn[0].legends[0].get_texts())
    assert "".join(long.split()) == "mpo,dataset=" + "a" * 120 + "(1run)"
    assert max(map(len, long.splitlines())) <= 70
    assert short == "mpo, dataset=b (1 run)"
