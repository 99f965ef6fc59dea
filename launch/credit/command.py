"""`acme-agents diagnose-credit`: a benchmark whose tasks are those of some knobs, with a report of its own."""

import pathlib
from collections.abc import Callable, Mapping, Sequence

from acme_agents.core import errors
from acme_agents.environments import credit
from acme_agents.experiments import registry
from acme_agents.launch.benchmark import command
from acme_agents.launch.benchmark.plan import Plan
from acme_agents.launch.commands import Benchmark, DiagnoseCredit
from acme_agents.launch.credit import knobs, report


def diagnose(options: DiagnoseCredit, *, say: Callable[[str], None], program: str = "acme-agents") -> bool:
    """Runs what is missing of a diagnosis, and writes its report; arguments, result and errors are `benchmark`'s."""
    before = None if options.output is None else Plan.read(options.output)
    if before is not None and not all(map(knobs.is_task, before.tasks)):
        raise errors.UserError(f"{options.output} is a benchmark of other tasks: choose another --output.")
    if before is None and not options.agents and not options.report_only:
        raise errors.UserError(
            f"Name an agent: {program} {_NAME} AGENT... --output DIR; there is {', '.join(registry.AGENTS)}."
        )
    values = _values(options, before)
    launcher = options.launcher or (None if before else "fused")
    planned = Benchmark(
        output=options.output,
        agents=options.agents,
        tasks=tuple(knobs.tasks(values)),
        seeds=options.seeds,
        steps=options.steps or (None if before else _STEPS),
        eval_every=options.eval_every or (None if before else max(1, (options.steps or _STEPS) // _EVALUATIONS)),
        eval_episodes=options.eval_episodes or (None if before else _EPISODES),
        launcher=launcher,
        environments_per_actor=options.environments_per_actor or (None if before else _ENVIRONMENTS),
        seeds_per_run=(options.seeds or _SEEDS) if launcher == "fused" and not before else None,
        parallel=options.parallel,
        checkpoint_seconds=options.checkpoint_seconds,
        compilation_cache=options.compilation_cache,
        report_only=options.report_only,
    )
    return command.carry_out(planned, say=say, again=f"{program} {_NAME}", write=_write)


_NAME = "diagnose-credit"
_STEPS = 30_000
_EVALUATIONS = 10
_EPISODES = 16  # two for each cue, in the mean
_ENVIRONMENTS = 8
_SEEDS = 3


def _values(options: DiagnoseCredit, before: Plan | None) -> Mapping[str, Sequence[float]]:
    """Knob -> the values that are to be diagnosed, beside those that there are."""
    given = {knob: getattr(options, knob) for knob in knobs.KNOBS}
    if before is not None or any(each is not None for each in given.values()):
        values = {knob: each for knob, each in given.items() if each is not None}
    else:
        values = {knob: each.values for knob, each in knobs.KNOBS.items()}
    for task in knobs.tasks(values):
        problem = credit.problem(task.removeprefix("credit:"))
        if problem:
            raise errors.UserError(f"There is no task {task}: {problem}")
    return values


def _write(plan: Plan, directory: pathlib.Path) -> pathlib.Path:
    return report.write(plan, directory, _command(plan))


def _command(plan: Plan) -> str:
    """The command line that makes a plan, without its output."""
    agents = " ".join(variant.text for variant in plan.agents)
    turned = " ".join(
        f"--{knob} {' '.join(f'{value:g}' for value in values)}" for knob, values in knobs.of_tasks(plan.tasks).items()
    )
    common = {
        "seeds": len(plan.seeds),
        "steps": plan.steps,
        "eval-every": plan.eval_every,
        "eval-episodes": plan.eval_episodes,
        "launcher": plan.launcher,
        "environments-per-actor": plan.environments_per_actor,
    }
    return f"acme-agents {_NAME} {agents} {turned} " + " ".join(f"--{name} {value}" for name, value in common.items())
