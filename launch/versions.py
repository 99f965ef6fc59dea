"""Which code a run runs: written into its directory, and what `acme-agents --version` says."""

import datetime
import importlib.metadata
import pathlib
import platform
import subprocess
from typing import Any

import acme_agents

_PACKAGES = ("jax", "jaxlib", "dm-haiku", "optax", "numpy", "dm-reverb", "dm-launchpad")
_GIT_SECONDS = 5.0


def describe() -> dict[str, Any]:
    """The time now in UTC, the versions of what decides a run's numbers, and the commit (see `commit`); JSON types."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "acme_agents": acme_agents.__version__,
        "commit": commit(),
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "platform": platform.platform(),
    }


def commit() -> str | None:
    """The commit of the checkout that this code is in, with `-dirty` after it where files differ; None outside one."""
    checkout = pathlib.Path(acme_agents.__file__).resolve().parents[1]
    if not (checkout / ".git").exists():
        return None
    command = ("git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    try:
        described = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
