"""A benchmark in two checkouts, taking turns in one run: is anything slower after a change than before?

    git worktree add ../before COMMIT && python benchmarks/before_after.py ../before actor_loop --repeats 2 --episodes 2
    python benchmarks/before_after.py ../before learner --rounds 3 --critics scalar --repeats 2 --seconds 1

What follows the benchmark's name is handed to it. Each round runs it in both checkouts, each by its own code, every
second round in the other order. A cell of the table is the median over rounds of this checkout's figure over the
other's, with the lowest and the highest; what is no number stays as it is.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from typing import Any

import common

_HERE = pathlib.Path(__file__).resolve().parents[1]


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("before", type=pathlib.Path, help="checkout of the commit to compare with")
    parser.add_argument("benchmark", help="name of a script in benchmarks/, in both checkouts")
    parser.add_argument("--rounds", default=3, type=int, help="times that both are run")
    options, handed_on = parser.parse_known_args()
    found: dict[str, list[dict[str, Any]]] = {"before": [], "after": []}
    checkouts = {"before": options.before.resolve(), "after": _HERE}
    for number in range(options.rounds):
        for name in sorted(checkouts, reverse=number % 2 == 0):
            print(f"round {number + 1}, {name} ...", flush=True)
            found[name].append(_run(checkouts[name], options.benchmark, handed_on))
    first = found["after"][0]
    report = common.Report(f"{first['title']}: this checkout over the one before", list(first["rows"][0]))
    for i, row in enumerate(first["rows"]):
        report.row(*(_cell(found, i, column, value) for column, value in row.items()))
    report.note(f"Median (lowest .. highest) of {options.rounds} rounds, of the ratio within the round.")
    report.finish(options.output)


def _run(checkout: pathlib.Path, benchmark: str, handed_on: list[str]) -> dict[str, Any]:
    """The report of a benchmark, by a checkout's own code."""
    with tempfile.TemporaryDirectory() as directory:
        output = pathlib.Path(directory) / "report.json"
        command = [sys.executable, f"benchmarks/{benchmark}.py", *handed_on, "--output", str(output)]
        env = os.environ | {"PYTHONPATH": str(checkout)}
        subprocess.run(command, cwd=checkout, env=env, check=True, stdout=subprocess.DEVNULL)
        return json.loads(output.read_text())


def _cell(found: dict[str, list[dict[str, Any]]], row: int, column: str, value: str) -> str:
    """The ratio of a cell over the rounds, or what it says where it is no number."""
    try:
        pairs = zip(found["after"], found["before"], strict=True)
        ratios = [_number(after["rows"][row][column]) / _number(before["rows"][row][column]) for after, before in pairs]
    except (ValueError, ZeroDivisionError, KeyError):
        return value
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} .. {max(ratios):.2f})"


def _number(text: str) -> float:
    return float(text.replace(",", ""))


if __name__ == "__main__":
    main()
