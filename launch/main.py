"""The command line: `acme-agents train | attach | evaluate | collect | demonstrate | plot | list`."""

import contextlib
import dataclasses
import os
import pathlib
import sys
import textwrap
import traceback
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import tyro

from acme_agents.core import errors
from acme_agents.runtime import background
from launch import faults
from launch.node import Launcher, Options

_DESCRIPTION = """usage: acme-agents COMMAND [OPTIONS]

Distributed reinforcement learning in JAX.

  train AGENT     train an agent in an environment; `acme-agents train mpo --help` lists every option
  attach RUN      watch over a run again whose launcher has died
  evaluate RUN    run the policy of a run directory, and film it with --video
  collect RUN     write episodes of a run directory's policy as a dataset
  demonstrate ENV write episodes of an environment's scripted expert as a dataset
  plot RUN...     draw the learning curves of run directories
  list            list agents and environments
"""


@dataclasses.dataclass(frozen=True)
class Train(Options):
    """Train an agent in an environment."""

    env: str | None = None
    """Environment, as `acme-agents list` has them (default: the one that the dataset is from, where it says so)."""
    launcher: Launcher = "in-process"
    """Where it runs: all in this process, as Launchpad processes of this machine, or of a Ray cluster."""
    dry_run: bool = False
    """With --launcher ray: print where the workers would be placed, and start nothing."""
    actors: int = 1
    """Actor processes; with --launcher in-process there is one actor."""
    steps: int | None = None
    """Environment steps of all actors together (default: 1,000,000; with --updates no limit; with --dataset none)."""
    updates: int | None = None
    """Learner updates; with --steps, whichever ends first."""
    dataset: str | None = None
    """Dataset to learn from: a Minari dataset, a D4RL HDF5 file or an RL Unplugged TFRecord set."""
    offline_updates: int = 0
    """With --dataset and --steps: updates on the dataset alone before the actors begin."""
    dataset_share: float | None = None
    """With --dataset and --steps: the share of each batch that is drawn from the dataset, once the actors act (default:
    what the agent says, else 0.5)."""
    keep_good: float = 1.0
    """Fraction of the dataset's good episodes to learn from (RL Unplugged: a third); the others are all kept."""
    good_return: float | None = None
    """Return from which an episode is good (default: halfway between the dataset's lowest and highest)."""
    teacher: str | None = None
    """Run directory whose policy teaches, for agents that learn from one."""
    record: str | None = None
    """Where to write the run's whole history when it ends, as a Minari dataset."""
    seed: int = 0
    """Seed of everything random."""
    run_dir: pathlib.Path | None = None
    """Run directory (default: runs/AGENT-ENVIRONMENT-TIME)."""
    resume: bool = False
    """Continue the run in --run-dir from its newest checkpoint; what is not given is as it was."""
    eval_every: int = 10_000
    """Environment steps between evaluations, each offline update counting as one; 0 for none."""
    eval_episodes: int = 10
    """Episodes of each evaluation."""
    max_episode_steps: int | None = None
    """Steps after which an episode is cut short, of actors and in evaluations (default: the environment's own limit;
    where it declares none, an evaluation's after 10,000)."""
    checkpoint_seconds: float = 120.0
    """Seconds between checkpoints."""
    keep_checkpoints: int = 2
    """Newest checkpoints that are kept, at least 2: a damaged one is skipped for the one before it."""
    keep_every: int | None = None
    """Updates; the first checkpoint at or after each multiple of it is kept too, for good."""
    config: Any = None
    """Configuration of the agent."""


@dataclasses.dataclass(frozen=True)
class Attach:
    """Watch over a run again whose launcher has died: as if it had not, Ctrl-C included."""

    run_dir: tyro.conf.Positional[pathlib.Path]
    """Run directory."""


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Run the deterministic policy of a run's newest checkpoint."""

    run_dir: tyro.conf.Positional[pathlib.Path]
    """Run directory."""
    episodes: int = 10
    """Episodes to run."""
    seed: int = 0
    """Seed of the environment."""
    video: pathlib.Path | None = None
    """File to film the episodes to, .mp4 or .gif; needs a GL library."""
    config: Any = None
    """Configuration of the agent, as it was unless given: such as the trade-off of a conditioned policy."""


@dataclasses.dataclass(frozen=True)
class Collect:
    """Write episodes of the policy of a run's newest checkpoint as a Minari dataset."""

    run_dir: tyro.conf.Positional[pathlib.Path]
    """Run directory."""
    dataset: pathlib.Path
    """Directory to write the dataset to."""
    steps: int = 10_000
    """Environment steps at least: whole episodes are written until there are so many."""
    explore: bool = False
    """Act as the run's actors do, rather than as its evaluator."""
    seed: int = 0
    """Seed of the environment."""
    config: Any = None
    """Configuration of the agent, as it was unless given: such as the trade-off of a conditioned policy."""


@dataclasses.dataclass(frozen=True)
class Demonstrate:
    """Write episodes of an environment's scripted expert as a Minari dataset."""

    env: tyro.conf.Positional[str]
    """Environment that has an expert: deep-sea:N or key-door:N."""
    dataset: pathlib.Path
    """Directory to write the dataset to."""
    episodes: int = 50
    """Episodes to write."""
    random_actions: float = 0.0
    """Chance of each action to be a uniformly random one instead of the expert's."""
    seed: int = 0
    """Seed of the environment and of the random actions."""


@dataclasses.dataclass(frozen=True)
class Plot:
    """Draw learning curves: the runs of one agent, environment and configuration are one curve with an interval."""

    run_dirs: tyro.conf.Positional[tuple[pathlib.Path, ...]]
    """Run directories."""
    output: Annotated[pathlib.Path, tyro.conf.arg(aliases=["-o"])]
    """Figure to write: .png, .pdf or .svg."""
    metric: str = "episode_return"
    """Column to draw."""
    table: Literal["evaluator", "actor", "learner"] = "evaluator"
    """Table of the run directory that has it."""
    x: Literal["actor_steps", "learner_steps", "walltime"] | None = None
    """Column of the horizontal axis (default: environment steps, or updates where nobody acted)."""


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command line; exits with 0, or with 2 and one sentence on standard error for what the user can mend.

    Any other exception is shown with the frames of the user's own code, and the exit code is 1.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    sys.path.append(os.getcwd())  # so that a module of the user's can be named as an agent
    commands = {
        "train": _train,
        "attach": _attach,
        "evaluate": _evaluate,
        "collect": _collect,
        "demonstrate": _demonstrate,
        "plot": _plot,
        "list": _list,
    }
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_DESCRIPTION, end="")
        sys.exit(0 if arguments else 2)
    code = 0
    try:
        if arguments[0] not in commands:
            raise errors.UserError(f"Unknown command {arguments[0]!r}: choose {', '.join(commands)}.")
        commands[arguments[0]](arguments[1:])
    except Exception as error:
        print(f"error: {faults.report(error)}", file=sys.stderr)
        if faults.sentence(error) is None:
            log = faults.log_of(error)
            print(f"The full trace is in {log}." if log else traceback.format_exc(), file=sys.stderr)
        code = 2 if faults.is_mendable(error) else 1
    except KeyboardInterrupt:
        code = 130
    if background.is_busy():  # It compiles what nobody waits for any more, which Python would.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    if code:
        sys.exit(code)


def _train(arguments: list[str]) -> None:
    from acme_agents.experiments import Experiment, agents
    from launch.run import run

    if arguments and arguments[0] in ("-h", "--help"):
        print(
            f"usage: acme-agents train AGENT --env ENVIRONMENT [OPTIONS]\n\nagents: {', '.join(agents.AGENTS)}, or any"
        )
        print("module that offers one; `acme-agents train mpo --help` lists every option")
        return
    if not arguments or arguments[0].startswith("-"):
        raise errors.UserError(
            f"Name an agent: acme-agents train AGENT --env ENVIRONMENT; there is {', '.join(agents.AGENTS)}."
        )
    agent, *flags = arguments
    config_type = agents.load(agent).Config
    typed = _with_config(Train, config_type())
    program = f"acme-agents train {agent}"
    train = tyro.cli(typed, prog=program, args=flags)
    if train.resume and train.run_dir is not None:  # What is not given is then as it was.
        before = Experiment.from_run_dir(train.run_dir)
        if before.agent == agent:
            train = tyro.cli(typed, prog=program, args=flags, default=typed(**_flags(before)))
    experiment = _experiment(agent, train)
    options = Options(**{field.name: getattr(train, field.name) for field in dataclasses.fields(Options)})
    if train.dry_run:
        from launch import cluster

        print(cluster.dry_run(experiment, options))
        return
    _say(run(experiment, launcher=train.launcher, run_dir=train.run_dir, resume=train.resume, options=options))


def _attach(arguments: list[str]) -> None:
    from launch.run import attach

    _say(attach(tyro.cli(Attach, prog="acme-agents attach", args=arguments).run_dir))


def _say(result: Any) -> None:
    """Says how a run ended."""
    from acme_agents.runtime import checkpoint

    if not result.finished and not checkpoint.steps(result.run_dir / checkpoint.DIRECTORY):
        print(f"stopped before there was anything to save in {result.run_dir}; begin again with another --run-dir")
    elif not result.finished:
        print(f"stopped; continue with --run-dir {result.run_dir} --resume")
    elif result.evaluation_return is not None:
        print(f"final evaluation return {result.evaluation_return:.1f}; run directory {result.run_dir}")
    else:
        print(f"finished; run directory {result.run_dir}")


# The fields of an experiment whose flag has another name.
_FLAGS = {"environment": "env", "num_actors": "actors", "max_steps": "steps", "max_updates": "updates"}


def _experiment(agent: str, train: Any) -> Any:
    """The experiment that the flags describe."""
    from acme_agents import datasets
    from acme_agents.experiments import Experiment

    names = [field.name for field in dataclasses.fields(Experiment) if field.name != "agent"]
    fields = {name: getattr(train, _FLAGS.get(name, name)) for name in names}
    if train.dataset is not None and train.env is None:
        fields["environment"] = datasets.environment(train.dataset)
    if fields["environment"] is None:
        told = f" ({train.dataset} does not say which it is from)" if train.dataset is not None else ""
        raise errors.UserError(f"Name an environment{told}: --env ENVIRONMENT; `acme-agents list` has them.")
    if train.steps is None and train.dataset is not None:
        fields["max_steps"] = 0
    elif train.steps is None and train.updates is None:
        fields["max_steps"] = Experiment.max_steps
    return Experiment(agent=agent, **fields)


def _flags(experiment: Any) -> dict[str, Any]:
    """The flags that would give an experiment, its agent aside."""
    fields = {field.name: getattr(experiment, field.name) for field in dataclasses.fields(experiment)}
    return {_FLAGS.get(name, name): value for name, value in fields.items() if name != "agent"}


def _with_config(options: Any, config: Any) -> Any:
    """The options of a command, with `config` and its fields as the default of theirs."""
    field = ("config", type(config), dataclasses.field(default_factory=lambda: config))
    typed = dataclasses.make_dataclass(options.__name__, [field], bases=(options,), frozen=True)
    typed.__doc__ = options.__doc__
    return typed


def _of_run(options: Any, arguments: list[str]) -> Any:
    """Parses the options of a command whose first argument is a run directory, whose configuration they may change."""
    from acme_agents.experiments import Experiment

    if arguments and (pathlib.Path(arguments[0]) / "config.json").is_file():
        options = _with_config(options, Experiment.from_run_dir(pathlib.Path(arguments[0])).config)
    return tyro.cli(options, prog=f"acme-agents {options.__name__.lower()}", args=arguments)


def _evaluate(arguments: list[str]) -> None:
    from acme_agents.runtime import compilation
    from launch.evaluate import evaluate

    compilation.use_cache(None)
    options = _of_run(Evaluate, arguments)
    returns = evaluate(
        options.run_dir, episodes=options.episodes, seed=options.seed, video=options.video, config=options.config
    )
    for i, (mean, std) in enumerate(zip(returns.mean(axis=1), returns.std(axis=1))):
        objective = f" of objective {i + 1}" if len(returns) > 1 else ""
        episodes = f"over {returns.shape[1]} episodes"
        print(f"episode return{objective} {mean:.1f}, standard deviation {std:.1f}, {episodes}")


def _collect(arguments: list[str]) -> None:
    from acme_agents.runtime import compilation
    from launch.collect import collect

    compilation.use_cache(None)
    options = _of_run(Collect, arguments)
    returns = collect(
        options.run_dir,
        options.dataset,
        steps=options.steps,
        explore=options.explore,
        seed=options.seed,
        config=options.config,
    )
    print(f"{options.dataset}: {len(returns)} episodes, mean return {returns.mean():.1f}")


def _demonstrate(arguments: list[str]) -> None:
    from launch.demonstrate import demonstrate

    options = tyro.cli(Demonstrate, prog="acme-agents demonstrate", args=arguments)
    returns = demonstrate(
        options.env,
        options.dataset,
        episodes=options.episodes,
        random_actions=options.random_actions,
        seed=options.seed,
    )
    print(f"{options.dataset}: {len(returns)} episodes, mean return {returns.mean():.2f}")


def _plot(arguments: list[str]) -> None:
    from launch.plot import plot

    options = tyro.cli(Plot, prog="acme-agents plot", args=arguments)
    plot(list(options.run_dirs), options.output, metric=options.metric, table=options.table, x=options.x)
    print(options.output)


def _list(arguments: list[str]) -> None:
    import environments
    from acme_agents.experiments import agents

    if arguments:
        raise errors.UserError(f"list takes no arguments, not {' '.join(arguments)}.")
    with contextlib.suppress(BrokenPipeError):  # as under `| head`
        print("agents:")
        for name in agents.AGENTS:
            print(f"  {name:<12} {(agents.load(name).__doc__ or '').splitlines()[0]}")
        print("environments:")
        names = environments.names()
        games = [name.removeprefix("ale:") for name in names if name.startswith("ale:")]
        open_ended = (
            f"ale:GAME (Atari) of {', '.join(games)}",
            "deep-sea:N (bsuite's deep sea of N x N cells, or deep-sea:N:stochastic)",
            "key-door:N (a memory task on N x N cells)",
            "gym:ID (any Gymnasium environment)",
        )
        for name in (*(name for name in names if not name.startswith("ale:")), *open_ended):
            print(textwrap.fill(name, 118, initial_indent="  ", subsequent_indent="      "))


if __name__ == "__main__":
    main()
