"""Kills, cuts and stops, again and again: the tests marked `soak`, of which the suite does one round, with many.

Every worker of programs on this machine and on a Ray cluster of network namespaces is killed, hosts are cut off for
half a minute, programs are stopped by each signal and continued, and a job of a Slurm is queued again. What a machine
does not allow, or does not have, is skipped, and the table says so.

    python benchmarks/soak.py --rounds 10 --output benchmarks/results/soak.md

`make soak ROUNDS=10` is the same. Give it a machine of its own. Target: nothing fails. The tests run one after the
other, and the table is written after each, so that a soak that is cut short leaves what it has.

For each test there is what was disturbed and how often; the seconds until the run was seen to go on, with updates of
its own and a checkpoint of them (a stop: until everything had ended), as median and most; and the logged updates that
were lost with a learner, those since its newest checkpoint, as median and most.
"""

import collections
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

import common

_REPOSITORY = pathlib.Path(__file__).parents[1]
_COLUMNS = ["test", "rounds", "minutes", "disturbed", "seconds until it went on", "updates lost", "result"]


def main() -> int:
    """Runs the tests; returns pytest's exit code, of the last that failed."""
    parser = common.parser(__doc__)
    parser.add_argument("--rounds", default=10, type=int, help="of kills, cuts and stops in each test")
    parser.add_argument("tests", nargs="*", default=["tests"], help="files or folders of tests")
    options = parser.parse_args()
    os.environ["SOAK_ROUNDS"] = str(options.rounds)
    commit = _output("git", "describe", "--always", "--dirty").strip() or "unknown"
    tests = _collect(options.tests)
    cases: list[ElementTree.Element] = []
    code = 0 if tests else 5
    for done, test in enumerate(tests, start=1):
        ended, new = _run(test)
        code = ended or code
        cases += new
        _report(cases, options.rounds, f"Commit {commit}; {done} of {len(tests)} tests ended.").finish(options.output)
    return code


def _collect(tests: Sequence[str]) -> list[str]:
    """The names of the tests to run."""
    printed = _output(sys.executable, "-m", "pytest", "-m", "soak", "--collect-only", *tests)
    return [line for line in printed.splitlines() if "::" in line]


def _run(test: str) -> tuple[int, list[ElementTree.Element]]:
    """Runs a test; returns pytest's exit code and what it says of the test."""
    with tempfile.TemporaryDirectory() as directory:
        results = pathlib.Path(directory) / "results.xml"
        # The test has a timeout that grows with the rounds; that of the suite is for one.
        command = [
            sys.executable,
            "-m",
            "pytest",
            f"--junitxml={results}",
            "-o",
            "faulthandler_timeout=0",
            "-o",
            "junit_family=xunit1",
            test,
        ]
        code = subprocess.run(command, cwd=_REPOSITORY).returncode
        return code, list(ElementTree.parse(results).iter("testcase")) if results.exists() else []


def _report(cases: Sequence[ElementTree.Element], rounds: int, note: str) -> common.Report:
    report = common.Report("Soak: kills, cuts and stops, again and again", _COLUMNS)
    for case in cases:
        name = f"{case.attrib['classname'].replace('.', '/')}.py::{case.attrib['name']}"
        disturbed = list(_disturbances(case))
        counts = collections.Counter(re.sub(r"-\d+$", "", what) for what, _, _ in disturbed)
        report.row(
            name,
            rounds,
            float(case.attrib["time"]) / 60,
            ", ".join(f"{what} x{number}" for what, number in counts.items()) or _counted(case),
            _median_and_most([seconds for _, seconds, _ in disturbed]),
            _median_and_most([lost for what, _, lost in disturbed if what.startswith("learner")]),
            _result(case),
        )
    failures = sum(_result(case).startswith("failed") for case in cases)
    report.note(f"Failures: {failures} of {len(cases)}. {note}")
    return report


def _disturbances(case: ElementTree.Element) -> Iterator[tuple[str, float, int]]:
    """What was disturbed, the seconds until it went on, and the updates lost: what `running.disturbed` noted."""
    for found in case.iter("property"):
        if found.attrib["name"] == "disturbance":
            what, seconds, lost = json.loads(found.attrib["value"])
            yield what, seconds, lost


def _counted(case: ElementTree.Element) -> str:
    """Whatever else a test counts, as it calls it."""
    found = ((each.attrib["name"], each.attrib["value"]) for each in case.iter("property"))
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in found if value.isdigit()) or "-"


def _median_and_most(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3g}, {max(values):.3g}" if values else "-"


def _result(case: ElementTree.Element) -> str:
    for tag, word in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
        if (found := case.find(tag)) is not None:
            return f"{word}: {found.attrib.get('message', '').splitlines()[0][:100]}".replace("|", "/")
    return "passed"


def _output(*command: str) -> str:
    return subprocess.run(command, cwd=_REPOSITORY, capture_output=True, text=True, check=False).stdout


if __name__ == "__main__":
    sys.exit(main())
