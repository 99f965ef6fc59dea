"""The directory of a run: made or continued, and never by two at once."""

import contextlib
import dataclasses
import fcntl
import pathlib
import time
from collections.abc import Iterator

from acme_agents.experiments import Experiment
from acme_agents.experiments import agents as agents_lib
from acme_agents.runtime import checkpoint

CHECKPOINTS = "checkpoints"


def default(experiment: Experiment) -> pathlib.Path:
    """runs/<agent>-<environment>-<time>."""
    environment = "".join(c if c.isalnum() or c in "-_." else "-" for c in experiment.environment)
    return pathlib.Path("runs") / f"{experiment.agent}-{environment}-{time.strftime('%Y%m%d-%H%M%S')}"


@contextlib.contextmanager
def opened(run_dir: pathlib.Path, experiment: Experiment, *, resume: bool) -> Iterator[Experiment]:
    """Makes or continues a run directory, and holds it for this process while the context lasts.

    Args:
      run_dir: its path.
      experiment: what to run. On a resume, the agent's configuration and the seed are those of the run directory, and
        the rest is taken from here.
      resume: whether to continue the run that is there.

    Yields:
      The experiment to run.

    Raises:
      ValueError: the directory is in use, holds a run and `resume` is not set, or holds none or another and it is.
    """
    if resume:
        experiment = _continued(run_dir, experiment)
    elif (run_dir / "config.json").exists():
        raise ValueError(f"{run_dir} holds a run already: continue it with --resume, or choose another --run-dir.")
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"{run_dir} is in use by another process: wait for it, or choose another --run-dir."
            ) from None
        (run_dir / "config.json").write_text(experiment.to_json())
        (run_dir / "logs").mkdir(exist_ok=True)
        yield experiment


def _continued(run_dir: pathlib.Path, experiment: Experiment) -> Experiment:
    before = Experiment.from_run_dir(run_dir)
    for field in ("agent", "environment"):
        old, new = getattr(before, field), getattr(experiment, field)
        if old != new:
            raise ValueError(f"{run_dir} is a run of the {field} {old!r}, not {new!r}: choose another --run-dir.")
    if not checkpoint.steps(run_dir / CHECKPOINTS):
        raise ValueError(f"{run_dir} has no checkpoint to resume from: begin again in another --run-dir.")
    default = agents_lib.load(experiment.agent).Config()
    for name in (field.name for field in dataclasses.fields(default)):
        old, new = getattr(before.config, name), getattr(experiment.config, name)
        if new not in (old, getattr(default, name)):
            raise ValueError(
                f"{run_dir} was begun with {name} = {old!r} and cannot go on with {new!r}: leave that out."
            )
    return dataclasses.replace(experiment, config=before.config, seed=before.seed)
