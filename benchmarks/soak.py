"""Kills, cuts and stops, again and again: the tests marked `soak`, of which the suite does one round, with many.

Every worker of programs on this machine and on a Ray cluster of network namespaces is killed, hosts are cut off for
half a minute, programs are stopped by each signal and continued, and a job of a Slurm is queued again. What a machine
does not allow, or does not have, is skipped, and the table says so.

    python benchmarks/soak.py --rounds 10 --output benchmarks/results/soak.md

`make soak ROUNDS=10` is the same. Give it a machine of its own. Target: nothing fails.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
from xml.etree import ElementTree

import common

_REPOSITORY = pathlib.Path(__file__).parents[1]


def main() -> int:
    """Runs the tests; returns pytest's exit code."""
    parser = common.parser(__doc__)
    parser.add_argument("--rounds", default=10, type=int, help="of kills, cuts and stops in each test")
    parser.add_argument("tests", nargs="*", default=["tests"], help="files or folders of tests")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        results = pathlib.Path(directory) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-m", "soak", f"--junitxml={results}", *options.tests]
        environment = os.environ | {"SOAK_ROUNDS": str(options.rounds)}
        # Each test has a timeout that grows with the rounds; that of the suite is for one.
        ended = subprocess.run([*command, "-o", "faulthandler_timeout=0"], cwd=_REPOSITORY, env=environment)
        cases = list(ElementTree.parse(results).iter("testcase"))
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=_REPOSITORY, capture_output=True, text=True, check=False
    ).stdout.strip()
    report = common.Report("Soak: kills, cuts and stops, again and again", ["test", "rounds", "minutes", "result"])
    for case in cases:
        name = f"{case.attrib['classname'].replace('.', '/')}.py::{case.attrib['name']}"
        report.row(name, options.rounds, float(case.attrib["time"]) / 60, _result(case))
    failures = sum(_result(case).startswith("failed") for case in cases)
    report.note(f"Failures: {failures} of {len(cases)}. Commit {commit or 'unknown'}.")
    report.finish(options.output)
    return ended.returncode


def _result(case: ElementTree.Element) -> str:
    for tag, word in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
        if (found := case.find(tag)) is not None:
            return f"{word}: {found.attrib.get('message', '').splitlines()[0][:100]}".replace("|", "/")
    return "passed"


if __name__ == "__main__":
    sys.exit(main())
