"""Keeps what XLA compiles in a directory, so that neither a restarted worker nor the next run compiles it again."""

import contextlib
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import sys
import time
from typing import Any

from acme_agents.core import errors, files

OFF = "off"

# By default JAX keeps only programs that take over a second to compile; a run has many smaller ones.
_SETTINGS = {
    "jax_persistent_cache_min_compile_time_secs": 0.2,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}
_CHOSEN = os.environ.get("JAX_COMPILATION_CACHE_DIR")  # by the user, or by the process that started this one
_MAX_BYTES = 2**30
_MAX_AGE_SECONDS = 60 * 24 * 3600.0


def use_cache(directory: str | None) -> pathlib.Path | None:
    """Makes this process, and those that it starts, keep compiled programs and reuse kept ones.

    Args:
      directory: where; `OFF` for nowhere; None for where JAX_COMPILATION_CACHE_DIR said when this process began, else
        for a directory of this kind of machine and version of JAX under the user's cache directory, if that can be
        written.

    Returns:
      The directory in use; None without one.

    Raises:
      UserError: the directory that was given cannot be written.
    """
    if directory == OFF:
        return _set(None)
    if directory is None and _CHOSEN:
        return _set(pathlib.Path(_CHOSEN))
    try:
        path = pathlib.Path(directory) if directory is not None else _default_directory()
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        _prune(path, _MAX_BYTES, _MAX_AGE_SECONDS)
    except (OSError, RuntimeError) as error:  # There may be no home directory.
        if directory is None:
            return _set(None)
        reason = getattr(error, "strerror", None) or error
        raise errors.UserError(
            f"The compilation cache {directory} cannot be written ({reason}): give another --compilation-cache, or "
            f"{OFF}."
        ) from error
    return _set(path.absolute())


def _set(path: pathlib.Path | None) -> pathlib.Path | None:
    """Sets the variables that JAX reads on import, and, if JAX is imported already, its configuration too."""
    settings: dict[str, Any] = {"jax_compilation_cache_dir": None if path is None else str(path)}
    if path is None:
        os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
    else:
        settings |= {name: value for name, value in _SETTINGS.items() if name.upper() not in os.environ}
        os.environ.update({name.upper(): str(value) for name, value in settings.items()})
    if "jax" in sys.modules:
        import jax
        from jax.experimental.compilation_cache import compilation_cache

        compilation_cache.reset_cache()  # An earlier compilation may have opened another cache, or none.
        for name, value in settings.items():
            jax.config.update(name, value)
    return path


def _default_directory() -> pathlib.Path:
    """A directory for machines like this one: the cache holds machine code, and different machines may share a home."""
    machine = hashlib.sha256(_processor().encode()).hexdigest()[:12]
    return files.user_cache() / f"jaxlib-{importlib.metadata.version('jaxlib')}-{machine}"


def _processor() -> str:
    """Identifies processors with the same machine code: by their instruction sets, if the system lists them."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    kinds = {line for line in lines if line.startswith(("flags", "Features", "model name"))}
    return "\n".join([platform.system(), platform.machine(), platform.processor(), *sorted(kinds)])


def _prune(path: pathlib.Path, max_bytes: int, max_age_seconds: float) -> None:
    """Removes entries that were made long ago, and the oldest until the others fit; another process may do the same."""
    entries = []
    for entry in path.glob("*-cache"):
        with contextlib.suppress(FileNotFoundError):
            entries.append((entry.stat().st_mtime, entry.stat().st_size, entry))
    kept = 0
    for made_at, size, entry in sorted(entries, reverse=True):
        kept += size
        if kept > max_bytes or time.time() - made_at > max_age_seconds:
            entry.unlink(missing_ok=True)
