"""Begins an agent of the user's own: a folder with a copy of one of ours, under another name."""

import dataclasses
import importlib
import importlib.util
import inspect
import io
import keyword
import pathlib
import re
import string
import tokenize
from collections.abc import Iterable
from typing import Literal, NamedTuple

from acme_agents.core import errors
from acme_agents.experiments import registry

Like = Literal["td3", "dqn", "ppo"]
_FILES = ("__init__", "config", "networks", "losses", "learning", "acting")
_TEMPLATES = pathlib.Path(__file__).parent / "templates"


class _Kind(NamedTuple):
    """What the README and the tests of a new agent say of the one that it is like."""

    environment: str  # that it learns in seconds or minutes
    steps: int  # that this takes
    spec: str  # of a small environment that it takes, as Python
    expectations: str  # of `conformance.Subject`, as Python


_KINDS = {
    "td3": _Kind("gym:Pendulum-v1", 10_000, "conformance.CONTINUOUS", 'value=lambda metrics: metrics["q_value"]'),
    "dqn": _Kind("jax:cartpole", 10_000, "conformance.DISCRETE", 'value=lambda metrics: metrics["q_value"]'),
    "ppo": _Kind("jax:cartpole", 50_000, "conformance.DISCRETE", ""),
}


def new(name: str, like: Like, directory: pathlib.Path) -> list[str]:
    """Writes the folder `directory / name`: a package that `acme-agents train NAME` trains from `directory`.

    The code is that of the agent it is like, as installed, with the names rewritten; so it is never older than that.

    Args:
      name: of the new agent's module.
      like: the agent whose files are copied.
      directory: where the folder is made.

    Returns:
      Lines that say what was made, and what to do with it.

    Raises:
      UserError: the name is no identifier or is taken, or the folder exists.
    """
    class_name = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    folder = directory / name
    _check_name(name, folder)
    sources = {file: _source(like, file) for file in _FILES}
    if class_name in _identifiers(sources.values()):
        raise errors.UserError(f"{class_name} is the name of something within {like}: choose another name than {name}.")
    agent = importlib.import_module(registry.AGENTS[like]).make.__name__
    written = {f"{file}.py": _rename(source, like, name, agent, class_name) for file, source in sources.items()}
    kind = _KINDS[like]
    words = {"name": name, "like": like, "agent": agent, "title": class_name} | kind._asdict()
    words |= {"subject": f"{kind.spec}, {kind.expectations}".rstrip(", "), "defaults": _defaults(like)}
    for template, file in (
        ("readme", "README.md"),
        ("conformance", f"test_{name}.py"),
        (f"{like}_losses", "test_losses.py"),
    ):
        written[file] = string.Template((_TEMPLATES / f"{template}.txt").read_text()).substitute(words)
    folder.mkdir()
    for file, text in written.items():
        (folder / file).write_text(text)
    return [
        f"{folder}: {like}'s files under the name {name}; README.md says what is where. From {directory.resolve()}:",
        f"  acme-agents train {name} --env {kind.environment} --steps {kind.steps}",
        f"  acme-agents check {name}",
        f"  python -m pytest {name}",
    ]


def _check_name(name: str, folder: pathlib.Path) -> None:
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise errors.UserError(
            f"{name!r} cannot be the name of a Python module: choose letters, digits and underscores, such as my_agent."
        )
    if folder.exists():
        raise errors.UserError(f"{folder} exists: choose another name, or another directory.")
    taken = {each.replace("-", "_") for each in (*registry.AGENTS, *registry.BONUSES)}
    if name in taken:
        raise errors.UserError(f"{name} is an agent or a bonus of this package: choose another name.")
    if importlib.util.find_spec(name) is not None:
        raise errors.UserError(f"{name} is a module that Python has already: choose another name.")


def _source(agent: str, file: str) -> str:
    return inspect.getsource(importlib.import_module(f"{registry.AGENTS[agent]}.{file}".removesuffix(".__init__")))


def _identifiers(sources: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for source in sources:
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        found |= {token.string for token in tokens if token.type == tokenize.NAME}
    return found


def _rename(source: str, like: str, name: str, agent: str, class_name: str) -> str:
    """A source file under other names: of the module, of the class, and of the agent in what it says of itself."""
    source = source.replace(registry.AGENTS[like], name)
    lines = source.splitlines(keepends=True)
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    for token in reversed(tokens):  # From the end on, so that what is left to do stays where it is.
        if token.type == tokenize.NAME and token.string == agent:
            new = class_name
        elif token.type == tokenize.STRING:
            new = _retell(token.string, agent, class_name)
        else:
            continue
        (first, start), (last, end) = token.start, token.end
        lines[first - 1 : last] = [lines[first - 1][:start] + new + lines[last - 1][end:]]
        lines = "".join(lines).splitlines(keepends=True)
    return "".join(lines)


def _retell(text: str, agent: str, class_name: str) -> str:
    """A string or a docstring; papers and other people's code keep their names."""
    if text == f'"{agent}"':
        return f'"{class_name}"'
    text = re.sub(rf'^"""{agent}(?=[:,])', f'"""{class_name}, which began as {agent}', text)
    text = re.sub(rf'^"""{agent}(?= with)', f'"""{class_name}: {agent}', text)
    return re.sub(rf"\b{agent}(?='s )|(?<=\bthe ){agent}(?= agent)", class_name, text)


def _defaults(like: str) -> str:
    """A table of the configuration."""
    config = registry.load(like).Config()
    rows = [
        f"| `{field.name}` | `{' '.join(map(str, value)) if isinstance(value, tuple) else value}` |"
        for field in dataclasses.fields(config)
        for value in [getattr(config, field.name)]
    ]
    return "\n".join(["| field | default |", "|---|---|", *rows])
