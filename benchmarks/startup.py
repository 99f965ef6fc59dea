"""Start and stop: seconds from the command line to the first learner update, and from SIGTERM to the exit.

Each repeat runs `acme-agents train mpo --env control:cartpole:swingup --launcher processes --actors 2` as a user would,
a new process with a new run directory, and asks the learner's process ten times a second, over Courier as the
launcher's own display does, how many updates it has done. The time to the first therefore includes importing
everything, filling replay with its first 1,000 transitions, and compiling. SIGTERM follows --run seconds later.

    python benchmarks/startup.py --output benchmarks/results/startup.md

Targets: less than 30 s to the first update, less than 10 s to the exit, exit code 0, and no process left behind.
"""

import contextlib
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import common
import psutil

_POLL_SECONDS = 0.1
_GIVE_UP_SECONDS = 180.0


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--repeats", default=3, type=int, help="how often")
    parser.add_argument("--actors", default=2, type=int, help="actor processes")
    parser.add_argument("--env", default="control:cartpole:swingup", help="environment's name")
    parser.add_argument("--run", default=5.0, type=float, help="seconds of training between first update and SIGTERM")
    options = parser.parse_args()
    report = common.Report(
        "Start and stop, seconds", ["repeat", "first update", "SIGTERM to exit", "exit code", "processes left"]
    )
    starts, stops = [], []
    for i in range(options.repeats):
        with tempfile.TemporaryDirectory() as directory:
            start, stop, code, left = _run(options.env, options.actors, options.run, pathlib.Path(directory) / "run")
        starts.append(start)
        stops.append(stop)
        report.row(i + 1, start, stop, code, left)
    report.row("median", statistics.median(starts), statistics.median(stops), "", "")
    report.note("The first update's time is exact to 0.2 s. Targets: < 30 s, < 10 s, exit code 0, none left.")
    report.finish(options.output)


def _run(env: str, actors: int, seconds: float, run_dir: pathlib.Path) -> tuple[float, float, int, int]:
    """Starts and stops a run; returns the seconds that each took, the exit code and the number of processes left."""
    program = pathlib.Path(sys.executable).with_name("acme-agents")
    flags = ["--env", env, "--launcher", "processes", "--actors", str(actors), "--run-dir", str(run_dir)]
    began = time.monotonic()
    process = subprocess.Popen([program, "train", "mpo", *flags], stdout=subprocess.DEVNULL)
    try:
        _wait_for_update(process, run_dir, began)
        start = time.monotonic() - began
        time.sleep(seconds)
        family = psutil.Process(process.pid).children(recursive=True)
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(_GIVE_UP_SECONDS)
        stop = time.monotonic() - asked
        _, left = psutil.wait_procs(family, timeout=1.0)
        return start, stop, code, len(left)
    finally:
        if process.poll() is None:
            process.kill()


def _wait_for_update(process: subprocess.Popen, run_dir: pathlib.Path, began: float) -> None:
    client = None
    while True:
        if process.poll() is not None:
            raise SystemExit(f"The run ended by itself, with exit code {process.returncode}.")
        if time.monotonic() - began > _GIVE_UP_SECONDS:
            raise SystemExit(f"There was no update within {_GIVE_UP_SECONDS} seconds.")
        with contextlib.suppress(Exception):  # It is not there yet.
            client = client or common.learner_of(run_dir)
            if client.status().learner_steps:
                return
        time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    main()
