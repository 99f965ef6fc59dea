"""`acme-agents diagnose-credit`: knobs, measures by hand, the report, and a directory that is there already."""

import csv
import pathlib
import sys

import numpy as np
import pytest

from acme_agents.core import errors
from acme_agents.launch import commands
from acme_agents.launch.benchmark import outcomes, plan, report, scheduling, validation
from acme_agents.launch.credit import command, knobs, measures
from acme_agents.launch.credit import report as credit_report
from tests.launch.benchmark import made

# Stands for the command line: leaves an evaluation of each seed, the better the later the agent is in the alphabet.
_PROGRAM = """
import pathlib, sys
agent = sys.argv[2]
flags = dict(zip(sys.argv[3::2], sys.argv[4::2]))
assert flags["--launcher"] == "fused" and flags["--environments-per-actor"] == "8", flags
if agent == "cca":
    print("error: The statistic ran away: tie it up.", file=sys.stderr)
    sys.exit(2)
for seed in range(int(flags["--seed"]), int(flags["--seed"]) + int(flags["--seeds"])):
    directory = pathlib.Path(flags["--run-dir"], f"seed-{seed}")
    directory.mkdir(parents=True)
    (directory / "config.json").write_text('{"agent": "%s", "environment": "%s"}' % (agent, flags["--env"]))
    (directory / "evaluator.csv").write_text(
        "actor_steps,learner_steps,walltime,episode_return\\n50,1,1,0.5\\n100,2,2,%s\\n" % {"hca": 0.5, "ppo": 1}[agent]
    )
print("final evaluation return 3.0; run directory x")
"""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are the program above, and need no check; intervals are of few samples, and nothing is drawn."""
    monkeypatch.setattr(scheduling, "_PROGRAM", (sys.executable, "-S", "-c", _PROGRAM))
    monkeypatch.setattr(scheduling, "_POLL_SECONDS", 0.02)
    monkeypatch.setattr(validation, "check", lambda *_: None)
    monkeypatch.setattr(credit_report.aggregates, "REPETITIONS", 20)
    monkeypatch.setattr(credit_report.figures, "draw", lambda path, *_, **__: path.touch())


def _diagnose(directory: pathlib.Path, *agents: str, **fields) -> tuple[bool, list[str]]:
    said: list[str] = []
    options = commands.DiagnoseCredit(agents=agents, output=directory, parallel=3, **fields)
    return command.diagnose(options, say=said.append), said


def test_knobs_make_tasks_and_share_the_one_that_they_start_from() -> None:
    tasks = knobs.tasks({"depth": (32, 8), "sparsity": (1, 4), "noise": (0.5, 0)})
    assert tasks == ["credit:depth-32", "credit:depth-8", "credit:sparsity-4", "credit:noise-0.5"]
    assert knobs.of_tasks(tasks) == {
        "depth": {8.0: "credit:depth-8", 32.0: "credit:depth-32"},
        "sparsity": {1.0: "credit:depth-8", 4.0: "credit:sparsity-4"},
        "noise": {0.0: "credit:depth-8", 0.5: "credit:noise-0.5"},
    }
    assert knobs.of_tasks(["credit:breadth-4"]) == {"breadth": {4.0: "credit:breadth-4"}}
    assert knobs.of_tasks(["credit:depth-8"]) == {"depth": {8.0: "credit:depth-8"}}
    assert list(knobs.of_tasks(["credit:depth-8", "credit:noise-1"])) == ["noise"]
    known = [name for name in (*tasks, "credit:depth-4-noise-1", "probe:reach") if knobs.is_task(name)]
    assert known == tasks


def test_measures_by_hand() -> None:
    scores = measures.normalised("credit:sparsity-2", np.array([0.25, 0.625, 0.25 + 0.75 * 0.9, 1.0, 0.625]))
    np.testing.assert_allclose(scores, [0.0, 0.5, 0.9, 1.0, 0.5])
    measured = measures.of_curve(scores, np.array([20, 40, 60, 80, 100]))
    assert measured.score == 0.5 and measured.steps == 60  # The last tenth is the last evaluation.
    np.testing.assert_allclose(measured.regret, (1.0 + 0.5 + 0.1 + 0.0 + 0.5) / 5)
    assert measures.of_curve(np.array([0.0, 0.89]), np.array([50, 100])).steps is None
    assert measures.in_words([200, None, 100]) == "150 (2 of 3)" and measures.in_words([None]) == "0 of 1"


def test_a_diagnosis_is_added_to_and_repeats_nothing(tmp_path: pathlib.Path, fake: None) -> None:
    directory = tmp_path / "d"
    failed, said = _diagnose(directory, "ppo", "bad=cca", depth=(8, 16), steps=100, seeds=2)
    assert failed and "2 of 4 runs have finished" in said[-1]
    assert "2 of 4 runs have failed: bad on credit:depth-8, seeds 0 to 1; bad on credit:depth-16" in said[-2]
    first = directory / "runs" / "credit-depth-8--ppo--seeds-0-1" / "seed-1" / "evaluator.csv"
    first.write_text(first.read_text().replace("0.5", "0.75"))  # Repeated, it would be as before.
    failed, said = _diagnose(directory, "hca", depth=(8,), noise=(0, 2))
    assert failed and f"{directory}: 2 of 9 runs have finished, 7 to do" in said
    text = (directory / "credit.md").read_text()
    assert "- bad on credit:noise-2, seeds 0 to 1: failed: The statistic ran away" in text
    assert "--depth 8 16 --noise 0 2 --seeds 2 --steps 100 --eval-every 10" in text
    with (directory / "credit.csv").open() as file:
        rows = {(row["knob"], row["value"], row["method"], row["seed"]): row for row in csv.DictReader(file)}
    assert len(rows) == 4 * 2 * 2  # Two values of two knobs, the methods that did not fail, and the seeds.
    best = rows["noise", "0", "ppo", "1"]
    assert best == rows["depth", "8", "ppo", "1"] | {"knob": "noise", "value": "0"}
    assert [best[name] for name in ("task", "uniform", "best", "score")] == ["credit:depth-8", "0.5", "1.0", "1.0"]
    assert (best["regret"], best["steps"]) == ("0.25", "100")  # Returns of 0.75 and 1, scores of 0.5 and 1.
    assert [rows["depth", "16", "hca", "0"][name] for name in ("score", "regret", "steps")] == ["0.0", "1.0", ""]
    (directory / "credit.md").unlink()
    assert _diagnose(directory, report_only=True) == (False, [str(directory / "credit.md")])
    assert (directory / "credit.md").read_text() == text


def test_what_cannot_be_diagnosed_is_one_sentence(tmp_path: pathlib.Path) -> None:
    made.make_plan({"all": ["probe:reach"]}, ["td3"]).write(tmp_path)
    for fields, sentence in (
        (
            {"output": tmp_path / "new"},
            "Name an agent: acme-agents diagnose-credit AGENT... --output DIR; there is bc,",
        ),
        ({"agents": ("ppo",), "output": tmp_path}, "is a benchmark of other tasks: choose another --output."),
        (
            {"agents": ("ppo",), "output": tmp_path / "new", "breadth": (3,)},
            "credit:breadth-3: the breadth is 1, 2, 4,",
        ),
        ({"agents": ("ppo",), "output": tmp_path / "new", "noise": (-1.0,)}, "credit:noise--1: a task of credit is"),
        ({"agents": ("ppo",)}, "Name the directory of the benchmark: --output DIR."),
    ):
        with pytest.raises(errors.UserError) as raised:
            command.diagnose(commands.DiagnoseCredit(**fields), say=print)
        assert sentence in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("agent", ["mpo", "ppo", "r2d2:max_replay_size=1000,min_replay_size=10"])
def test_who_cannot_act_discretely_is_refused(agent: str) -> None:
    planned = made.make_plan(
        {"all": ["credit:depth-8"]}, [agent], launcher="fused", environments_per_actor=8, seeds_per_run=3
    )
    problem = validation.find_problem(planned, planned.runs(), sys.path)
    assert (problem or "").endswith("or an agent for discrete actions.") == (agent == "mpo") == (problem is not None)


def test_seeds_side_by_side_are_one_run() -> None:
    planned = made.make_plan({"all": ["a:b"]}, ["td3"], seeds=[0, 1, 2, 5], launcher="fused", seeds_per_run=2)
    assert [list(run.seeds) for run in planned.runs()] == [[0, 1], [2], [5]]
    assert [run.name for run in planned.runs()] == ["a-b--td3--seeds-0-1", "a-b--td3--seed-2", "a-b--td3--seed-5"]
    assert str(planned.runs()[0]) == "td3 on a:b, seeds 0 to 1"
    with pytest.raises(errors.UserError, match="side by side in one program alone: give --launcher fused"):
        made.make_plan({"all": ["a:b"]}, ["td3"], seeds_per_run=2)


def test_the_report_of_seeds_side_by_side(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report.aggregates, "REPETITIONS", 20)
    tasks = {"all": ["credit:depth-8", "credit:depth-16"]}
    planned = made.make_plan(tasks, ["ppo", "hca"], launcher="fused", seeds_per_run=3)
    score = {"ppo": 1.0, "hca": 0.75}

    def curve(run: plan.Run) -> tuple[str, list[tuple[int, float]]]:
        return outcomes.FINISHED, [(500, 0.5), (1000, score[run.variant.label] - 0.125 * run.seed)]

    made.make(tmp_path / "d", planned, curve)
    path = credit_report.write(planned, tmp_path / "d", "acme-agents diagnose-credit ppo hca")
    lines = path.read_text().splitlines()
    assert sum(line.startswith("| ppo ") and "0.75 [0.5" in line for line in lines) == 1  # 1, 0.75 and 0.5
    assert "| ppo    | 500 (3" not in path.read_text() and any("1,000 (1 of 3)" in line for line in lines)
    assert "![Score and regret of each method over each knob](credit.png)" in lines
    assert (tmp_path / "d" / "credit.png").read_bytes().startswith(b"\x89PNG")
