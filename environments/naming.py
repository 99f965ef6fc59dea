"""Sentences about names that do not exist."""

import difflib
from collections.abc import Iterable


def suggest(name: str, known: Iterable[str]) -> str:
    """Returns the end of a sentence: a question with the names closest to one, or all names if none is close."""
    known = list(known)
    close = difflib.get_close_matches(name, known)
    return f"did you mean {' or '.join(close)}?" if close else f"the known ones are {', '.join(known)}."
