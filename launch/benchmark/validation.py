"""Checks every agent on every task before a benchmark starts anything."""

import concurrent.futures
import contextlib
import io
import multiprocessing
import os
import sys
from collections.abc import Sequence
from typing import Any

import tyro

from acme_agents.core import errors
from acme_agents.experiments import registry
from acme_agents.launch.benchmark.plan import Plan, Run, Variant


def check(plan: Plan, runs: Sequence[Run]) -> None:
    """Checks what can be known of some runs before any of them is started.

    It is done in a process of its own, on the CPU: agents and environments take memory, and runs want the accelerator.

    Raises:
      UserError: an agent has no such setting, an environment does not exist or does not suit the agent, or the budget
        is too small; the message names the run.
    """
    for variant in {run.variant.label: run.variant for run in runs}.values():
        config(variant)
    first = {(run.task, run.variant.label): run for run in runs[::-1]}  # What differs in the seed alone, once.
    before = os.environ.get("JAX_PLATFORMS")
    os.environ["JAX_PLATFORMS"] = "cpu"
    try:
        with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            problem = pool.submit(find_problem, plan, list(first.values())[::-1], sys.path).result()
    finally:
        os.environ.pop("JAX_PLATFORMS")
        if before is not None:
            os.environ["JAX_PLATFORMS"] = before
    if problem is not None:
        raise errors.UserError(problem)


def find_problem(plan: Plan, runs: Sequence[Run], path: Sequence[str]) -> str | None:
    """What is wrong with the first of the runs that cannot run, with the user's modules on `path`; None if all can."""
    from acme_agents.launch import faults
    from acme_agents.launch.run import check as check_experiment
    from acme_agents.runtime import fused

    sys.path[:] = path
    for run in runs:
        try:
            experiment = make_experiment(plan, run)
            check_experiment(experiment, in_process=plan.launcher in ("in-process", "fused"))
            if plan.launcher == "fused":
                fused.check(experiment)
        except Exception as error:
            return f"{run.variant.label} on {run.task}: {faults.report(error)}"
    return None


def make_experiment(plan: Plan, run: Run) -> Any:
    """The experiment of a run."""
    from acme_agents.experiments import Experiment

    return Experiment(
        agent=run.variant.agent,
        environment=run.task,
        config=config(run.variant),
        seed=run.seed,
        num_actors=plan.actors,
        environments_per_actor=plan.environments_per_actor,
        max_steps=plan.steps,
        eval_every=plan.eval_every,
        eval_episodes=plan.eval_episodes,
    )


def config(variant: Variant) -> Any:
    """The agent's configuration with a variant's settings, read as the command line reads them.

    Raises:
      UserError: the agent has no such setting, or it does not take the value.
    """
    found = _parsed(variant)
    if found is not None:
        return found
    help_says = f"`acme-agents train {variant.agent} --help` says which it takes."
    for field, value in variant.settings:  # Settings may suit each other alone: so the whole is tried first.
        if _parsed(variant._replace(settings=((field, value),))) is None:
            raise errors.UserError(f"{variant.label}: {field} does not take the value {value!r}: {help_says}")
    raise errors.UserError(f"{variant.label}: its settings do not suit each other: {help_says}")


def _parsed(variant: Variant) -> Any:
    """The configuration with all settings of a variant; None where the command line refuses them."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        try:
            return tyro.cli(registry.load(variant.agent).Config, args=variant.flags())
        except SystemExit:
            return None
