"""Where the time of a process goes: JAX's trace of its programs, and samples of what Python does."""

import contextlib
import ctypes
import logging
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from acme_agents.core import errors

DIRECTORY = "profile"
_POLL_SECONDS = 0.5
_SAMPLES_PER_SECOND = "200"
_DRAWING_SECONDS = 60.0  # that py-spy has to begin and to draw: it reads the symbols of all libraries first
_PR_SET_PTRACER, _ANYBODY = 0x59616D61, ctypes.c_ulong(-1)  # of prctl(2)


def check() -> None:
    """Raises UserError where nothing can take samples: a cheap check before a run starts."""
    if _sampler() is None:
        raise errors.UserError("--profile needs py-spy, which is not installed: pip install 'acme_agents[profile]'.")


@contextlib.contextmanager
def profiled(run_dir: pathlib.Path, name: str, seconds: float) -> Iterator[None]:
    """Profiles this process within the context, for a number of seconds from when the run learns.

    That is when `learner.csv` has a new row: nothing is compiled any more then, in any worker. It writes

      `profile/NAME.svg`   a flame graph of what each of Python's threads did, waiting left out, from py-spy's samples
      `profile/NAME/`      JAX's trace: perfetto_trace.json.gz for https://ui.perfetto.dev, and TensorBoard's files

    Failing to profile is logged and harms nothing.

    Args:
      run_dir: the run's directory.
      name: of this process within the run, such as `actor-0`.
      seconds: how long; 0 for not at all.
    """
    if not seconds:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_profile, args=(run_dir, name, seconds, over), name="profile", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=seconds + _DRAWING_SECONDS)


def _profile(run_dir: pathlib.Path, name: str, seconds: float, over: threading.Event) -> None:
    began = time.time()
    while not any(path.stat().st_mtime > began for path in run_dir.rglob("learner.csv")):
        if over.wait(_POLL_SECONDS):
            logging.warning("Nothing was profiled: the run ended before learner.csv had a row.")
            return
    try:
        directory = run_dir / DIRECTORY
        directory.mkdir(exist_ok=True)
        with _sampled(directory / f"{name}.svg", seconds), _traced(directory / name):
            over.wait(seconds)
        logging.info("profiled %g s into %s", seconds, directory)
    except Exception:
        logging.warning("Profiling failed.", exc_info=True)


@contextlib.contextmanager
def _sampled(flame_graph: pathlib.Path, seconds: float) -> Iterator[None]:
    """Has py-spy sample this process meanwhile; at the end waits for it to draw."""
    with contextlib.suppress(OSError, AttributeError):  # Only Linux asks who may look into a process.
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANYBODY, 0, 0, 0)
    what = [str(_sampler()), "record", "--pid", str(os.getpid()), "--output", str(flame_graph), "--threads"]
    how = ["--rate", _SAMPLES_PER_SECOND, "--duration", str(max(1, round(seconds))), "--nonblocking"]
    sampling = subprocess.Popen([*what, *how], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        yield
        said = sampling.communicate(timeout=seconds + _DRAWING_SECONDS)[1]
        if sampling.returncode:
            last = said.strip().splitlines()[-1:] or [f"exit code {sampling.returncode}"]
            logging.warning("py-spy could not sample this process: %s", last[0])
    finally:
        if sampling.poll() is None:
            sampling.kill()
            sampling.wait()


@contextlib.contextmanager
def _traced(directory: pathlib.Path) -> Iterator[None]:
    """JAX's trace of what this process computes meanwhile."""
    import jax

    with jax.profiler.trace(str(directory), create_perfetto_trace=True):
        yield


def _sampler() -> str | None:
    """The path of py-spy: this environment's, activated or not, else one on the PATH."""
    beside = pathlib.Path(sys.executable).parent / "py-spy"
    return str(beside) if beside.exists() else shutil.which("py-spy")
