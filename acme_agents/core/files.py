"""Files that are whole whenever somebody reads them, and where those go that can be made again."""

import os
import pathlib


def write_whole(path: pathlib.Path, text: str) -> None:
    """Writes a text file, UTF-8, beside its final name and renames it: a reader sees it whole, or the one before.

    It survives the death of this process at any time, but not that of the machine: nothing is synced.

    Raises:
      OSError: the disk is full, or the directory cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def user_cache() -> pathlib.Path:
    """The project's directory in the user's cache directory; raises RuntimeError where there is no home directory."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "acme_agents"
