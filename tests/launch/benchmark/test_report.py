"""The report: its numbers, what it says is missing, and that the page needs nothing but itself."""

import html.parser
import pathlib
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from acme_agents.launch.benchmark import aggregates, document, outcomes, plan, report, results
from acme_agents.launch.plot import aggregate as aggregate_curves
from tests.launch.benchmark import made

_BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_TASKS = {"easy": ["control:cartpole:swingup", "control:walker:walk"], "hard": ["control:humanoid:run"]}
_VOID = {"meta", "link", "img", "br"}


@pytest.fixture(autouse=True)
def few_repetitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregates, "REPETITIONS", 50)
    monkeypatch.setattr(aggregate_curves, "__kwdefaults__", {"repetitions": 20})


def _curve(run: plan.Run) -> tuple[str, list[tuple[int, float]]]:
    """Rises linearly to a height of its own: the score of the agent `mpo`'s seeds is 200, 210 and 220."""
    height = {"mpo": 200.0, "fast": 600.0}[run.variant.label] + 10 * run.seed
    steps = range(5_000, 100_001, 5_000)
    return outcomes.FINISHED, [(step, min(1.0, step / 80_000) * height) for step in steps]


def _plan(**fields) -> plan.Plan:
    return made.make_plan(_TASKS, ["mpo", "fast=sac:batch_size=64"], steps=100_000, title="control", **fields)


def _written(directory: pathlib.Path) -> tuple[str, str]:
    return tuple((directory / name).read_text() for name in ("report.md", "report.html"))


def _rows(text: str) -> list[list[str]]:
    """The cells of all tables of a Markdown text."""
    return [
        [cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines() if line.startswith("|")
    ]


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The directory of a benchmark whose runs have all finished, with its report."""
    directory = tmp_path_factory.mktemp("complete") / "b"
    made.make(directory, _plan(), _curve)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aggregates, "REPETITIONS", 50)
        patch.setattr(aggregate_curves, "__kwdefaults__", {"repetitions": 20})
        assert report.write(_plan(), directory) == directory / "report.html"
    return directory


class _Strict(html.parser.HTMLParser):
    """Sees that every element is closed, and collects what the page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in _VOID:
            self.open.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_refers_to_nothing_outside(complete: pathlib.Path) -> None:
    _, page = _written(complete)
    parser = _Strict()
    parser.feed(page)
    parser.close()
    assert parser.open == [] and len(parser.ids) == len({*parser.ids})
    assert all(each.startswith(("data:", "#")) for each in parser.references)
    assert {each[1:] for each in parser.references if each.startswith("#")} == {*parser.ids}
    assert parser.tags.count("img") == 4 and "script" not in parser.tags
    assert not re.search(r"url\(|@import|https?://", page)
    assert page.startswith("<!DOCTYPE html>")


@pytest.mark.slow
@pytest.mark.skipif(_BROWSER is None, reason="there is no Chromium here")
def test_a_browser_shows_the_page(complete: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """All pictures load with no network, the page fits a narrow window, and there is something on it."""
    _, page = _written(complete)
    count = "[...document.images].filter(i => i.naturalWidth > 100).length"
    wide = "document.documentElement.scrollWidth <= window.innerWidth"
    told = f"document.title = [{count}, document.querySelectorAll('table').length, {wide}].join()"
    script = f"<script>window.onload = () => {{ {told} }}</script>"
    (tmp_path / "report.html").write_text(page.replace("</body>", f"{script}</body>"))
    command = [
        _BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1200,3000",
    ]
    url = (tmp_path / "report.html").as_uri()
    dumped = subprocess.run([*command, "--dump-dom", url], capture_output=True, text=True, timeout=120, check=True)
    assert re.findall("<title>(.*?)</title>", dumped.stdout) == ["4,7,true"]
    picture = tmp_path / "page.png"
    subprocess.run([*command, f"--screenshot={picture}", url], capture_output=True, timeout=120, check=True)
    pixels = np.asarray(Image.open(picture).convert("L"))
    assert pixels.shape == (3000, 1200) and 0.01 < np.mean(pixels < 128) < 0.5


def test_the_scores_and_what_is_published_beside_them(complete: pathlib.Path) -> None:
    text, page = _written(complete)
    rows = {row[0]: row for row in _rows(text)[::-1]}  # the first table's
    columns, walk, run = rows["task"], rows["control:walker:walk"], rows["control:humanoid:run"]
    assert columns == [
        "task",
        "mpo",
        "fast",
        *(f"{a} [{i + 1}]" for i, a in enumerate(["MPO", "DMPO"] + ["SAC"] * 3)),
        "highest of others",
    ]
    # The last tenth of 100,000 steps by 5,000: the evaluations at 90,000, 95,000 and 100,000, all at the height.
    assert walk[1].startswith("210 [") and walk[2].startswith("610 [")
    assert walk[3:8] == ["299 ± 84", "277 ± 135", "847 ± 122", "708 ± 167", "783 ± 120"]
    assert walk[8].startswith("TD-MPC2 962 ± 10 [")
    assert run[3:8] == ["-", "-", "1 ± 0", "1 ± 0", "1 ± 0"]
    assert "[1] MPO: danijar/dreamerv3 at e3f0224" in text and "action repeat unknown" in text
    assert "action repeat 1; 10 evaluation episodes" in text and "an action lasts one environment step" in text
    behind = [line for line in text.splitlines() if " on control:" in line and "; " in line and line.startswith("- ")]
    assert "- mpo on control:cartpole:swingup: 210; MPO 792 ± 60 [1], DMPO 633 ± 162 [2]" in behind
    assert not any(line.startswith("- mpo on control:walker:walk") for line in behind)  # 210 > 2/3 of 299
    assert not any(line.startswith("- fast") for line in behind)  # 610 > 2/3 of 853, the highest of any
    assert "<strong>More than a third behind" in page and "- `fast` is the agent `sac` with `batch_size=64`" in text


def test_the_aggregates_and_the_rest(complete: pathlib.Path) -> None:
    text, _ = _written(complete)
    rows = _rows(text)
    # Nine runs at .2, .21 and .22: the middle half is .21 on average, and so is the mean.
    aggregate = [row for row in rows if row[0] == "mpo" and len(row) == 5 and row[4].startswith("0.790 [")]
    assert [row[1][:7] for row in aggregate] == ["0.210 ["] * 3  # all tasks, and each of the two groups
    assert ["mpo over fast", "0.00 [0.00, 0.00]"] in rows
    assert ["mpo", "50", "100", "33.3", "1.50"] in rows  # steps and updates a second, minutes, GiB
    assert ["fast", "600", "610", "620"] in rows
    assert "All 18 runs have finished." in text and "Not finished" not in text
    assert (
        "0 and 1,000, a reward in [0, 1] in each of 1,000 steps: control:cartpole:swingup, control:walker:walk" in text
    )
    assert "Hardware: A box, 2 cores, 4 GiB" in text and "Versions: jax 0.6.2" in text and "Commit: c0ffee" in text
    assert "12 runs of 18 were interrupted and continued." in text
    assert "Started between 2026-01-01T00:00:00Z and 2026-01-03T00:00:00Z." in text
    for name in ("aggregates", "profiles", "curves-by-steps", "curves-by-time"):
        assert f"(figures/{name}.png)" in text and (complete / "figures" / f"{name}.png").exists()
    assert not list(complete.rglob("*.partial*"))


def test_an_incomplete_benchmark_says_what_is_missing(tmp_path: pathlib.Path) -> None:
    def curve(run: plan.Run) -> tuple[str, list[tuple[int, float]]] | None:
        if run.task == "control:humanoid:run":
            return None
        state, rows = _curve(run)
        if (run.variant.label, run.seed) == ("fast", 1) and run.task == "control:walker:walk":
            return outcomes.FAILED, rows[:4]
        return (outcomes.RUNNING, rows[:7]) if run.seed == 2 else (state, rows)

    made.make(tmp_path / "b", _plan(), curve)
    report.write(_plan(), tmp_path / "b")
    text, page = _written(tmp_path / "b")
    assert "**This report is incomplete: 7 of 18 runs have finished** (" in text
    assert "6 not started" in text and "4 unfinished" in text and "1 failed" in text
    failed = "fast on control:walker:walk, seed 1: failed at 20,000 of 100,000 steps: there was no more milk"
    assert f"- {failed} (`logs/control-walker-walk--fast--seed-1.log`)" in text and failed in page
    assert "- mpo on control:cartpole:swingup, seed 2: unfinished at 35,000 of 100,000 steps" in text
    assert "- mpo on control:humanoid:run, seed 0: not started" in text
    rows = {row[0]: row for row in _rows(text)[::-1]}
    assert rows["control:walker:walk"][2] == "600 (1 of 3)" and rows["control:humanoid:run"][1:3] == ["-", "-"]
    assert "Over 1 task of 3, 2 seeds each." in text and "With one seed there is nothing to draw from" not in text


def test_a_benchmark_of_which_nothing_has_finished(tmp_path: pathlib.Path) -> None:
    made.make(tmp_path / "b", _plan(), lambda run: None)
    report.write(_plan(), tmp_path / "b")
    text, _ = _written(tmp_path / "b")
    assert "0 of 18 runs have finished" in text and "No task has a finished run of each agent yet." in text
    assert "No run has an evaluation yet." in text and "![" not in text


def test_a_score_is_the_mean_of_the_last_tenth() -> None:
    steps = np.array([100.0, 890.0, 900.0, 950.0, 1000.0])
    assert results.score(steps, np.array([0.0, 0.0, 1.0, 2.0, 6.0])) == 3.0


def test_marks_and_letters_that_mean_something_to_html() -> None:
    table = document.Table(["a<b", "c|d"], [["**x** & `<y>`", "1"], ["group"]])
    page = document.page("t", [document.Heading("H & H"), table])
    assert "<strong>x</strong> &amp; <code>&lt;y&gt;</code>" in page and "a&lt;b" in page
    assert '<h2 id="h-h">H &amp; H</h2>' in page and '<td colspan="2">group</td>' in page
    text = document.markdown("t", [table])
    assert "c\\|d" in text and "| **group** " in text
