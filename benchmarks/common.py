"""What the benchmarks share: interleaved repeats, tables that say how they were made, and helper processes."""

import argparse
import contextlib
import datetime
import json
import math
import multiprocessing
import os
import pathlib
import platform
import shlex
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

# Set before anything imports JAX, MuJoCo or TensorFlow; processes started from here inherit them.
os.environ.setdefault("MUJOCO_GL", "disable")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_LOAD_BEFORE = os.getloadavg()[0]  # what a benchmark itself does is not in it
_PACKAGES = ("jax", "dm-acme", "dm-reverb", "dm-control")


def parser(docstring: str | None) -> argparse.ArgumentParser:
    """A command line that shows a module's docstring as its help, with the option that every benchmark has."""
    result = argparse.ArgumentParser(description=docstring, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--output", type=pathlib.Path, help="also write the table to FILE.md or FILE.json")
    return result


def one_thread() -> None:
    """Makes this process compute as actor processes do: on the CPU with one thread. Call it before JAX is imported."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
    os.environ["OMP_NUM_THREADS"] = "1"


def interleave(contestants: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Measures all contestants in turn, `repeats` times over, each round beginning with another one.

    A machine that slows down for a while then slows all of them; the ratio of two is taken within a round.

    Returns:
      contestant -> [repeats] measurements.
    """
    names = list(contestants)
    results: dict[str, list[float]] = {name: [] for name in names}
    for i in range(repeats):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            results[name].append(contestants[name]())
    return results


def median_ratio(numerator: Sequence[float], denominator: Sequence[float]) -> float:
    """The median over rounds of the ratio within a round."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))


class Report:
    """A table of figures, and notes under it; printed, and written where `--output` says."""

    def __init__(self, title: str, columns: Sequence[str]):
        """Starts an empty table."""
        self._title = title
        self._columns = list(columns)
        self._rows: list[list[str]] = []
        self._notes: list[str] = []

    def row(self, *cells: Any) -> None:
        """Adds a row, one cell for each column; numbers are shown to three digits."""
        if len(cells) != len(self._columns):
            raise ValueError(f"A row has {len(self._columns)} cells, got {len(cells)}.")
        self._rows.append([formatted(cell) for cell in cells])

    def note(self, text: str) -> None:
        """Adds a line under the table."""
        self._notes.append(text)

    def finish(self, output: pathlib.Path | None) -> None:
        """Prints the table, and writes it as `write` does."""
        print(self.markdown())
        self.write(output)

    def write(self, output: pathlib.Path | None) -> None:
        """Writes the table to a .md or .json file, if there is one."""
        if output is None:
            return
        output.parent.mkdir(parents=True, exist_ok=True)
        if output.suffix == ".json":
            rows = [dict(zip(self._columns, row)) for row in self._rows]
            content = {
                "title": self._title,
                **_provenance(),
                "load_before": _LOAD_BEFORE,
                "rows": rows,
                "notes": self._notes,
            }
            output.write_text(json.dumps(content, indent=2) + "\n")
        else:
            output.write_text(self.markdown())

    def markdown(self) -> str:
        """The whole report."""
        widths = [max(map(len, column)) for column in zip(self._columns, *self._rows)]
        lines = [f"# {self._title}", ""]
        lines += ["| " + " | ".join(c.ljust(w) for c, w in zip(self._columns, widths)) + " |"]
        lines += ["|" + "|".join("-" * (w + 2) for w in widths) + "|"]
        lines += ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths)) + " |" for row in self._rows]
        lines += ["", *(f"{note}\n" for note in self._notes)]
        provenance = _provenance()
        lines += [
            f"`{provenance['command']}`, {provenance['machine']}, {provenance['packages']}, {provenance['date']}."
        ]
        if _LOAD_BEFORE > 0.5:
            lines += ["", f"**The machine was not idle when this began: a load average of {_LOAD_BEFORE:.1f}.**"]
        return "\n".join(lines) + "\n"


def _provenance() -> dict[str, str]:
    command = shlex.join(["python", os.path.relpath(sys.argv[0]), *sys.argv[1:]])
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    python = platform.python_version()
    return {
        "command": command,
        "machine": f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GiB, Python {python}",
        "packages": versions(*_PACKAGES),
        "date": datetime.date.today().isoformat(),
    }


def versions(*packages: str) -> str:
    """The versions of those packages that are installed."""
    found = []
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return ", ".join(found)


def formatted(cell: Any) -> str:
    if isinstance(cell, float):
        if math.isnan(cell):
            return "-"
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


class Child:
    """A process of its own that runs `function(connection, *args)`, and ends with the context."""

    def __init__(self, function: Callable[..., None], *args: Any):
        """Starts the process."""
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=function, args=(theirs, *args), daemon=True)
        self._process.start()
        theirs.close()

    def send(self, message: Any) -> None:
        """Sends it a message."""
        self._connection.send(message)

    def receive(self, timeout: float = 120.0) -> Any:
        """Returns its next message.

        Raises:
          TimeoutError: none came in `timeout` seconds.
          EOFError: the process has died.
        """
        if not self._connection.poll(timeout):
            raise TimeoutError(f"A helper process did not answer in {timeout} seconds.")
        return self._connection.recv()

    def cpu_seconds(self) -> float:
        """CPU time of all its threads so far, user and system."""
        import psutil

        times = psutil.Process(self._process.pid).cpu_times()
        return times.user + times.system

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.terminate()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()


@contextlib.contextmanager
def reverb_server(make_tables: Callable[..., Any], *args: Any) -> Iterator[tuple[str, Child]]:
    """A Reverb server in a process of its own, with the tables of `make_tables(*args)`; yields its address."""
    with Child(_serve, make_tables, args) as child:
        yield f"localhost:{child.receive()}", child


def _serve(connection: Any, make_tables: Callable[..., Any], args: tuple[Any, ...]) -> None:
    import reverb

    with tempfile.TemporaryDirectory() as directory:
        checkpointer = reverb.checkpointers.DefaultCheckpointer(directory)
        server = reverb.Server(make_tables(*args), checkpointer=checkpointer)
        connection.send(server.port)
        with contextlib.suppress(EOFError):  # raised when the parent has gone
            connection.recv()
        server.stop()


def chunk_writer(address: str, agent: Any, spec: Any, **kwargs: Any) -> Any:
    """An actor's writer to the replay server at an address; `kwargs` are the sender's."""
    import threading

    import reverb

    from acme_agents.replay import chunks, reverb_transport, writer

    sender = reverb_transport.ReverbSender(reverb.Client(address), threading.Event(), **kwargs)
    experience, steps = agent.replay(spec).experience, chunks.step_spec(agent, spec)
    return writer.ChunkWriter(sender, steps, experience, writer_id=writer.make_id())


def receiver(address: str, steps: Any, replay: Any) -> Any:
    """A learner's end of the way through the replay server at an address."""
    import reverb

    from acme_agents.replay.reverb_transport import ReverbReceiver

    return ReverbReceiver(reverb.Client(address), steps, replay, pathlib.Path("never-written"))


def record_of(run_dir: pathlib.Path) -> Any:
    """The record of a program that runs with --launcher processes; FileNotFoundError while it is starting."""
    from acme_agents.launch import node_files

    record = node_files.read_record(run_dir)
    if record is None:
        raise FileNotFoundError(f"There is no program in {run_dir} yet.")
    return record


def learner_of(run_dir: pathlib.Path) -> Any:
    """A Courier client of the learner of such a program."""
    import courier

    return courier.Client(f"localhost:{record_of(run_dir).place['ports']['learner']}", call_timeout=3.0)


def train(experiment: Any, run_dir: pathlib.Path, *, launcher: str = "in-process", seeds: int = 1) -> dict[str, Any]:
    """Trains, unless the run directory holds the finished run: then nothing is done.

    A run that was interrupted is continued from its checkpoint.

    Args:
      experiment: what to run.
      run_dir: its directory.
      launcher: as `run` has it.
      seeds: runs side by side, with the launcher "fused"; `seeds_of` has their directories.

    Returns:
      Its evaluator.csv, column by column; of several seeds, or without evaluations, none.

    Raises:
      SystemExit: it was asked to stop.
    """
    from acme_agents.launch import run_dir as run_dir_lib
    from acme_agents.launch.options import Options
    from acme_agents.launch.run import run
    from acme_agents.runtime import loggers

    finished = run_dir / "finished"
    if not finished.exists():
        of_seeds = [run_dir] if seeds == 1 else [run_dir / f"seed-{experiment.seed + i}" for i in range(seeds)]
        resume = all(map(run_dir_lib.can_go_on, of_seeds))
        if not resume and (run_dir / "config.json").exists():
            shutil.rmtree(run_dir)
        options = Options(seeds=seeds)
        result = run(experiment, run_dir=run_dir, resume=resume, launcher=launcher, options=options)
        if not result.finished:
            raise SystemExit("Stopped; the same command goes on from here.")
        finished.touch()
    evaluations = run_dir / "evaluator.csv"
    return loggers.read_csv(evaluations) if evaluations.exists() else {}


def seeds_of(run_dir: pathlib.Path) -> list[pathlib.Path]:
    """The directories of a run's seeds, in their order; itself if it has one seed."""
    from acme_agents.launch import run_dir as run_dir_lib

    return run_dir_lib.of_seeds(run_dir)


def demonstrations(environment: str, path: pathlib.Path, *, episodes: int, random_actions: float = 0.0) -> pathlib.Path:
    """A dataset of the environment's scripted expert, made unless it is there; equal arguments give equal ones."""
    from acme_agents.launch.demonstrate import demonstrate

    try:
        if not path.exists():
            demonstrate(environment, path, episodes=episodes, random_actions=random_actions)
    except ValueError:
        if not path.exists():  # Otherwise another process that runs a part of the same benchmark was faster.
            raise
    return path
