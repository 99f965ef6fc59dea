"""`acme-agents check`: whether an agent, or an environment, does what every one must, with a line for each check."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

from acme_agents import environments
from acme_agents.core import errors
from acme_agents.core.interfaces import ActorContext, Agent
from acme_agents.core.types import EnvironmentSpec
from acme_agents.environments import checking
from acme_agents.experiments import registry
from acme_agents.launch import faults
from acme_agents.testing import conformance


class Line:
    """What a check found.

    Attributes:
      failed: whether something is wrong.
      text: to be printed.
    """

    def __init__(self, mark: str, name: str, text: str):
        self.failed = mark == "FAIL"
        self.text = f"{mark:<5} {name.replace('_', ' '):<46} {text}".rstrip()


def check_agent(
    name: str,
    config: Any,
    *,
    environment: str | None = None,
    form_only: bool = False,
    value: str | None = None,
    max_updates: int = 1500,
    base: Any = None,
) -> Iterator[Line]:
    """Checks an agent by `testing.conformance`.

    Args:
      name: of the agent, or of a module that offers one.
      config: its configuration.
      environment: whose specs it is checked for; two small ones if left out, as far as the agent takes them.
      form_only: leaves out the checks of what it learns.
      value: the metric that estimates the return of the batch's actions, in units of the return.
      max_updates: that a check of learning may take.
      base: the agent that a bonus goes around, made.

    Yields:
      What each check found.

    Raises:
      UserError: there is no such agent, or it takes neither specs.
    """
    make = registry.load(name).make
    agent = make(config) if base is None else make(config, base)
    imitates = name in registry.IMITATES
    for words, spec in _specs(agent, environment):
        yield Line("", f"{name}, {words}", "")
        gamma = getattr(config, "discount", None)
        metric = None if value is None else lambda metrics: metrics[value]
        subject = conformance.Subject(agent, spec, imitates, metric, gamma, max_updates)
        try:
            applicable = conformance.checks(subject, conformance.FORM if form_only else conformance.CHECKS)
        except AssertionError as error:
            yield Line("FAIL", "replay", str(error))
            continue
        for each in applicable:
            yield _run(each, subject)


def check_environment(name: str, *, steps: int, max_episode_steps: int | None = None) -> Iterator[Line]:
    """Checks an environment by `environments.checking`; the arguments are those of its `Subject`.

    Yields:
      What each check found.

    Raises:
      UserError: there is no such environment.
    """
    environments.check(name)
    subject = checking.Subject(name, steps, max_episode_steps)
    yield Line("", name, "")
    for each in checking.checks(name):
        yield _run(each, subject)


def _specs(agent: Agent, environment: str | None) -> list[tuple[str, EnvironmentSpec]]:
    """The specs that an agent is checked for, and what they are called."""
    if environment is not None:
        env = environments.make(environment, seed=0)
        try:
            return [(f"for {environment}", environments.spec(env))]
        finally:
            env.close()
    taken: list[tuple[str, EnvironmentSpec]] = []
    refused = []
    two = dataclasses.replace(
        conformance.CONTINUOUS, reward=dataclasses.replace(conformance.CONTINUOUS.reward, shape=(2,))
    )
    for words, spec in (
        ("for continuous actions", conformance.CONTINUOUS),
        ("for discrete actions", conformance.DISCRETE),
        ("for two objectives", two),
    ):
        if words == "for two objectives" and taken:
            continue
        try:
            agent.learner(spec)
            agent.actor(spec, ActorContext(evaluation=False))
            taken.append((words, spec))
        except errors.UserError as error:
            refused.append(str(error))
        except Exception:  # The checks say what.
            taken.append((words, spec))
    if not taken:
        raise errors.UserError(f"The agent takes no small environment: name one with --env. {refused[0]}")
    return taken


def _run(check: Callable[[Any], None], subject: Any) -> Line:
    began = time.monotonic()
    try:
        check(subject)
    except checking.Note as note:
        return Line("note", check.__name__, str(note))
    except AssertionError as error:
        return Line("FAIL", check.__name__, str(error) or faults.report(error))
    except errors.UserError:
        raise
    except Exception as error:
        return Line("FAIL", check.__name__, faults.report(error))
    return Line("ok", check.__name__, f"{time.monotonic() - began:.1f} s")
