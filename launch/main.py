"""The command line: `acme-agents train | resume | attach | evaluate | collect | dataset | benchmark | ...`."""

import dataclasses
import os
import pathlib
import shlex
import shutil
import sys
import textwrap
import traceback
from collections.abc import Sequence
from typing import Any

import tyro

import acme_agents
from acme_agents.core import errors
from acme_agents.experiments import registry
from acme_agents.launch import commands, config_file, faults, parsing, surroundings
from acme_agents.launch.options import Options
from acme_agents.runtime import background

_NAME = "acme-agents"
_DESCRIPTION = """usage: acme-agents COMMAND [OPTIONS]

Distributed reinforcement learning in JAX.

  train AGENT     train an agent in an environment; `acme-agents train mpo --help` lists every option
  train BONUS --base.agent AGENT
                  train an agent that is paid for exploring too
  resume RUN      continue a run as it was, or with other options
  attach RUN      watch over a run again whose launcher has died
  evaluate RUN    run the policy of a run directory, and film it with --video
  collect RUN     write episodes of a run directory's policy as a dataset
  demonstrate ENV write episodes of an environment's scripted expert as a dataset
  dataset DATASET say what is in a dataset, draw its histograms, and write it in another format
  new NAME        begin an agent of your own, in a folder of that name
  check AGENT     check an agent, or with --env an environment, for what every one must do
  benchmark SUITE run agents on a suite of tasks with several seeds, and report on them
  runs [DIR]      list the runs below a directory, with state, progress, return and speed
  diagnose-credit AGENT...
                  find out what makes it hard for agents to assign credit
  plot RUN...     draw the learning curves of run directories
  list            list agents, bonuses and environments
  --version       print the version, and the commit of a checkout
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command line; exits with 0, or with 2 and one sentence on standard error for what the user can mend.

    Any other exception is shown with the frames of the user's own code, and the exit code is 1.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    functions = {
        "train": _train,
        "resume": _resume,
        "attach": _attach,
        "evaluate": _evaluate,
        "collect": _collect,
        "demonstrate": _demonstrate,
        "dataset": _dataset,
        "new": _new,
        "check": _check,
        "benchmark": _benchmark,
        "runs": _runs,
        "diagnose-credit": _diagnose_credit,
        "plot": _plot,
        "list": _list,
    }
    code = 0
    try:
        surroundings.prepare()
        sys.path.append(os.getcwd())  # so that a module of the user's can be named as an agent
        with surroundings.reader_may_go():
            if not arguments or arguments[0] in ("-h", "--help"):
                print(_DESCRIPTION, end="")
                sys.exit(0 if arguments else 2)
            if arguments[0] == "--version":
                print(_version())
                return
            if arguments[0] not in functions:
                raise errors.UserError(f"Unknown command {arguments[0]!r}: choose {', '.join(functions)}.")
            functions[arguments[0]](arguments[1:])
    except Exception as error:
        print(f"error: {faults.report(error)}", file=sys.stderr)
        if faults.sentence(error) is None:
            log = faults.log_of(error)
            print(f"The full trace is in {log}." if log else traceback.format_exc(), file=sys.stderr)
        code = 2 if faults.is_mendable(error) else 1
    except KeyboardInterrupt:
        code = 130
    if background.is_busy():  # A compilation goes on that is no longer wanted; Python would wait for it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    if code:
        sys.exit(code)


def _train(arguments: list[str]) -> None:
    if arguments and arguments[0] in ("-h", "--help"):
        print(
            "usage: acme-agents train AGENT --env ENVIRONMENT [OPTIONS]\n"
            "       acme-agents train BONUS --base.agent AGENT --env ENVIRONMENT [OPTIONS]\n\n"
            f"agents: {', '.join(registry.AGENTS)}, or any module that offers one\n"
            f"bonuses, which go around an agent: {', '.join(registry.BONUSES)}"
        )
        print("`acme-agents train mpo --help` lists every option")
        return
    if not arguments or arguments[0].startswith("-"):
        raise errors.UserError(
            f"Name an agent: acme-agents train AGENT --env ENVIRONMENT; there is {', '.join(registry.AGENTS)}."
        )
    agent, *flags = arguments
    path = parsing.values_of(flags, "--config-file")["config_file"]
    if path is not None:
        flags = [*config_file.flags(pathlib.Path(path), agent), *flags]  # What is given in both is as the flag says.
    base = parsing.base_of(agent, flags)
    if base is None and registry.is_bonus(agent) and {"-h", "--help"} & set(flags):
        print(
            f"usage: acme-agents train {agent} --base.agent AGENT --env ENVIRONMENT [OPTIONS]\n\n"
            f"agents that it can go around: {', '.join(registry.BASES)}, or any module that offers one\n"
            f"`acme-agents train {agent} --base.agent dqn --help` lists every option"
        )
        return
    registry.check_base(agent, None if base is None else base.agent)
    typed = parsing.with_config(commands.Train, registry.load(agent).Config(), base)
    program = f"acme-agents train {agent}"
    train = tyro.cli(typed, prog=program, args=flags)
    if train.resume and train.run_dir is not None:  # What is not given is then as it was.
        before, said = parsing.as_it_was(train.run_dir)
        named = {"agent": (before, agent)}
        if base is not None and "base" in said:
            named["base.agent"] = (said["base"].agent, base.agent)
        for what, (old, new) in named.items():
            if old != new:
                raise errors.UserError(
                    f"{train.run_dir} is a run with {what} {old!r}, not {new!r}: leave that, or begin another run."
                )
        train = tyro.cli(typed, prog=program, args=flags, default=parsing.with_defaults(typed, said))
    _run(agent, train)


def _resume(arguments: list[str]) -> None:
    usage = "acme-agents resume RUN_DIR [OPTIONS]"
    if arguments and arguments[0] in ("-h", "--help"):
        print(f"usage: {usage}\n\n{commands.Resume.__doc__}\n`acme-agents resume RUN_DIR --help` lists every option.")
        return
    if not arguments or arguments[0].startswith("-"):
        raise errors.UserError(f"Name the directory of a run: {usage}.")
    run_dir = pathlib.Path(arguments[0])
    agent, said = parsing.as_it_was(run_dir)
    typed = parsing.with_config(commands.Resume, said["config"], said.get("base"))
    default = parsing.with_defaults(typed, said | {"run_dir": run_dir})
    _run(agent, tyro.cli(typed, prog=f"acme-agents resume {run_dir}", args=arguments[1:], default=default))


def _run(agent: str, train: Any) -> None:
    """Runs what the flags describe, or says where it would run."""
    from acme_agents.launch.run import run

    if train.dry_run and (train.launcher != "ray" or train.address is None):
        raise errors.UserError(
            "--dry-run says where the workers would be placed on a Ray cluster: give --launcher ray and --address "
            "HOST:PORT."
        )
    experiment = parsing.to_experiment(agent, train)
    options = Options(**{field.name: getattr(train, field.name) for field in dataclasses.fields(Options)})
    if train.dry_run:
        from acme_agents.launch import room

        print(room.dry_run(experiment, options))
        return
    _say(run(experiment, launcher=train.launcher, run_dir=train.run_dir, resume=train.resume, options=options))


def _attach(arguments: list[str]) -> None:
    from acme_agents.launch.run import attach

    _say(attach(tyro.cli(commands.Attach, prog="acme-agents attach", args=arguments).run_dir))


def _say(result: Any) -> None:
    """Says how a run ended."""
    from acme_agents.launch import run_dir as run_dir_lib

    run_dirs = run_dir_lib.of_seeds(result.run_dir)
    if not result.finished and not all(map(run_dir_lib.can_go_on, run_dirs)):
        print(f"stopped before there was anything to save in {result.run_dir}; begin again with another --run-dir")
    elif not result.finished:
        print(f"stopped; continue with: {_program()} resume {shlex.quote(str(result.run_dir))}")
    elif result.evaluation_return is not None:
        print(f"final evaluation return {result.evaluation_return:.1f}; run directory {result.run_dir}")
    else:
        print(f"finished; run directory {result.run_dir}")


def _program() -> str:
    """How this command line is called, to be pasted into the shell that it was called from."""
    called = sys.argv[0]
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.name == __spec__.name:
        return f"{shlex.quote(sys.executable)} -m {spec.name}"
    found = shutil.which(_NAME)
    is_found = found is not None and os.path.exists(called) and os.path.samefile(found, called)
    return _NAME if is_found or os.path.basename(called) != _NAME else shlex.quote(called)


def _version() -> str:
    from acme_agents.launch import versions

    commit = versions.commit()
    return f"{_NAME} {acme_agents.__version__}" + (f" ({commit})" if commit else "")


def _of_run(options: Any, arguments: list[str]) -> Any:
    """Parses the options of a command that runs the policy of a run directory, whose configuration they may change."""
    from acme_agents.experiments import Experiment
    from acme_agents.runtime import compilation

    compilation.use_cache(None)
    if arguments and (pathlib.Path(arguments[0]) / "config.json").is_file():
        experiment = Experiment.from_run_dir(pathlib.Path(arguments[0]))
        options = parsing.with_config(options, experiment.config, experiment.base)
    return tyro.cli(options, prog=f"acme-agents {options.__name__.lower()}", args=arguments)


def _evaluate(arguments: list[str]) -> None:
    from acme_agents.launch.evaluate import evaluate

    options = _of_run(commands.Evaluate, arguments)
    returns = evaluate(
        options.run_dir,
        episodes=options.episodes,
        seed=options.seed,
        video=options.video,
        config=options.config,
        base=parsing.chosen_base(options),
    )
    for i, (mean, std) in enumerate(zip(returns.mean(axis=1), returns.std(axis=1))):
        objective = f" of objective {i + 1}" if len(returns) > 1 else ""
        episodes = f"over {returns.shape[1]} episodes"
        print(f"episode return{objective} {mean:.1f}, standard deviation {std:.1f}, {episodes}")


def _collect(arguments: list[str]) -> None:
    from acme_agents.launch.collect import collect

    options = _of_run(commands.Collect, arguments)
    returns = collect(
        options.run_dir,
        options.dataset,
        steps=options.steps,
        explore=options.explore,
        seed=options.seed,
        config=options.config,
        base=parsing.chosen_base(options),
    )
    print(f"{options.dataset}: {len(returns)} episodes, mean return {returns.mean():.1f}")


def _demonstrate(arguments: list[str]) -> None:
    from acme_agents.launch.demonstrate import demonstrate

    options = tyro.cli(commands.Demonstrate, prog="acme-agents demonstrate", args=arguments)
    returns = demonstrate(
        options.env,
        options.dataset,
        episodes=options.episodes,
        random_actions=options.random_actions,
        seed=options.seed,
    )
    print(f"{options.dataset}: {len(returns)} episodes, mean return {returns.mean():.2f}")


def _dataset(arguments: list[str]) -> None:
    from acme_agents.launch.dataset import inspect

    options = tyro.cli(commands.Dataset, prog="acme-agents dataset", args=arguments)
    for line in inspect(options.path, output=options.output, convert=options.convert, to=options.to, env=options.env):
        print(line, flush=True)


def _new(arguments: list[str]) -> None:
    from acme_agents.launch.new import new

    options = tyro.cli(commands.New, prog="acme-agents new", args=arguments)
    for line in new(options.name, options.like, pathlib.Path()):
        print(line)


def _check(arguments: list[str]) -> None:
    from acme_agents.launch import check
    from acme_agents.runtime import compilation
    from acme_agents.testing import conformance

    agent, flags, typed = None, arguments, commands.Check
    usage = "acme-agents check AGENT [OPTIONS] or acme-agents check --env ENVIRONMENT"
    if arguments and not arguments[0].startswith("-"):
        agent, *flags = arguments
        base = parsing.base_of(agent, flags)
        registry.check_base(agent, None if base is None else base.agent)
        if base is not None:
            base = dataclasses.replace(base, config=conformance.small(base.config))
        typed = parsing.with_config(commands.Check, conformance.small(registry.load(agent).Config()), base)
    options = tyro.cli(typed, prog=f"acme-agents check {agent or ''}".rstrip(), args=flags)
    compilation.use_cache(None)
    if agent is None:
        if options.env is None:
            raise errors.UserError(f"Name what is to be checked: {usage}.")
        lines = check.check_environment(options.env, steps=options.steps, max_episode_steps=options.max_episode_steps)
    else:
        around = parsing.chosen_base(options)
        lines = check.check_agent(
            agent,
            options.config,
            environment=options.env,
            form_only=options.form_only,
            value=options.value,
            max_updates=options.updates,
            base=None if around is None else registry.load(around.agent).make(around.config),
        )
    failed = 0
    for line in lines:
        print(line.text, flush=True)
        failed += line.failed
    print(f"{failed} failed" if failed else "all passed")
    if failed:
        sys.exit(1)


def _benchmark(arguments: list[str]) -> None:
    from acme_agents.launch.benchmark.command import benchmark

    options = tyro.cli(commands.Benchmark, prog="acme-agents benchmark", args=arguments)
    failed = benchmark(options, say=lambda line: print(line, flush=True), program=_program())
    if failed:
        sys.exit(1)


def _runs(arguments: list[str]) -> None:
    from acme_agents.launch import runs

    options = tyro.cli(commands.Runs, prog="acme-agents runs", args=arguments)
    found = runs.find(options.directory)
    for line in runs.lines(found, options.directory) if found else (f"There is no run below {options.directory}.",):
        print(line)


def _diagnose_credit(arguments: list[str]) -> None:
    from acme_agents.launch.credit.command import diagnose

    options = tyro.cli(commands.DiagnoseCredit, prog="acme-agents diagnose-credit", args=arguments)
    if diagnose(options, say=lambda line: print(line, flush=True), program=_program()):
        sys.exit(1)


def _plot(arguments: list[str]) -> None:
    from acme_agents.launch.plot import plot

    options = tyro.cli(commands.Plot, prog="acme-agents plot", args=arguments)
    notes = plot(list(options.run_dirs), options.output, metric=options.metric, table=options.table, x=options.x)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(options.output)


def _list(arguments: list[str]) -> None:
    from acme_agents import environments

    if arguments:
        raise errors.UserError(f"list takes no arguments, not {' '.join(arguments)}.")
    print("agents:")
    for name in registry.AGENTS:
        print(f"  {name:<12} {(registry.load(name).__doc__ or '').splitlines()[0]}")
    print("bonuses, which go around an agent:")
    for name in registry.BONUSES:
        print(f"  {name:<12} {(registry.load(name).__doc__ or '').splitlines()[0]}")
    print("environments:")
    names = environments.names()
    games = [name.removeprefix("ale:") for name in names if name.startswith("ale:")]
    open_ended = (
        f"ale:GAME (Atari) of {', '.join(games)}",
        "deep-sea:N (bsuite's deep sea of N x N cells, or deep-sea:N:stochastic)",
        "key-door:N (a memory task on N x N cells)",
        "gym:ID (any Gymnasium environment)",
        "scaled:FACTOR:NAME, repeat:N:NAME, delayed:MILLISECONDS:NAME, persistive:NAME, energy:NAME (others, wrapped)",
    )
    for name in (*(name for name in names if not name.startswith("ale:")), *open_ended):
        print(textwrap.fill(name, 118, initial_indent="  ", subsequent_indent="      "))


if __name__ == "__main__":
    main()
