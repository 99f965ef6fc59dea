"""The report of a benchmark, complete or not: `report.html`, one page with all in itself, and `report.md`."""

import collections
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import NamedTuple

from acme_agents.core import files
from acme_agents.launch.benchmark import aggregates, document, figures, outcomes, results, suites
from acme_agents.launch.benchmark.document import Block, Bullets, Figure, Heading, Paragraph, Table
from acme_agents.launch.benchmark.plan import Plan
from acme_agents.launch.benchmark.results import Result

_PAGE, _TEXT, _FIGURES = "report.html", "report.md", "figures"
_BEHIND = 2 / 3  # of the way from the lowest score to the reference: what is below it is listed
_NOT_OF_STARTS = ("date", "commit")  # what `config.json` says of a start beside versions


class _Evidence(NamedTuple):
    """What the sections of a report are made of."""

    plan: Plan
    runs: list[Result]
    scores: dict[str, dict[str, list[float]]]  # task -> label -> one for each seed that has finished
    means: dict[tuple[str, str], aggregates.Interval]
    bounds: dict[str, suites.Bounds]
    figures: pathlib.Path


def write(plan: Plan, directory: pathlib.Path) -> pathlib.Path:
    """Writes the report of what there is, and says what is missing.

    Args:
      plan: the benchmark's.
      directory: the benchmark's.

    Returns:
      The path of the page.

    Raises:
      UserError: a file of a run cannot be read.
    """
    runs = results.read(plan, directory)
    scores = results.by_task(runs)
    evidence = _Evidence(plan, runs, scores, aggregates.means(scores), aggregates.bounds(scores), directory / _FIGURES)
    sections = (_scores, _aggregates, _curves, _costs, _each_run)
    blocks = [*_summary(evidence), *(block for section in sections for block in section(evidence))]
    blocks += origin(plan, runs, plan.command())
    title = f"Benchmark {plan.title}: {plan.steps:,} environment steps"
    for name, text in ((_PAGE, document.page(title, blocks)), (_TEXT, document.markdown(title, blocks))):
        files.write_whole(directory / name, text)
    return directory / _PAGE


def _summary(evidence: _Evidence) -> list[Block]:
    plan, runs = evidence.plan, evidence.runs
    done = sum(run.is_finished for run in runs)
    said = f"{_count(len(plan.agents), 'agent')} on {_count(len(plan.tasks), 'task')} with "
    said += f"{_count(len(plan.seeds), 'seed')} each. "
    if done == len(runs):
        said += f"All {_count(len(runs), 'run')} have finished."
    else:
        states = collections.Counter(_state(run) for run in runs)
        rest = ", ".join(f"{number} {state}" for state, number in states.items() if state != outcomes.FINISHED)
        said += f"**This report is incomplete: {done} of {len(runs)} runs have finished** ({rest})."
    defined = (
        f"A score is the mean episode return of the evaluations in the last tenth of a run: {plan.eval_episodes} "
        f"episodes each of the policy without exploration, every {plan.eval_every:,} steps. Brackets have 95% "
        "bootstrap confidence intervals over the seeds. Runs that have not finished have no score."
    )
    variants = [
        f"`{variant.label}` is the agent `{variant.agent}` with "
        + ", ".join(f"`{field}={value}`" for field, value in variant.settings)
        for variant in plan.agents
        if variant.settings
    ]
    return [Paragraph(said), Paragraph(defined), *([Bullets(variants)] if variants else [])]


def _scores(evidence: _Evidence) -> list[Block]:
    plan = evidence.plan
    ours = {variant.agent for variant in plan.agents}
    published = {task: suites.published(task, plan.steps) for task in plan.tasks}
    # Sources in the order of the agents that they stand beside; then the highest of all other agents, in one column.
    beside = list(dict.fromkeys(_source(p) for each in published.values() for p in each if p.ours in ours))
    others = {
        task: max((p for p in each if p.ours is None), key=lambda p: p.mean, default=None)
        for task, each in published.items()
    }
    rest = list(dict.fromkeys(_source(p) for p in others.values() if p))
    numbers = {source: i + 1 for i, source in enumerate([*beside, *rest])}
    columns = ["task", *(variant.label for variant in plan.agents)]
    columns += [f"{source[0]} [{numbers[source]}]" for source in beside] + (["highest of others"] if rest else [])
    rows = []
    for group, tasks in plan.groups.items():
        if len(plan.groups) > 1:
            rows.append([group])
        for task in tasks:
            by_source = {_source(p): p for p in published[task]}
            row = [task, *(_cell(evidence, task, variant.label) for variant in plan.agents)]
            row += [_spread(by_source[source]) if source in by_source else "-" for source in beside]
            if rest:
                other = others[task]
                row.append(f"{other.agent} {_spread(other)} [{numbers[_source(other)]}]" if other else "-")
            rows.append(row)
    blocks: list[Block] = [
        Heading("Scores"),
        Table(columns, rows, aside=len(beside) + bool(rest)),
        Paragraph(f"Here an action lasts {_repeats(plan.tasks)}."),
    ]
    if not numbers:
        return [*blocks, Paragraph("For these tasks and this number of steps no published score is known.")]
    about = {_source(p): p for each in published.values() for p in each}
    blocks += [
        Paragraph("Published, after as many environment steps, mean ± standard deviation of the seeds:"),
        Bullets([f"[{number}] {_about(about[source])}" for source, number in numbers.items()]),
    ]
    behind = _behind(evidence, published, numbers)
    if behind:
        blocks += [Paragraph("**More than a third behind a published score of the same agent:**"), Bullets(behind)]
    return blocks


def _behind(
    evidence: _Evidence, published: Mapping[str, Sequence[suites.Published]], numbers: Mapping[tuple, int]
) -> list[str]:
    found = []
    for task, references in published.items():
        known = suites.bounds(task)
        for variant in evidence.plan.agents:
            interval = evidence.means.get((task, variant.label))
            if interval is None or known is None:
                continue
            missed = [
                f"{reference.agent} {_spread(reference)} [{numbers[_source(reference)]}]"
                for reference in references
                if reference.ours == variant.agent
                and interval.value < known.low + _BEHIND * (reference.mean - known.low)
            ]
            if missed:
                found.append(f"{variant.label} on {task}: {_number(interval.value)}; {', '.join(missed)}")
    return found


def _aggregates(evidence: _Evidence) -> list[Block]:
    plan = evidence.plan
    whole = aggregates.complete(evidence.scores, evidence.bounds)
    blocks: list[Block] = [Heading("Aggregates")]
    if whole is None:
        return [*blocks, Paragraph("No task has a finished run of each agent yet.")]
    absent = [variant.label for variant in plan.agents if variant.label not in whole.scores]
    covered = f"Over {_count(len(whole.tasks), 'task')}"
    covered += f" of {len(plan.tasks)}" if len(whole.tasks) < len(plan.tasks) else ""
    covered += f", {_count(whole.seeds, 'seed')} each"
    covered += f"; without {', '.join(absent)}, of which nothing has finished" if absent else ""
    blocks.append(
        Paragraph(
            f"{covered}. IQM is the mean of the middle half of all runs; the optimality gap is the mean distance of "
            "what is below 1 from it. Intervals are of the bootstrap stratified by task "
            f"(rliable {metadata.version('rliable')}; Agarwal et al. 2021, arXiv 2108.13264)."
        )
    )
    if whole.seeds == 1:
        blocks.append(Paragraph("**With one seed there is nothing to draw from: these intervals say nothing.**"))
    found = aggregates.aggregate(whole.scores)
    blocks.append(_aggregate_table(found))
    figures.intervals(evidence.figures / "aggregates.png", found)
    blocks.append(Figure(evidence.figures / "aggregates.png", "Aggregates with confidence intervals"))
    for group, tasks in plan.groups.items() if len(plan.groups) > 1 else ():
        columns = [i for i, task in enumerate(whole.tasks) if task in tasks]
        if columns:
            part = {label: scores[:, columns] for label, scores in whole.scores.items()}
            blocks += [
                Paragraph(f"**{group}**, {_count(len(columns), 'task')}:"),
                _aggregate_table(aggregates.aggregate(part)),
            ]
    blocks.append(Paragraph("Scores are normalised by the scores that count as 0 and as 1:"))
    blocks.append(Bullets(_normalisation(evidence, whole.tasks)))
    blocks.append(Heading("Performance profiles"))
    figures.profiles(evidence.figures / "profiles.png", aggregates.profiles(whole.scores))
    blocks.append(Figure(evidence.figures / "profiles.png", "Share of runs above each normalised score"))
    improvements = aggregates.improvements(whole.scores)
    if improvements:
        rows = [[f"{a} over {b}", _interval(each, digits=2)] for (a, b), each in improvements.items()]
        blocks += [
            Heading("Probability of improvement"),
            Paragraph("That a run of the first agent scores higher than one of the second, on a task drawn uniformly:"),
            Table(["agents", "probability"], rows),
        ]
    return blocks


def _aggregate_table(found: Mapping[str, Mapping[str, aggregates.Interval]]) -> Table:
    rows = [[label, *(_interval(each[name], digits=3) for name in aggregates.METRICS)] for label, each in found.items()]
    return Table(["agent", *aggregates.METRICS], rows)


def _normalisation(evidence: _Evidence, tasks: Sequence[str]) -> list[str]:
    """How the scores of tasks are normalised; tasks with the same bounds share a line."""
    alike: dict[suites.Bounds, list[str]] = {}
    for task in tasks:
        alike.setdefault(evidence.bounds[task], []).append(task)
    return [f"{_number(low)} and {_number(high)}, {why}: {', '.join(each)}" for (low, high, why), each in alike.items()]


def _curves(evidence: _Evidence) -> list[Block]:
    blocks: list[Block] = [Heading("Learning curves")]
    for x, name, text in (("actor_steps", "steps", "environment steps"), ("walltime", "time", "wall time")):
        path = evidence.figures / f"curves-by-{name}.png"
        path.unlink(missing_ok=True)
        notes = figures.curves(path, evidence.runs, x=x)
        if path.exists():
            blocks += [Paragraph(f"By {text}:"), Figure(path, f"Learning curves by {text}")]
        blocks += [Bullets(notes)] if notes else []
        if not path.exists():
            break
    return blocks


def _costs(evidence: _Evidence) -> list[Block]:
    blocks: list[Block] = [Heading("Speed and memory")]
    rows = []
    for task in evidence.plan.tasks:
        of_task = []
        for variant in evidence.plan.agents:
            runs = [
                run
                for run in evidence.runs
                if (run.run.task, run.run.variant.label) == (task, variant.label) and run.is_finished
            ]
            if not runs:
                continue
            memory = max((run.outcome.peak_memory for run in runs if run.outcome), default=0)
            of_task.append(
                [
                    variant.label,
                    _median([run.steps_per_second for run in runs]),
                    _median([run.updates_per_second for run in runs]),
                    f"{statistics.median(run.seconds for run in runs) / 60:.1f}",
                    f"{memory / 2**30:.2f}" if memory else "-",
                ]
            )
        rows += [[task], *of_task] if of_task else []
    if not rows:
        return [*blocks, Paragraph("No run has finished yet.")]
    return [
        *blocks,
        Paragraph(
            "Medians over the seeds that have finished, evaluations included; the memory is the largest of them, of "
            "all processes of a run together."
        ),
        Table(["agent", "steps/s", "updates/s", "minutes a run", "memory, GiB"], rows),
    ]


def _each_run(evidence: _Evidence) -> list[Block]:
    blocks: list[Block] = [Heading("Each run")]
    blocks += missing(evidence.plan, evidence.runs)
    rows: list[list[str]] = []
    for task in evidence.plan.tasks:
        seeds = [
            [
                variant.label,
                *(_one(evidence, task, variant.label, seed) for seed in evidence.plan.seeds),
            ]
            for variant in evidence.plan.agents
        ]
        rows += [[task], *seeds]
    columns = ["agent", *(f"seed {seed}" for seed in evidence.plan.seeds)]
    return [*blocks, Paragraph("The score of each run:"), Table(columns, rows)]


def _one(evidence: _Evidence, task: str, label: str, seed: int) -> str:
    (run,) = (
        each for each in evidence.runs if (each.run.task, each.run.variant.label, each.seed) == (task, label, seed)
    )
    return _number(run.score) if run.score is not None else _state(run)


def missing(plan: Plan, runs: Sequence[Result]) -> list[Block]:
    """What has not finished, with the reason of each failure; nothing where all has."""
    lines = dict.fromkeys(_missing(run, plan) for run in runs if not run.is_finished)
    return [Paragraph("Not finished:"), Bullets(list(lines))] if lines else []


def _missing(run: Result, plan: Plan) -> str:
    said = f"{run.run}: {_state(run)}"
    if run.steps:
        said += f" at {run.steps:,} of {plan.steps:,} steps"
    if run.outcome is not None and run.outcome.reason:
        said += f": {run.outcome.reason} (`logs/{run.run.name}.log`)"
    return said


def origin(plan: Plan, runs: Sequence[Result], command: str) -> list[Block]:
    """How the runs were made: with which command, on what, and with which versions."""
    told = [run.outcome for run in runs if run.outcome]
    starts = [start for run in runs for start in run.starts]
    lines = [
        f"Made by `{command}`; the seeds are {', '.join(map(str, plan.seeds))}.",
        f"Launcher {plan.launcher}, {_count(plan.actors, 'actor')} of "
        f"{_count(plan.environments_per_actor, 'environment')}; at most "
        f"{max((each.parallel for each in told), default=1)} at a time.",
    ]
    lines += [f"Hardware: {each}" for each in dict.fromkeys(outcome.hardware for outcome in told) if each]
    if told:
        loads = [outcome.load for outcome in told]
        lines.append(
            f"Load average of the machine before the runs: {min(loads):.1f} to {max(loads):.1f}. What else ran there "
            "slowed them down."
        )
        lives = sum(outcome.lives > 1 for outcome in told)
        lines += [f"{_count(lives, 'run')} of {len(told)} were interrupted and continued."] if lives else []
    commits = [str(start.get("commit")) for start in starts if start.get("commit")]
    lines += [f"Commit: {', '.join(dict.fromkeys(commits))}"] if commits else []
    versions = dict.fromkeys(
        ", ".join(f"{name} {value}" for name, value in start.items() if value and name not in _NOT_OF_STARTS)
        for start in starts
    )
    lines += [f"Versions: {each}" for each in versions]
    dates = sorted(start["date"] for start in starts if "date" in start)
    lines += [f"Started between {dates[0]} and {dates[-1]}."] if dates else []
    return [Heading("How it was made"), Bullets(lines)]


def _source(published: suites.Published) -> tuple[str, str]:
    return published.agent, published.source


def _about(published: suites.Published) -> str:
    repeat = published.repeat or published.repeat_note or "unknown"
    said = f"{published.agent}: {published.source}; {_count(published.seeds, 'seed')}, action repeat {repeat}"
    return said + (f"; {published.note}." if published.note else ".")


def _repeats(tasks: Sequence[str]) -> str:
    repeats = {task: suites.action_repeat(task) for task in tasks}
    numbers = sorted(set(repeats.values()))
    if numbers == [1]:
        frames = ", which is 4 frames of an Atari game" if any(task.startswith("ale:") for task in tasks) else ""
        return f"one environment step (action repeat 1){frames}"
    if len(numbers) == 1:
        return f"{numbers[0]} environment steps (action repeat {numbers[0]}), of which the number of steps counts one"
    return "as many environment steps as the task's name says, of which the number of steps counts one"


def _cell(evidence: _Evidence, task: str, label: str) -> str:
    interval, wanted = evidence.means.get((task, label)), len(evidence.plan.seeds)
    if interval is None:
        return "-"
    count = len(evidence.scores[task][label])
    text = _interval(interval) if count > 1 else _number(interval.value)
    return text + (f" ({count} of {wanted})" if count < wanted else "")


def _interval(interval: aggregates.Interval, digits: int | None = None) -> str:
    value, low, high = (_number(each) if digits is None else f"{each:.{digits}f}" for each in interval)
    return f"{value} [{low}, {high}]"


def _spread(published: suites.Published) -> str:
    deviation = "" if published.deviation is None else f" ± {_number(published.deviation)}"
    return _number(published.mean) + deviation


def _number(value: float) -> str:
    """A score with about three digits."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 or value == int(value) else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def _median(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.median(known):,.0f}" if known else "-"


def _state(run: Result) -> str:
    if run.outcome is None:
        return "not started"
    return "unfinished" if run.outcome.state == outcomes.RUNNING else run.outcome.state


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
