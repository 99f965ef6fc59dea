"""Files that are whole whenever somebody reads them."""

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
