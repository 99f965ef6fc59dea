"""A file that says what to train, as flags: what a run's `config.json` has, or a part of it, in JSON or YAML."""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

from acme_agents.core import errors
from acme_agents.experiments.experiment import NOT_OF_THE_EXPERIMENT

# The fields of an experiment whose flag has another name.
FLAGS = {"environment": "env", "num_actors": "actors", "max_steps": "steps", "max_updates": "updates"}


def read(path: pathlib.Path) -> dict[str, Any]:
    """The fields of a file.

    Raises:
      UserError: it cannot be read, or is no mapping from names to values.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise errors.UserError(f"--config-file {path} cannot be read ({reason}).") from error
    try:
        fields = json.loads(text) if path.suffix == ".json" else _yaml(path, text)
    except ValueError as error:
        raise errors.UserError(f"--config-file {path} cannot be read: {' '.join(str(error).split())}.") from error
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
        raise errors.UserError(
            f"--config-file {path} must have a value for each name, such as `environment: control:cheetah:run`, as a "
            "run's config.json has."
        )
    return fields


def flags(path: pathlib.Path, agent: str) -> list[str]:
    """The flags of `train AGENT` that a file stands for; the agent may be left out of it.

    Raises:
      UserError: it cannot be read, or is of another agent.
    """
    fields = read(path)
    named = fields.pop("agent", agent)
    if named != agent:
        raise errors.UserError(f"--config-file {path} is of the agent {named}, not {agent}.")
    launch = fields.get("launch") or {}
    given = {name: value for name, value in fields.items() if name not in NOT_OF_THE_EXPERIMENT}
    if given.pop("gathered", None):
        raise errors.UserError(f"--config-file {path} is of one phase of a run: give the config.json of the whole run.")
    given |= {name: launch[name] for name in ("launcher",) if name in launch} | launch.get("options", {})
    return [word for name, value in given.items() for word in _words(FLAGS.get(name, name), value)]


def _words(name: str, value: Any) -> Iterator[str]:
    """`--config.policy-layers 256 256`: a field as the command line has it."""
    outer, _, last = name.rpartition(".")
    prefix = f"--{outer}." if outer else "--"
    if isinstance(value, dict):
        for inner, part in value.items():
            yield from _words(f"{name}.{inner}", part)
    elif name in ("base", "config"):  # A bonus is around none, or the agent has no configuration.
        return
    elif isinstance(value, bool):
        yield f"{prefix}{'' if value else 'no-'}{last}".replace("_", "-")
    else:
        yield f"{prefix}{last}".replace("_", "-")
        yield from (str(each) for each in (value if isinstance(value, list) else [value]))


def _yaml(path: pathlib.Path, text: str) -> Any:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise errors.UserError(
            f"--config-file {path}: YAML needs PyYAML, which is not installed (pip install pyyaml); a file that ends "
            "in .json needs nothing."
        ) from error
    try:
        return _plain(
            yaml.load(text, yaml.BaseLoader)
        )  # Each value is a word yet, such as 1e-3: the flag knows its type.
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


def _plain(value: Any) -> Any:
    """What YAML's words for truth values and for nothing mean."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else _WORDS.get(value, value)
