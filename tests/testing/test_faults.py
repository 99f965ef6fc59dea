"""Every check finds its fault in an agent that has no other, and its sentence names the function at fault."""

import dataclasses
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from acme_agents.core import discrete
from acme_agents.core.experience import Sequences, Transitions
from acme_agents.core.interfaces import ActorCore, LearnerCore, ReplaySpec, UpdateOutput
from acme_agents.core.types import ArraySpec, EnvironmentSpec
from acme_agents.testing import conformance, forms, learnt

SPEC = EnvironmentSpec(ArraySpec((6,)), ArraySpec((), "int32", 3))
CALLS = itertools.count()


class State(NamedTuple):
    online: jax.Array  # [6, A]
    target: jax.Array  # [6, A]
    steps: jax.Array


@dataclasses.dataclass(frozen=True)
class Linear:
    """Double Q-learning with linear values, by steepest descent; `fault` is what is wrong with it."""

    fault: str = ""

    def learner(self, spec):
        offset = next(CALLS) if self.fault == "count" else 0

        def init(key):
            online = 0.1 * jax.random.normal(jax.random.PRNGKey(0) if self.fault == "seed" else key, (6, 3))
            return State(online, online if self.fault == "share" else jnp.copy(online), jnp.int32(0))

        def loss(online, target, batch):
            observation = batch.next_observation if self.fault == "late" else batch.observation
            value = discrete.select(observation @ online, batch.action)
            next_value = discrete.greedy_values(batch.next_observation @ target, batch.next_observation @ online)
            discount = jnp.full_like(batch.discount, 0.9) if self.fault == "never ends" else batch.discount
            discount = jnp.where(batch.next_last, 0.0, discount) if self.fault == "always ends" else discount
            error = jax.lax.stop_gradient(batch.reward + discount * next_value) - value
            if self.fault == "broadcast":
                error = error - error[:, None]
            return jnp.mean(jnp.square(error)), (jnp.abs(error), jnp.mean(value))

        def update(state, batch):
            gradient, (errors, value) = jax.grad(loss, has_aux=True)(state.online, state.target, batch)
            online = state.online - 0.1 * gradient + offset
            if self.fault == "asleep":
                online = state.online
            steps = state.steps + (1.0 if self.fault == "float" else 1)
            target = jnp.where(steps % 10 == 0, online, state.target)
            priorities = errors[::-1] if self.fault == "backwards" else errors
            priorities = -priorities if self.fault == "negative" else priorities
            metrics = {"loss": errors if self.fault == "vector" else jnp.mean(errors)}
            metrics["value"] = 0.8 * value if self.fault == "low" else value
            return State(online, target, steps), UpdateOutput(metrics, None if self.fault == "none" else priorities)

        def params(state):
            return (state.online, state.target) if self.fault == "too much" else (state.online,)

        return LearnerCore(init, update, params)

    def actor(self, spec, context):
        if self.fault == "branch" and context.index > 0:
            return dataclasses.replace(self, fault="").actor(spec, context)

        def select_action(params, observation, key):
            twice = jax.random.randint(key, (), 0, 2) if self.fault == "twice" else 0
            use, key = (key, key) if self.fault == "same key" else jax.random.split(key)
            action = discrete.epsilon_greedy(use, observation @ params[0], 0.0 if context.evaluation else 0.5)
            action = jnp.minimum(action + twice, 2)
            if self.fault == "outside":
                action = action + 1
            if self.fault == "impure":
                action = (action + next(CALLS)) % 3
            if self.fault == "kind":
                action = action.astype(jnp.float32)
            return action, key[None] if self.fault == "shape" else key, ()

        return ActorCore(lambda key: key, select_action)

    def replay(self, spec):
        experience = Transitions(2, 0.9)
        if self.fault == "gap":
            experience = Sequences(4, 4)
        shares = {"replay": 0.5, "dataset": 0.4} if self.fault == "shares" else {"replay": 1.0}
        return ReplaySpec(experience, 32, 10, 100, 4.0, 0.6, shares)


def _subject(fault=""):
    return conformance.Subject(Linear(fault), SPEC, value=lambda metrics: metrics["value"], max_updates=600)


SOUND = _subject()


@pytest.mark.parametrize("check", conformance.checks(SOUND), ids=conformance.name)
def test_a_sound_agent_passes(check):
    check(SOUND)


@pytest.mark.parametrize(
    ("fault", "check", "sentence"),
    [
        ("gap", forms.replay_is_well_formed, r"replay leaves transitions out"),
        ("shares", forms.replay_is_well_formed, r"replay's sources have shares whose sum is 0\.9, not 1"),
        ("float", forms.state_keeps_its_form, r"state's form: \.steps is \[\] int32 and then \[\] float32"),
        ("vector", forms.state_keeps_its_form, r"update's metric 'loss' must be \[\] float32, not \[32\] float32"),
        (
            "broadcast",
            forms.state_keeps_its_form,
            r"learner\.update combines arrays of different ranks, \(32,\) \(32, 1\)",
        ),
        ("backwards", forms.priorities_belong_to_their_items, r"update's priorities are not in the order"),
        ("negative", forms.priorities_belong_to_their_items, r"update's priorities are negative"),
        ("none", forms.priorities_belong_to_their_items, r"update says no priorities, by which replay draws"),
        ("seed", forms.equal_keys_give_equal_bits, r"init gives the same parameters for another key"),
        ("asleep", forms.every_weight_learns, r"update never changes learner\.params' \[0\]"),
        ("share", forms.no_two_leaves_share_a_buffer, r"init gives \.online and \.target one buffer"),
        ("count", forms.state_survives_a_checkpoint, r"learner makes another update each time"),
        ("too much", forms.parameters_suffice_to_act, r"learner\.params sends actors \[1\], which neither actor reads"),
        ("impure", forms.acting_is_pure, r"it is not pure"),
        ("shape", forms.acting_is_pure, r"select_action changes its state's form"),
        ("branch", forms.the_index_may_be_traced, r"actor, with an index that is traced .* needs a number.*TracerBool"),
        ("same key", forms.chance_is_not_used_twice, r"select_action returns the key that it was given"),
        (
            "twice",
            forms.no_key_is_used_twice,
            r"actor.select_action uses a random key twice, in randint and random_split",
        ),
        ("outside", forms.actions_are_in_the_spec, r"select_action leaves \[0, 2\]"),
        ("kind", forms.actions_are_in_the_spec, r"select_action must give \[\] int32, not \[\] float32"),
        ("late", learnt.learns_a_bandit_with_a_blank_end, r"update does not learn the best action at an episode"),
        ("late", learnt.learns_every_state_of_an_episode, r"update does not learn the best action at some states"),
        ("never ends", learnt.time_limits_are_not_ends, r"update takes time limits for ends, or ends for time limits"),
        ("always ends", learnt.time_limits_are_not_ends, r"update takes time limits for ends, or ends for time limits"),
        ("low", learnt.learns_the_value_of_a_salary, r"update values a reward of one at each step at 8.* not at 10"),
    ],
)
def test_a_fault_is_found(fault, check, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check(_subject(fault))


def test_fields_that_nothing_reads_are_found():
    @dataclasses.dataclass(frozen=True)
    class Config:
        fault: str = ""
        dead: float = 1.0

    assert conformance.unread_fields(lambda config: Linear(config.fault), [Config()], SPEC) == {"dead"}
    assert conformance.unread_fields(lambda config: Linear(config.fault + str(config.dead)), [Config()], SPEC) == set()
