"""What a benchmark runs, as data: tasks, agents, seeds and budget, kept in its directory."""

import dataclasses
import difflib
import hashlib
import json
import pathlib
import re
import shlex
from typing import Any, NamedTuple

from acme_agents.core import errors, files
from acme_agents.experiments import registry
from acme_agents.launch.benchmark import suites
from acme_agents.launch.options import Launcher

_FILE = "benchmark.json"
_EVALUATIONS = 20  # of a run, if nothing else is said
# What all runs of a benchmark have in common.
_OF_RUNS = (
    "steps",
    "eval_every",
    "eval_episodes",
    "launcher",
    "actors",
    "environments_per_actor",
    "seeds_per_run",
)
_LONGEST = 90  # letters of a task or a label in the name of a run's directory
_OWN = "own tasks"  # the group of tasks that belong to no suite


class Variant(NamedTuple):
    """An agent with settings, `[LABEL=]AGENT[:FIELD=VALUE,...]`."""

    label: str
    agent: str
    settings: tuple[tuple[str, str], ...]  # fields of its configuration and their values, as they were written

    @property
    def text(self) -> str:
        """As it is written on the command line."""
        settings = ",".join(f"{field}={value}" for field, value in self.settings)
        text = self.agent + (f":{settings}" if settings else "")
        return text if text == self.label else f"{self.label}={text}"

    def flags(self, prefix: str = "--") -> list[str]:
        """The settings as flags, such as `--critic categorical`.

        Raises:
          UserError: the configuration has no such field.
        """
        return [word for field, value in self.settings for word in self._flag(prefix, field, value)]

    def _flag(self, prefix: str, field: str, value: str) -> list[str]:
        default: Any = registry.load(self.agent).Config()
        for name in (path := field.split(".")):
            fields = [each.name for each in dataclasses.fields(default)] if dataclasses.is_dataclass(default) else []
            if name not in fields:
                close = difflib.get_close_matches(name, fields, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"its fields are {', '.join(fields) or 'none'}."
                raise errors.UserError(f"{self.label}: the agent {self.agent} has no setting {field!r}: {hint}")
            default = getattr(default, name)
        *outer, last = (name.replace("_", "-") for name in path)
        if isinstance(default, bool) and value.lower() in ("true", "false"):
            return [prefix + ".".join([*outer, last if value.lower() == "true" else f"no-{last}"])]
        return [prefix + ".".join([*outer, last]), *(value.split("x") if isinstance(default, tuple) else [value])]


class Run(NamedTuple):
    """One run of a benchmark."""

    task: str
    variant: Variant
    seed: int
    num_seeds: int = 1  # that run side by side in it: `seed` and those after it

    @property
    def seeds(self) -> range:
        """All of its seeds."""
        return range(self.seed, self.seed + self.num_seeds)

    @property
    def name(self) -> str:
        """The name of its directory."""
        seeds = f"seed-{self.seed}" if self.num_seeds == 1 else f"seeds-{self.seed}-{self.seeds[-1]}"
        return "--".join(_slug(part) for part in (self.task, self.variant.label, seeds))

    def __str__(self) -> str:
        seeds = f"seed {self.seed}" if self.num_seeds == 1 else f"seeds {self.seed} to {self.seeds[-1]}"
        return f"{self.variant.label} on {self.task}, {seeds}"


@dataclasses.dataclass(frozen=True)
class Plan:
    """Tasks x agents x seeds, and how each is run."""

    title: str
    groups: dict[str, list[str]]
    agents: list[Variant]
    seeds: list[int]
    steps: int
    eval_every: int
    eval_episodes: int
    launcher: Launcher
    actors: int
    environments_per_actor: int
    seeds_per_run: int = 1

    def __post_init__(self) -> None:
        if self.seeds_per_run > 1 and self.launcher != "fused":
            raise errors.UserError(
                "Seeds run side by side in one program alone: give --launcher fused, or leave --seeds-per-run out."
            )
        names: dict[str, Run] = {}
        for run in self.runs():
            other = names.setdefault(run.name, run)
            if other is not run:
                raise errors.UserError(f"Two runs would share a directory, {other} and {run}: give labels that differ.")

    @property
    def tasks(self) -> list[str]:
        """All tasks, in the order of their groups."""
        return [task for group in self.groups.values() for task in group]

    def runs(self) -> list[Run]:
        """Every run; first all tasks and agents with the first seed, so that a part is soon worth looking at."""
        return [
            Run(task, variant, seeds[0], len(seeds))
            for seeds in self._side_by_side()
            for task in self.tasks
            for variant in self.agents
        ]

    def _side_by_side(self) -> list[list[int]]:
        """The seeds in the parts that share a run: consecutive ones, as many as there may be."""
        parts: list[list[int]] = []
        for seed in self.seeds:
            if parts and len(parts[-1]) < self.seeds_per_run and seed == parts[-1][-1] + 1:
                parts[-1].append(seed)
            else:
                parts.append([seed])
        return parts

    def command(self) -> str:
        """The command line that makes this plan, without its output and what does not change the numbers."""
        is_suite = self.title in suites.names() and self.groups == suites.get(self.title).groups
        tasks = [self.title] if is_suite else ["--tasks", *self.tasks]
        options = [(name, getattr(self, name)) for name in _OF_RUNS]
        flags = [word for name, value in options for word in (f"--{name.replace('_', '-')}", str(value))]
        seeds = ["--seed", str(self.seeds[0]), "--seeds", str(len(self.seeds))]
        agents = [variant.text for variant in self.agents]
        return shlex.join(["acme-agents", "benchmark", *tasks, "--agents", *agents, *seeds, *flags])

    def write(self, directory: pathlib.Path) -> None:
        """Writes the plan into the benchmark's directory, atomically."""
        fields = dataclasses.asdict(self) | {"agents": [variant._asdict() for variant in self.agents]}
        files.write_whole(directory / _FILE, json.dumps(fields, indent=2) + "\n")

    @classmethod
    def read(cls, directory: pathlib.Path) -> "Plan | None":
        """The plan of a benchmark's directory; None where there is none.

        Raises:
          UserError: it cannot be read.
        """
        path = directory / _FILE
        try:
            fields = json.loads(path.read_text())
            agents = [
                Variant(each["label"], each["agent"], tuple((field, value) for field, value in each["settings"]))
                for each in fields["agents"]
            ]
            return cls(**fields | {"agents": agents})
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise errors.UserError(f"{path} cannot be read ({error}): it was written by another version.") from error


def parse(text: str) -> Variant:
    """Parses `[LABEL=]AGENT[:FIELD=VALUE,...]`; the label is the text itself where none is given.

    Raises:
      UserError: it is not of this form, or there is no such agent.
    """
    head, colon, settings = text.partition(":")
    label, equals, agent = head.rpartition("=")
    pairs = [pair.partition("=") for pair in settings.split(",")] if colon else []
    if not agent or (equals and not label) or not all(field and is_set and value for field, is_set, value in pairs):
        raise errors.UserError(
            f"An agent is [LABEL=]AGENT[:FIELD=VALUE,...], such as mpo or dmpo=mpo:critic=categorical, not {text!r}."
        )
    registry.load(agent)
    return Variant(label or text, agent, tuple((field.replace("-", "_"), value) for field, _, value in pairs))


def make(options: Any, before: Plan | None) -> Plan:
    """The plan of a command line, or what it makes of the plan that is there.

    Tasks, agents and seeds are added to those that are there; all else is as it was.

    Args:
      options: `launch.commands.Benchmark`, whose fields are None or empty where nothing is given.
      before: the plan that is there, if there is one.

    Raises:
      UserError: there is nothing to run, something is unknown, or a run would not be as those before.
    """
    if options.suite is not None and options.tasks:
        raise errors.UserError(f"Give a suite or --tasks, not both: the suite {options.suite!r} has tasks of its own.")
    suite = None if options.suite is None else suites.get(options.suite)
    groups = suite.groups if suite else {_OWN: list(options.tasks)} if options.tasks else {}
    variants = [parse(text) for text in options.agents]
    for name, least in (*((name, 1) for name in ("seeds", *_OF_RUNS)), ("seed", 0)):
        if isinstance(value := getattr(options, name), int) and value < least:
            raise errors.UserError(f"--{name.replace('_', '-')} must be at least {least}, not {value}.")
    if before is None and not groups:
        raise errors.UserError(
            "Nothing to run: name a suite or give --tasks ENVIRONMENT...; there is the suite "
            f"{', '.join(suites.names())}."
        )
    if before is None and not variants:
        raise errors.UserError(f"Nothing to run: give --agents AGENT...; there is {', '.join(registry.AGENTS)}.")
    if before is not None:
        groups, variants = _united(before.groups, groups), [*before.agents, *variants]
    labels: dict[str, Variant] = {}
    for variant in variants:
        if labels.setdefault(variant.label, variant) != variant:
            raise errors.UserError(f"Two agents are called {variant.label}: give them labels that differ.")
    first, count = options.seed or 0, options.seeds
    given = list(range(first, first + (count or 3))) if before is None or count or options.seed is not None else []
    plan = Plan(
        title=before.title if before else suite.name if suite else _OWN,
        groups={group: list(dict.fromkeys(tasks)) for group, tasks in groups.items()},
        agents=list(labels.values()),
        seeds=sorted({*given, *(before.seeds if before else ())}),
        **_of_runs(options, before, suite),
    )
    for name in _OF_RUNS:
        old, new = getattr(before or plan, name), getattr(plan, name)
        if old != new:
            raise errors.UserError(
                f"{options.output} is a benchmark with --{name.replace('_', '-')} {old}, not {new}: leave that out, or "
                "choose another --output."
            )
    return plan


def _of_runs(options: Any, before: Plan | None, suite: suites.Suite | None) -> dict[str, Any]:
    """What all runs have in common: as it is given, as it was, or as it is by default."""
    steps = options.steps or (suite.steps if suite else 100_000)
    default = {
        "steps": steps,
        "eval_every": max(1, steps // _EVALUATIONS),
        "eval_episodes": 10,
        "launcher": "in-process",
        "actors": 1,
        "environments_per_actor": 1,
        "seeds_per_run": 1,
    }
    return {name: getattr(options, name) or (getattr(before, name) if before else default[name]) for name in _OF_RUNS}


def _united(before: dict[str, list[str]], given: dict[str, list[str]]) -> dict[str, list[str]]:
    known = {task for tasks in before.values() for task in tasks}
    new = {group: [task for task in tasks if task not in known] for group, tasks in given.items()}
    return before | {group: [*before.get(group, []), *tasks] for group, tasks in new.items() if tasks}


def _slug(text: str) -> str:
    """A part of a file's name; a long one is cut, and told apart by a hash."""
    name = re.sub(r"[^\w.+=,-]+", "-", text)
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
