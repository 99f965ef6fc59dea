"""The knobs of `credit:NAME`, and the tasks that each of them makes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from acme_agents.environments import credit


class Knob(NamedTuple):
    """One way to make the task hard.

    Attributes:
      title: of its panel.
      axis: what its values are.
      values: those that are diagnosed if nothing else is said.
    """

    title: str
    axis: str
    values: tuple[float, ...]


KNOBS = {
    "depth": Knob("Depth: delayed effects", "Transitions from decision to reward", (1, 8, 16, 32)),
    "sparsity": Knob("Density: sparse goals", "Decisions that must all be right", (1, 2, 4, 8)),
    "breadth": Knob("Breadth: transpositions", "Ways to the same outcome", (1, 4, 16, 64)),
    "noise": Knob("Chance: low influence", "Deviation of luck in the return", (0, 1, 2, 4)),
}
_BASE = credit.Task()
_SOURCE = "credit:"


def tasks(values: Mapping[str, Sequence[float]]) -> list[str]:
    """The environments of some values of some knobs, each once: at the value that all have anyway, knobs share one."""
    return list(dict.fromkeys(task(knob, value) for knob, each in values.items() for value in each))


def task(knob: str, value: float) -> str:
    """The environment in which one knob has a value, and the others those that they have anyway."""
    if value == getattr(_BASE, knob):
        knob, value = "depth", _BASE.depth
    return f"{_SOURCE}{knob}-{value:g}"


def parse(task: str) -> credit.Task:
    """The knobs of an environment that exists."""
    found = credit.parse(task.removeprefix(_SOURCE))
    assert found is not None
    return found


def is_task(name: str) -> bool:
    """Whether a name is of an environment in which one knob is turned, or none."""
    found = credit.parse(name.removeprefix(_SOURCE)) if name.startswith(_SOURCE) else None
    return found is not None and sum(mine != base for mine, base in zip(found, _BASE)) <= 1


def of_tasks(names: Iterable[str]) -> dict[str, dict[float, str]]:
    """Knob -> its values in their order -> the environment; the one that knobs share is under each that has another."""
    turned = {name: parse(name) for name in names}
    found = {}
    for knob in KNOBS:
        of_knob = [name for name, task in turned.items() if getattr(task, knob) != getattr(_BASE, knob)]
        if of_knob or (knob == "depth" and {*turned.values()} == {_BASE}):
            of_knob += [name for name, task in turned.items() if task == _BASE]
        if of_knob:
            values = {float(getattr(turned[name], knob)): name for name in of_knob}
            found[knob] = {value: values[value] for value in sorted(values)}
    return found
