"""The suites, the bounds of their scores, and published scores: the data files beside this module."""

import difflib
import functools
import json
import math
import pathlib
from typing import Any, NamedTuple

from acme_agents.core import errors
from acme_agents.environments import naming

_HERE = pathlib.Path(__file__).parent
# Wrappers that leave the rewards as they are, so that bounds and published scores stay those of the task within.
_SAME_REWARDS = ("delayed", "repeat")


class Suite(NamedTuple):
    """Tasks that belong together."""

    name: str
    description: str
    source: str | None  # where its tasks and groups are from
    steps: int  # environment steps of a run, if nothing else is said
    groups: dict[str, list[str]]  # group -> names of environments


class Bounds(NamedTuple):
    """The scores of a task that count as 0 and as 1."""

    low: float
    high: float
    why: str


class Published(NamedTuple):
    """A published score of a task after a number of steps."""

    agent: str  # as its source calls it
    ours: str | None  # the agent of ours that it stands beside; None for another kind of agent
    source: str
    repeat: int | None  # environment steps of each action; None where that is not known
    repeat_note: str | None
    seeds: int
    note: str | None
    mean: float
    deviation: float | None  # over the seeds


def get(name: str) -> Suite:
    """The suite of a name.

    Raises:
      UserError: there is no such suite.
    """
    suites = _read("suites.json")["suites"]
    if name in suites:
        return Suite(name, **suites[name])
    close = difflib.get_close_matches(name, suites, n=1)
    hint = f"did you mean {close[0]!r}? There" if close else "there"
    raise errors.UserError(f"Unknown suite {name!r}: {hint} are {', '.join(suites)}; --tasks takes a list of your own.")


def names() -> list[str]:
    """The name of every suite."""
    return list(_read("suites.json")["suites"])


def bounds(task: str) -> Bounds | None:
    """The bounds of a task's score, from the longest prefix of its name that has some; None where none has."""
    known = _read("suites.json")["bounds"]
    within = _inner(task)
    found = max((prefix for prefix in known if within.startswith(prefix)), key=len, default=None)
    return None if found is None else Bounds(**known[found])


def action_repeat(task: str) -> int:
    """Environment steps that an action lasts: N of `repeat:N:NAME`, and 1 otherwise."""
    wrappers, _ = naming.unwrap(task, _SAME_REWARDS)
    return math.prod(int(number) for wrapper, number in wrappers if wrapper == "repeat" and number.isdecimal())


def published(task: str, steps: int) -> list[Published]:
    """The published scores of a task after as many environment steps, each repeat of an action counted as one."""
    found = []
    for source in _read("published.json"):
        score = source["scores"].get(_inner(task), {}).get(str(steps * action_repeat(task)))
        if score is not None:
            said = {name: value for name, value in source.items() if name != "scores"}
            found.append(Published(**said, mean=score[0], deviation=score[1]))
    return found


def _inner(task: str) -> str:
    """The task within wrappers that leave its rewards as they are."""
    return naming.unwrap(task, _SAME_REWARDS)[1]


@functools.cache
def _read(name: str) -> Any:
    return json.loads((_HERE / name).read_text(encoding="utf-8"))
