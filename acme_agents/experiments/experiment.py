"""What to run, as plain data: it travels to every process and is written to the run directory."""

import dataclasses
import functools
import json
import math
import pathlib
import types
import typing
from typing import Any

import dm_env
import numpy as np

from acme_agents import datasets, environments
from acme_agents.core import amounts, errors
from acme_agents.core.computing import Precision
from acme_agents.core.types import EnvironmentSpec
from acme_agents.environments import limited
from acme_agents.experiments import registry
from acme_agents.experiments.budget import Budget

ROLES = ("actor", "evaluator", "learner")  # in the order that gives their seeds
_LONGEST_EVALUATION = 10_000  # steps of an evaluation's episode if the environment declares no time limit
NOT_OF_THE_EXPERIMENT = ("launch", "starts")  # further keys of a run's `config.json`; see `launch.run_dir`


@dataclasses.dataclass(frozen=True)
class Base:
    """The agent that a bonus goes around: it acts, and learns from the environment's rewards and the bonus."""

    agent: str
    """Name of the agent, or of a module that offers one."""
    config: Any = None
    """The agent's configuration; its defaults if left out."""

    def __post_init__(self) -> None:
        if self.config is None:
            object.__setattr__(self, "config", registry.load(self.agent).Config())


@dataclasses.dataclass(frozen=True)
class Experiment:
    """An agent, an environment and a budget; the same for every launcher."""

    agent: str
    """Name of the agent, or of a module that offers one; or of a bonus that goes around one."""
    environment: str
    """Name of the environment; see the package `environments`."""
    dataset: str | None = None
    """Dataset to learn from: a Minari dataset or the id of one, a D4RL or d3rlpy HDF5 file, or an RL Unplugged TFRecord
    set."""
    max_episode_steps: int | None = None
    """Steps after which an episode is cut short, of actors and in evaluations; None for the environment's own limit."""
    config: Any = None
    """The agent's configuration, or the bonus's; its defaults if left out."""
    base: Base | None = None
    """The agent that the bonus goes around; None for an agent alone."""
    seed: int = 0
    """Seed of everything random."""
    num_actors: int = 1
    """Actors that act side by side (one in a single process)."""
    environments_per_actor: int = 1
    """Environments of each actor, which acts in all of them by one call of its policy."""
    max_steps: int | None = 1_000_000
    """Environment steps of all actors together; None for no limit, and 0 for no actors: all learning is offline."""
    max_updates: int | None = None
    """Learner updates, offline ones included; None for no limit."""
    offline_updates: int = 0
    """Updates on the dataset alone before the actors begin; without actors, all updates are."""
    dataset_share: float | None = None
    """The probability that an item of a batch is drawn from the dataset, while there are actors; None for the agent's
    own share, or a half if it has none."""
    keep_good: float = 1.0
    """Fraction of the dataset's good episodes to learn from (RL Unplugged: a third); the others are all kept."""
    good_return: float | None = None
    """Return from which an episode is good; None for halfway between the dataset's lowest and highest."""
    bad_episodes: typing.Literal["refuse", "skip"] = "refuse"
    """Whether to refuse a dataset that has an unusable episode, or to skip such episodes and count them."""
    clip_actions: bool = False
    """Clip the dataset's continuous actions that are out of bounds, counted; otherwise their episodes are bad."""
    dataset_memory: str | None = None
    """How much of the dataset is in memory at a time, "20%" or "4GiB"; None for all of it if it fits, and otherwise for
    half of the memory that is free."""
    cycles: int | None = None
    """Cycles of deploying a fixed policy, merging what it gathered and learning from all of that; None to act and learn
    side by side. The budget is then the cycles', and `max_steps` and `max_updates` are None."""
    cycle_steps: int | None = None
    """Environment steps of each cycle's deployment, of all actors together."""
    cycle_updates: int | None = None
    """Updates of each cycle, on the data of all cycles so far."""
    from_scratch: bool = False
    """Begin each cycle's learning with untrained parameters rather than with those of the cycle before."""
    gathered: tuple[str, ...] = ()
    """Minari datasets in the place of the actors' replay, in a run without actors: what earlier cycles gathered."""
    replay: typing.Literal["learner", "server"] | None = None
    """Who draws batches when there are several processes; None for the agent's choice."""
    precision: Precision = "default"
    """Of the factors in the learner's products of matrices, whose sums are float32; the device's default otherwise."""
    learner_devices: int = 1
    """Devices of the learner's machine over which each update's batch is divided."""
    teacher: str | None = None
    """Run directory whose policy teaches, for agents that learn from one."""
    record: str | None = None
    """Where to write the run's whole history when it ends, as a Minari dataset; None for nowhere."""
    eval_every: int = 10_000
    """Environment steps between evaluations, each offline update counting as one; 0 for none."""
    eval_episodes: int = 10
    """Episodes of each evaluation."""
    checkpoint_seconds: float = 120.0
    """Seconds between checkpoints; there is one at the end in any case."""
    keep_checkpoints: int = 2
    """Newest checkpoints that are kept: a damaged one is skipped for the one before it."""
    histograms: bool = False
    """Write histograms of the parameters, and of their changes, to TensorBoard with each row of the learner's table."""
    keep_every: int | None = None
    """Updates; the first checkpoint at or after each multiple of it is kept too, for good. None for no others."""

    def __post_init__(self) -> None:
        if self.config is None:
            object.__setattr__(self, "config", registry.load(self.agent).Config())
        registry.check_base(self.agent, None if self.base is None else self.base.agent)
        object.__setattr__(self, "gathered", tuple(self.gathered))  # JSON has lists.
        _check_cycles(self)
        if self.cycles is None and self.max_steps is None and self.max_updates is None:
            raise errors.UserError("The run would never end: give --steps or --updates.")
        for name, least, value in (
            ("The number of actors", 1, self.num_actors),
            ("The number of environments per actor", 1, self.environments_per_actor),
            ("The budget of environment steps", 0 if self.dataset or self.gathered else 1, self.max_steps),
            ("The budget of updates", 1, self.max_updates),
            ("The number of offline updates", 0, self.offline_updates),
            ("The number of cycles", 1, self.cycles),
            ("The environment steps of a cycle", 1, self.cycle_steps),
            ("The updates of a cycle", 1, self.cycle_updates),
            ("The steps between evaluations", 0, self.eval_every),
            ("The number of evaluation episodes", 1, self.eval_episodes),
            ("The steps of an episode", 1, self.max_episode_steps),
            ("The seconds between checkpoints", 0, self.checkpoint_seconds),
            ("The number of checkpoints to keep", 2, self.keep_checkpoints),
            ("The updates between checkpoints to keep", 1, self.keep_every),
            ("The number of the learner's devices", 1, self.learner_devices),
            ("The seed", 0, self.seed),
        ):
            if value is not None and value < least:
                raise errors.UserError(f"{name} must be at least {least}, not {value}.")
        if self.precision not in typing.get_args(Precision):
            raise errors.UserError(
                f"Unknown precision {self.precision!r}: choose {', '.join(typing.get_args(Precision))}."
            )
        if self.is_offline and self.max_updates is None:
            raise errors.UserError("The run would never end: without environment steps it needs --updates.")
        if self.dataset is None and self.offline_updates:
            raise errors.UserError("There is nothing to do offline updates on: give --dataset.")
        if self.dataset_share is not None and not 0 <= self.dataset_share < 1:
            raise errors.UserError(f"The dataset's share must lie in [0, 1), not {self.dataset_share}.")
        if self.dataset_memory is not None:
            if self.dataset is None:
                raise errors.UserError("--dataset-memory is for a dataset: give --dataset, or leave it out.")
            amounts.num_bytes(self.dataset_memory, 1.0)  # Raises for what is no amount.
        if self.is_offline and self.base is not None and not self.gathered:
            raise errors.UserError(
                f"The bonus {self.agent} pays for exploring, and nobody acts in this run: give --steps, or train "
                f"{self.base.agent} alone."
            )
        if self.is_offline and self.record is not None:
            raise errors.UserError("There is nothing to record: nobody acts in this run.")

    @property
    def full_name(self) -> str:
        """What learns, for messages: the agent, or the bonus around one."""
        return self.agent if self.base is None else f"{self.agent} around {self.base.agent}"

    @property
    def is_offline(self) -> bool:
        """Whether there are no actors, and all learning is from the dataset."""
        return self.max_steps == 0

    def with_absolute_paths(self) -> "Experiment":
        """The same experiment, whose files are found from any working directory, as by a later `resume`."""
        ways = {"dataset": datasets.locate, "teacher": pathlib.Path.absolute, "record": pathlib.Path.absolute}
        given = {name: getattr(self, name) for name in ways}
        absolute: dict[str, Any] = {
            name: str(ways[name](pathlib.Path(path))) for name, path in given.items() if path is not None
        }
        return dataclasses.replace(self, **absolute)

    def make_environment(
        self, role: str, index: int = 0, start: int = 0, life: int = 0, *, render: bool = False
    ) -> dm_env.Environment:
        """Makes an environment of a worker's own, which closes it.

        Without any other limit an evaluation's episode is cut short after 10,000 steps, so that every evaluation ends.

        Args:
          role: one of `ROLES`.
          index: of the worker within its role; of an actor's environments, each counts as a worker.
          start: environment steps when the worker began, so that a resumed or replaced one sees other episodes.
          life: number of earlier workers of this role and index in the run.
          render: whether frames will be asked for.
        """
        seed = self.worker_seed(role, index, start, life)
        environment = environments.make(self.environment, seed, render=render, max_episode_steps=self.max_episode_steps)
        if role == "evaluator" and not environments.has_time_limit(environment):
            advice = (
                f"An episode of {self.environment} was cut short after {_LONGEST_EVALUATION:,} steps: it might never "
                "have ended. --max-episode-steps sets a limit."
            )
            environment = limited.Limited(environment, _LONGEST_EVALUATION, advice=advice)
        return environment

    def environment_spec(self) -> EnvironmentSpec:
        """What the agent must know of the environment; makes one to find out, once."""
        return self._examined[0]

    def environment_notes(self) -> list[str]:
        """What the user should know of how the environment is interpreted, a sentence each."""
        return self._examined[1]

    @functools.cached_property
    def _examined(self) -> tuple[EnvironmentSpec, list[str]]:
        seed = self.worker_seed("evaluator")
        environment = environments.make(self.environment, seed, max_episode_steps=self.max_episode_steps)
        try:
            return environments.spec(environment), environments.notes(environment)
        finally:
            environment.close()

    def worker_seed(self, role: str, index: int = 0, start: int = 0, life: int = 0) -> int:
        """A seed of a worker's own, below 2^32; see `make_environment`."""
        entropy, lives = (self.seed, ROLES.index(role), index, start), (life,) if life else ()
        return int(np.random.SeedSequence(entropy, spawn_key=lives).generate_state(1)[0])

    def budget(self) -> Budget:
        """When the run ends and when it is evaluated."""
        offline_updates = math.inf if self.is_offline else self.offline_updates
        num_actors = 0 if self.is_offline else self.num_actors
        per_actor = self.environments_per_actor
        return Budget(self.max_steps, self.max_updates, self.eval_every, num_actors, offline_updates, per_actor)

    def to_json(self) -> str:
        """The experiment as `config.json` has it."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_run_dir(cls, run_dir: pathlib.Path) -> "Experiment":
        """Reads the experiment of a run.

        Raises:
          UserError: the directory holds no run, or one of another version.
        """
        path = run_dir / "config.json"
        if not path.is_file():
            raise errors.UserError(f"{run_dir} is not a run directory: it has no config.json.")
        try:
            fields = json.loads(path.read_text())
            if not isinstance(fields, dict) or not isinstance(fields["agent"], str):
                raise TypeError("it names no agent")
            for name in NOT_OF_THE_EXPERIMENT:
                fields.pop(name, None)
            config = from_dict(registry.load(fields["agent"]).Config, fields.pop("config"))
            base = fields.pop("base", None)
            if base is not None:
                base = Base(base["agent"], from_dict(registry.load(base["agent"]).Config, base["config"]))
            return cls(**fields, config=config, base=base)
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise errors.UserError(f"{path} cannot be read ({error}): it was written by another version.") from error
        except OSError as error:
            raise errors.UserError(f"{path} cannot be read ({error.strerror}).") from error


def _check_cycles(experiment: Experiment) -> None:
    """Checks that an experiment says all of its cycles, or nothing of them.

    Raises:
      UserError: it does not.
    """
    sizes = experiment.cycle_steps, experiment.cycle_updates
    if experiment.cycles is None:
        if sizes != (None, None) or experiment.from_scratch:
            raise errors.UserError(
                "--cycle-steps, --cycle-updates and --from-scratch are of cycles: say how many with --cycles."
            )
        return
    if None in sizes:
        raise errors.UserError("Cycles have a size: give --cycle-steps and --cycle-updates with --cycles.")
    if experiment.max_steps is not None or experiment.max_updates is not None:
        raise errors.UserError(
            "With --cycles the budget is --cycle-steps and --cycle-updates of each: leave --steps and --updates out "
            "(in Python, max_steps=None)."
        )
    if experiment.record is not None:
        raise errors.UserError("The dataset of each cycle is kept in the run directory: leave --record out.")


def from_dict(config_type: Any, values: dict[str, Any]) -> Any:
    """Makes a configuration from its JSON form: lists become tuples, dictionaries nested dataclasses.

    Raises:
      TypeError: a field is unknown.
    """
    hints = typing.get_type_hints(config_type)

    def restore(hint: Any, value: Any) -> Any:
        options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        nested = next((option for option in options if dataclasses.is_dataclass(option)), None)
        if nested is not None and isinstance(value, dict):
            return from_dict(nested, value)
        return tuple(value) if isinstance(value, list) else value

    return config_type(**{name: restore(hints.get(name), value) for name, value in values.items()})
