"""What every agent must do: checks that any test can run; one that fails raises an AssertionError of one sentence.

    AGENT = my_agent.make(conformance.small(my_agent.Config()))
    SUBJECT = conformance.Subject(AGENT, conformance.DISCRETE)

    @pytest.mark.parametrize("check", conformance.checks(SUBJECT), ids=conformance.name)
    def test_my_agent_conforms(check):
        check(SUBJECT)

All checks of one subject share its compiled functions, so make it once. The checks of learning do some hundred updates:
configure small networks, large learning rates and target networks that follow within some ten updates; `small` does so
by the fields' names. `acme-agents check` runs the same from the command line.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import jax

from acme_agents.core.interfaces import Agent
from acme_agents.core.types import ArraySpec, EnvironmentSpec
from acme_agents.testing import forms, learnt
from acme_agents.testing.small import small
from acme_agents.testing.subjects import Subject

__all__ = ["CHECKS", "CONTINUOUS", "DISCRETE", "FORM", "LEARNS", "Subject", "check", "checks", "name", "small"]

CONTINUOUS = EnvironmentSpec(ArraySpec((6,)), ArraySpec((2,)))  # of small environments to check agents for
DISCRETE = EnvironmentSpec(ArraySpec((6,)), ArraySpec((), "int32", 3))

Check = Callable[[Subject], None]

FORM: tuple[Check, ...] = (
    forms.replay_is_well_formed,
    forms.state_keeps_its_form,
    forms.priorities_belong_to_their_items,
    forms.equal_keys_give_equal_bits,
    forms.every_weight_learns,
    forms.no_two_leaves_share_a_buffer,
    forms.state_can_be_donated,
    forms.state_survives_a_checkpoint,
    forms.parameters_suffice_to_act,
    forms.acting_is_pure,
    forms.the_index_may_be_traced,
    forms.chance_is_not_used_twice,
    forms.no_key_is_used_twice,
    forms.actions_are_in_the_spec,
    forms.extras_are_what_replay_stores,
    forms.padding_does_not_matter,
    forms.rows_without_an_action_do_not_matter,
)
LEARNS: tuple[Check, ...] = (
    learnt.learns_a_bandit_with_a_blank_end,
    learnt.learns_every_state_of_an_episode,
    learnt.time_limits_are_not_ends,
    learnt.learns_the_value_of_a_salary,
)
CHECKS = (*FORM, *LEARNS)


def name(check: Check) -> str:
    """The check's name, for a test's id."""
    return check.__name__


def checks(subject: Subject, of: Iterable[Check] = CHECKS) -> list[Check]:
    """The checks that apply to this subject."""
    inapplicable = set()
    experience = subject.replay.experience
    if experience.items_per_chunk > 1 or experience.once:  # Only items that are whole chunks are padded.
        inapplicable.add(forms.padding_does_not_matter)
    if not experience.once:
        inapplicable.add(forms.rows_without_an_action_do_not_matter)
    if subject.imitates:
        inapplicable.add(learnt.time_limits_are_not_ends)
    if subject.value is None:
        inapplicable.add(learnt.learns_the_value_of_a_salary)
    return [check for check in of if check not in inapplicable]


def check(agent: Agent, spec: EnvironmentSpec, **expectations: Any) -> None:
    """All checks of one agent.

    Args:
      agent: see `Subject`.
      spec: see `Subject`.
      **expectations: the other attributes of `Subject`.

    Raises:
      AssertionError: a check fails; the sentence names the agent's function at fault.
    """
    subject = Subject(agent, spec, **expectations)
    for each in checks(subject):
        each(subject)


def unread_fields(make: Callable[[Any], Agent], configs: Iterable[Any], spec: EnvironmentSpec) -> set[str]:
    """The fields of a configuration that no agent made from any of the configurations reads.

    Args:
      make: the agent module's.
      configs: several, of one dataclass, so that all of the agent's parts are used.
      spec: of an environment that the agent takes.
    """
    unread: set[str] | None = None
    for config in configs:
        read: set[str] = set()

        class Watched(type(config)):  # type: ignore[misc]
            def __getattribute__(self, attribute: str, read: set[str] = read) -> Any:
                read.add(attribute)
                return super().__getattribute__(attribute)

        watched = object.__new__(Watched)
        watched.__dict__.update(vars(config))
        read.clear()
        _trace(Subject(make(watched), spec))
        fields = {field.name for field in dataclasses.fields(config)} - read
        unread = fields if unread is None else unread & fields
    return unread or set()


def _trace(subject: Subject) -> None:
    """Traces each of the agent's functions without computing anything."""
    key = jax.random.PRNGKey(0)
    state = jax.eval_shape(subject.learner.init, key)
    jax.eval_shape(subject.learner.update, state, subject.form_of_batch())
    params = jax.eval_shape(subject.learner.params, state)
    observation = jax.tree.map(lambda x: x[0], subject.observation)
    for actor in subject.actors.values():
        jax.eval_shape(actor.select_action, params, observation, jax.eval_shape(actor.init, key))
