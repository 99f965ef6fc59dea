"""Qsarsa's updates: which part learns when, what is kept near what, and the estimate of a known value."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import qsarsa, td3
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Transition

SPEC = EnvironmentSpec(ArraySpec((1,)), ArraySpec((1,)))
KEY = jax.random.PRNGKey(0)
SMALL = {"policy_layers": (16,), "critic_layers": (16,), "critic_learning_rate": 1e-2, "target_rate": 0.1}


def _batch(reward=1.0, discount=0.5):
    """A state that leads to itself, at each step of which the data took action 0.5 for a reward of one."""
    observation, action = jnp.ones((8, 1)), jnp.full((8, 1), 0.5)
    return Transition(
        observation, action, jnp.full(8, reward), jnp.full(8, discount), observation, action, jnp.zeros(8, bool)
    )


def _learner(**options):
    core = qsarsa.make(qsarsa.Config(**SMALL, **options)).learner(SPEC)
    return core, jax.jit(core.update)


def _same(one, other):
    return all(map(np.array_equal, jax.tree.leaves(one), jax.tree.leaves(other)))


@pytest.mark.long
def test_the_estimate_learns_first_and_is_fixed_after():
    core, update = _learner(sarsa_updates=2)
    states, outputs = [core.init(KEY)], []
    for _ in range(4):
        state, output = update(states[-1], _batch())
        states.append(state)
        outputs.append(output.metrics)
    assert [_same(a.sarsa, b.sarsa) for a, b in itertools.pairwise(states)] == [False, False, True, True]
    assert [_same(a.td3, b.td3) for a, b in itertools.pairwise(states)] == [True, True, False, False]
    assert [float(metrics["loss_sarsa"]) > 0 for metrics in outputs] == [True, True, False, False]
    assert [float(metrics["loss_critic"]) > 0 for metrics in outputs] == [False, False, True, True]
    assert [int(core.params(state).steps) for state in states] == [0, 0, 0, 1, 2]  # explores at random until then


@pytest.mark.long
def test_without_regularisation_it_is_td3():
    core, update = _learner(sarsa_updates=None, in_weight=0.0, out_weight=0.0)
    plain = td3.make(td3.Config(**SMALL)).learner(SPEC)
    state = core.init(KEY)
    alone, update_alone = jax.tree.map(jnp.copy, state.td3), jax.jit(plain.update)
    for _ in range(4):
        state, alone = update(state, _batch())[0], update_alone(alone, _batch())[0]
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6), state.td3, alone)
    assert not _same(state.td3.policy.online, core.init(KEY).td3.policy.online)


@pytest.mark.long
def test_the_estimate_is_the_behaviours_value_and_what_is_near_it_lies_between():
    # 1 / (1 - 0.5) = 2. A critic that is told 10 and kept as near to the estimate lies halfway, at 6, and with a
    # weight of 3 a quarter of the way.
    core, update = _learner(sarsa_updates=300, in_weight=3.0, out_weight=0.0)
    state = core.init(KEY)
    for _ in range(300):
        state, output = update(state, _batch())
    assert output.metrics["sarsa_value"] == pytest.approx(2.0, abs=0.02)
    for _ in range(300):
        state, output = update(state, _batch(reward=10.0, discount=0.0))
    assert output.metrics["q_value"] == pytest.approx(4.0, abs=0.05)
    assert output.metrics["gap_in"] == pytest.approx(2.0, abs=0.05)


@pytest.mark.long
def test_a_state_after_a_termination_has_no_value_to_be_near_to():
    core, update = _learner(sarsa_updates=None, in_weight=0.0, out_weight=100.0, trusted_gap=0.01)
    start = core.init(KEY)

    def critics(batch):
        return update(start, batch)[0].td3.critics.online

    def moved(batch):
        return batch._replace(next_observation=5.0 * batch.next_observation)

    ended = _batch(discount=0.0)
    assert _same(critics(ended), critics(moved(ended)))
    assert not _same(critics(_batch()), critics(moved(_batch())))


@pytest.mark.long
def test_the_policy_climbs_the_estimate_too():
    actor_losses = []
    for weight in (0.0, 1e6):
        core, update = _learner(sarsa_updates=None, actor_weight=weight)
        state = core.init(KEY)
        for _ in range(2):  # the second updates the policy
            state, output = update(state, _batch())
        actor_losses.append(float(output.metrics["loss_policy"]))
    # The estimate and the first critic are both of the size of one.
    assert abs(actor_losses[1]) > 1e4 * abs(actor_losses[0]) > 0.0
