"""The report of a diagnosis, complete or not: `credit.md`, its figure `credit.png` and all numbers, `credit.csv`."""

import csv
import io
import pathlib
from collections.abc import Callable, Mapping

from acme_agents.core import files
from acme_agents.environments import credit
from acme_agents.launch.benchmark import aggregates, document, outcomes, report, results
from acme_agents.launch.benchmark.document import Block, Bullets, Figure, Heading, Paragraph, Table
from acme_agents.launch.benchmark.plan import Plan
from acme_agents.launch.credit import figures, knobs, measures
from acme_agents.launch.credit.measures import Measured

_TEXT, _FIGURE, _NUMBERS = "credit.md", "credit.png", "credit.csv"

# (task, label) -> the measures of each seed that has finished
Found = Mapping[tuple[str, str], Mapping[int, Measured]]


def write(plan: Plan, directory: pathlib.Path, command: str) -> pathlib.Path:
    """Writes the report of what there is, and says what is missing.

    Args:
      plan: the diagnosis's.
      directory: the diagnosis's.
      command: what makes the same runs.

    Returns:
      The path of the text.

    Raises:
      UserError: a file of a run cannot be read.
    """
    runs = results.read(plan, directory)
    found: dict[tuple[str, str], dict[int, Measured]] = {
        (task, variant.label): {} for task in plan.tasks for variant in plan.agents
    }
    for run in runs:
        measured = measures.measure(run)
        if measured is not None:
            found[run.run.task, run.run.variant.label][run.seed] = measured
    files.write_whole(directory / _NUMBERS, _numbers(plan, found))
    scores, regrets = (_intervals(found, get) for get in (lambda each: each.score, lambda each: each.regret))
    panels = knobs.of_tasks(plan.tasks)
    labels = [variant.label for variant in plan.agents]
    figures.draw(directory / _FIGURE, panels, labels, scores=scores, regrets=regrets)
    done = sum(run.outcome is not None and run.outcome.state == outcomes.FINISHED for run in runs)
    blocks: list[Block] = [
        Paragraph(
            f"{len(labels)} methods on {len(plan.tasks)} tasks, {len(plan.seeds)} seeds each; {done} of {len(runs)} "
            "have finished. The tasks are one task, `credit:depth-8`, with one knob turned; docs/credit.md has what "
            "each knob is. **Score**: the return of the evaluations in the last tenth of a run, where 0 is what a "
            "uniformly random policy has and 1 the best return, both known exactly. **Regret**: what is missing to 1, "
            f"in the mean of all {len(range(plan.eval_every, plan.steps + 1, plan.eval_every))} evaluations of "
            f"{plan.eval_episodes} episodes; it tells how fast as well as how far. Brackets are 95% bootstrap "
            "confidence intervals of the mean over the seeds."
        ),
        Figure(directory / _FIGURE, "Score and regret of each method over each knob", beside=True),
    ]
    settings = [f"`{variant.label}`: `{variant.text}`" for variant in plan.agents if variant.label != variant.text]
    blocks += [Bullets(settings)] if settings else []
    for knob, tasks in panels.items():
        about = knobs.KNOBS[knob]
        columns = [f"{about.axis}: {value:g}" if not i else f"{value:g}" for i, value in enumerate(tasks)]
        blocks += [Heading(about.title)]
        for title, cell in (
            ("Score", lambda key: _interval(scores.get(key))),
            ("Regret", lambda key: _interval(regrets.get(key))),
            (
                f"Environment steps to a score of {measures.THRESHOLD:g}, the median of the seeds that reach it",
                lambda key: measures.in_words([each.steps for each in found[key].values()]) if found[key] else "-",
            ),
        ):
            rows = [[label, *(cell((task, label)) for task in tasks.values())] for label in labels]
            blocks += [Paragraph(f"{title}:"), Table(["method", *columns], rows)]
    blocks += [*report.missing(plan, runs), *report.origin(plan, runs, command)]
    path = directory / _TEXT
    title = f"Credit assignment of {len(labels)} methods: {plan.steps:,} environment steps"
    files.write_whole(path, document.markdown(title, blocks))
    return path


def _numbers(plan: Plan, found: Found) -> str:
    """A line for each seed of each method on each value of each knob; a task that several knobs share has several."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["knob", "value", "task", "method", "seed", "uniform", "best", "score", "regret", "steps"])
    for knob, tasks in knobs.of_tasks(plan.tasks).items():
        for value, task in tasks.items():
            bounds = [knobs.parse(task).uniform, credit.BEST]
            for variant in plan.agents:
                for seed, each in found[task, variant.label].items():
                    numbers = [round(each.score, 4), round(each.regret, 4), each.steps]
                    lines.writerow([knob, f"{value:g}", task, variant.label, seed, *bounds, *numbers])
    return text.getvalue()


def _intervals(found: Found, get: Callable[[Measured], float]) -> dict[tuple[str, str], aggregates.Interval]:
    by_task: dict[str, dict[str, list[float]]] = {}
    for (task, label), seeds in found.items():
        by_task.setdefault(task, {})[label] = [get(each) for each in seeds.values()]
    return aggregates.means(by_task)


def _interval(interval: aggregates.Interval | None) -> str:
    return "-" if interval is None else f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
