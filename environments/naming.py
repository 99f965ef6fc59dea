"""Names of environments: what a wrapper's is made of, and sentences about names that do not exist."""

import difflib
import math
from collections.abc import Container, Iterable

WRAPPERS = {"scaled": 1, "repeat": 1, "delayed": 1, "persistive": 0, "energy": 0}
"""The sources that wrap another, and how many arguments each has before its name."""


def is_size(text: str) -> bool:
    """Whether a part of a name is a number of at least 0, such as a factor or a standard deviation."""
    try:
        number = float(text)
    except ValueError:
        return False
    return math.isfinite(number) and number >= 0


def suggest(name: str, known: Iterable[str]) -> str:
    """Returns the end of a sentence: a question with the names closest to one, or all names if none is close."""
    known = list(known)
    close = difflib.get_close_matches(name, known)
    return f"did you mean {' or '.join(close)}?" if close else f"the known ones are {', '.join(known)}."


def unwrap(name: str, wrappers: Container[str]) -> tuple[list[tuple[str, str]], str]:
    """Takes off the outermost wrappers of a name, as far as they are among `wrappers`.

    Returns:
      Each wrapper with its argument, the outermost first, "" where it takes none; and the name within them.
    """
    taken: list[tuple[str, str]] = []
    source, _, rest = name.partition(":")
    while source in WRAPPERS and source in wrappers and rest.count(":") >= WRAPPERS[source]:
        *argument, name = rest.split(":", WRAPPERS[source])
        taken.append((source, "".join(argument)))
        source, _, rest = name.partition(":")
    return taken, name
