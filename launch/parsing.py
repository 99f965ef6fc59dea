"""From flags to an experiment and back, with the flags that an agent's configuration has."""

import argparse
import dataclasses
import pathlib
from typing import Any

from acme_agents.core import errors
from acme_agents.experiments import registry
from acme_agents.launch import config_file


def values_of(flags: list[str], *names: str) -> dict[str, str | None]:
    """The values of some flags, by their names with underscores; None for what is not given."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in names:
        parser.add_argument(name, nargs="?")
    return vars(parser.parse_known_args(flags)[0])


def base_of(agent: str, flags: list[str]) -> Any:
    """The agent that a bonus is to go around, as the flags or the run that they resume name it; None for none."""
    from acme_agents.experiments import Base

    given = values_of(flags, "--base.agent", "--run-dir")
    if given["base.agent"] is not None:
        return Base(given["base.agent"])
    if registry.is_bonus(agent) and given["run_dir"] is not None and "--resume" in flags:
        return as_it_was(pathlib.Path(given["run_dir"]))[1].get("base")
    return None


def as_it_was(run_dir: pathlib.Path) -> tuple[str, dict[str, Any]]:
    """The agent of a run, and the flags that would begin and launch the same run."""
    from acme_agents.experiments import Experiment
    from acme_agents.launch import run_dir as run_dir_lib

    experiment = Experiment.from_run_dir(run_dir)
    launcher, options = run_dir_lib.read_launch(run_dir)
    launched = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    flags = _flags(experiment)
    if experiment.base is None:
        del flags["base"]
    return experiment.agent, {**flags, **launched, "launcher": launcher}


def to_experiment(agent: str, train: Any) -> Any:
    """The experiment that the flags describe."""
    from acme_agents import datasets
    from acme_agents.experiments import Experiment

    names = [field.name for field in dataclasses.fields(Experiment) if field.name not in ("agent", "base")]
    fields = {name: getattr(train, config_file.FLAGS.get(name, name)) for name in names} | {"base": chosen_base(train)}
    if train.dataset is not None and train.env is None:
        fields["environment"] = datasets.environment(train.dataset)
    if fields["environment"] is None:
        told = f" ({train.dataset} does not say which it is from)" if train.dataset is not None else ""
        raise errors.UserError(f"Name an environment{told}: --env ENVIRONMENT; `acme-agents list` has them.")
    if train.cycles is not None:
        return Experiment(agent=agent, **fields)
    if train.steps is None and train.dataset is not None:
        fields["max_steps"] = 0
    elif train.steps is None and train.updates is None:
        fields["max_steps"] = Experiment.max_steps
    return Experiment(agent=agent, **fields)


def _flags(experiment: Any) -> dict[str, Any]:
    """The flags that would give an experiment, its agent aside."""
    fields = {field.name: getattr(experiment, field.name) for field in dataclasses.fields(experiment)}
    return {config_file.FLAGS.get(name, name): value for name, value in fields.items() if name != "agent"}


def with_config(options: Any, config: Any, base: Any = None) -> Any:
    """The options of a command, with `config` and its fields as the default of theirs, and those of a bonus's base."""
    fields = [("config", type(config), dataclasses.field(default_factory=lambda: config))]
    if base is not None:
        hint = ("config", type(base.config), dataclasses.field(default_factory=lambda: base.config))
        of_base = dataclasses.make_dataclass("Base", [hint], bases=(type(base),), frozen=True)
        of_base.__doc__ = type(base).__doc__
        fields.append(("base", of_base, dataclasses.field(default_factory=lambda: of_base(base.agent, base.config))))
    typed = dataclasses.make_dataclass(options.__name__, fields, bases=(options,), frozen=True)
    typed.__doc__ = options.__doc__
    return typed


def with_defaults(typed: Any, values: dict[str, Any]) -> Any:
    """Options of a type that `with_config` made, with these values."""
    if "base" in values:
        base = values["base"]
        values = values | {"base": type(typed().base)(base.agent, base.config)}
    return typed(**values)


def chosen_base(options: Any) -> Any:
    """The agent that a bonus goes around, as options that `with_config` typed say; None for none."""
    from acme_agents.experiments import Base

    return Base(options.base.agent, options.base.config) if hasattr(options, "base") else None
