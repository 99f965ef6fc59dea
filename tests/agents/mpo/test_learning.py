"""MPO's update: its targets, duals and bookkeeping. What it learns is in tests/test_agents_conform.py."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import mpo
from acme_agents.agents.mpo import networks
from acme_agents.core.interfaces import ActorContext
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Transition

SPEC = EnvironmentSpec(ArraySpec((1,)), ArraySpec((1,)))
TINY = mpo.Config(critic="scalar", policy_layers=(4,), critic_layers=(4,), num_actions=3)
KEY = jax.random.PRNGKey(0)


@functools.cache
def _learner(config=TINY):
    """The learner's functions, jitted once for all tests."""
    core = mpo.make(config).learner(SPEC)
    return core._replace(init=jax.jit(core.init), update=jax.jit(core.update))


def _batch(spec, size=4, seed=0, discount=0.9):
    rng = np.random.default_rng(seed)

    def value(spec):
        return jnp.array(rng.uniform(-1, 1, (size, *spec.shape)), jnp.float32)

    return Transition(
        observation=value(spec.observation),
        action=value(spec.action),
        reward=value(ArraySpec(())),
        discount=jnp.full(size, discount),
        next_observation=value(spec.observation),
        next_action=value(spec.action),
        next_last=jnp.zeros(size, bool),
    )


def _assert_trees_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def _differs(a, b):
    """For every leaf, whether the two differ."""
    return jax.tree.map(lambda x, y: bool(np.any(x != y)), a, b)


def test_target_networks_are_copied_every_period_and_only_then():
    learner = _learner(dataclasses.replace(TINY, target_update_period=3))
    states = [learner.init(KEY)]
    for _ in range(7):
        states.append(learner.update(states[-1], _batch(SPEC))[0])
    assert [int(state.critic.steps) for state in states] == list(range(8))
    for step, copied_at in enumerate([0, 0, 0, 3, 3, 3, 6, 6]):
        _assert_trees_equal(states[step].policy.target, states[copied_at].policy.online)
        _assert_trees_equal(states[step].critic.target, states[copied_at].critic.online)
    assert any(jax.tree.leaves(_differs(states[3].policy.online, states[0].policy.online)))
    assert any(jax.tree.leaves(_differs(states[3].critic.online, states[0].critic.online)))


def test_bootstraps_from_the_target_critic():
    """A target critic that says 7 everywhere: the loss is that of r + 0.9 * 7 against the online critic."""
    learner, batch = _learner(), _batch(SPEC)
    state = learner.init(KEY)
    seven = jax.tree.map(jnp.zeros_like, state.critic.online)
    (last,) = [name for name, module in seven.items() if module.get("b", np.zeros(0)).shape == (1,)]
    seven[last]["b"] = jnp.full(1, 7.0)
    _, output = learner.update(state._replace(critic=state.critic._replace(target=seven)), batch)
    q_tm1 = networks.make_networks(TINY, SPEC).critic.apply(state.critic.online, batch.observation, batch.action)
    expected = np.mean(0.5 * np.square(batch.reward + 0.9 * 7.0 - q_tm1))
    np.testing.assert_allclose(output.metrics["loss_critic"], expected, rtol=1e-5)
    np.testing.assert_allclose(output.metrics["q_value"], np.mean(q_tm1), rtol=1e-5)
    np.testing.assert_allclose(output.metrics["kl_q_ratio"], 0.0, atol=1e-5)  # all actions are worth the same


def test_duals_are_clipped_after_the_update():
    learner = _learner(dataclasses.replace(TINY, fit_temperature=False))
    state = learner.init(KEY)
    low = jax.tree.map(lambda x: jnp.full_like(x, -30.0), state.duals)
    state, _ = learner.update(state._replace(duals=low), _batch(SPEC))
    assert all(np.all(x == -18.0) for x in jax.tree.leaves(state.duals))


def test_initial_state_is_as_configured():
    config = dataclasses.replace(TINY, init_log_temperature=1.0, init_log_alpha_mean=2.0, init_log_alpha_stddev=3.0)
    spec = EnvironmentSpec(ArraySpec((1,)), ArraySpec((3,)))
    state = mpo.make(config).learner(spec).init(jax.random.PRNGKey(0))
    assert float(state.duals.log_temperature) == float(state.duals.log_penalty_temperature) == 1.0
    np.testing.assert_array_equal(state.duals.log_alpha_mean, [2.0] * 3)
    np.testing.assert_array_equal(state.duals.log_alpha_stddev, [3.0] * 3)
    _assert_trees_equal(state.policy.target, state.policy.online)
    _assert_trees_equal(state.critic.target, state.critic.online)


def test_published_parameters_are_the_online_policys():
    learner = _learner()
    state, _ = learner.update(learner.init(KEY), _batch(SPEC))
    _assert_trees_equal(learner.params(state), state.policy.online)
    assert any(jax.tree.leaves(_differs(learner.params(state), state.policy.target)))


def test_discrete_actions_are_refused_in_a_sentence():
    spec = EnvironmentSpec(ArraySpec((1,)), ArraySpec((), "int32", num_values=4))
    agent = mpo.make(mpo.Config())
    sentence = "MPO needs continuous actions, and this environment has 4 discrete ones"
    with pytest.raises(ValueError, match=sentence):
        agent.actor(spec, ActorContext(evaluation=False))
    with pytest.raises(ValueError, match=sentence):
        agent.learner(spec)


def test_replay_is_as_configured():
    config = mpo.Config(
        n_step=3, discount=0.5, batch_size=7, min_replay_size=11, max_replay_size=13, samples_per_insert=17.0
    )
    replay = mpo.make(config).replay(SPEC)
    assert (replay.experience.n, replay.experience.discount) == (3, 0.5)
    assert (replay.batch_size, replay.min_size, replay.max_size, replay.samples_per_insert) == (7, 11, 13, 17.0)


@pytest.mark.long
def test_a_fitted_temperature_meets_the_bound_from_the_first_update():
    """Then it follows its gradient until the target critic is new again. Unfitted it starts at 10, the KL near 0."""
    config = dataclasses.replace(TINY, num_actions=20, target_update_period=3)
    core = mpo.make(config).learner(SPEC)
    state, update, ratios = core.init(jax.random.PRNGKey(0)), jax.jit(core.update), []
    for _ in range(4):
        state, output = update(state, _batch(SPEC))
        ratios.append(float(output.metrics["kl_q_ratio"]))
    np.testing.assert_allclose([ratios[0], ratios[3]], 1.0, rtol=0.01)
    assert all(abs(ratio - 1.0) > 1e-4 for ratio in ratios[1:3])
    core = mpo.make(dataclasses.replace(config, fit_temperature=False)).learner(SPEC)
    _, output = jax.jit(core.update)(core.init(jax.random.PRNGKey(0)), _batch(SPEC))
    assert output.metrics["kl_q_ratio"] < 0.1
