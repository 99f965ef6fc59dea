"""DQN's update: its loss with every part on and off, what it learns, and its bookkeeping."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import dqn
from acme_agents.agents.dqn import networks
from acme_agents.core.experience import Transitions
from acme_agents.core.interfaces import ActorContext
from acme_agents.core.types import ArraySpec, EnvironmentSpec, SampleInfo, Transition

KEY = jax.random.PRNGKey(0)
B, A = 6, 3
SPEC = EnvironmentSpec(ArraySpec((2,)), ArraySpec((), "int32", A))
TINY = dqn.Config(torso_layers=(5,), head_layers=(4,), huber=0.5, target_update_period=3)
WEIGHTS = np.array([1, 0.25, 0.5, 1, 0.5, 1]) ** 0.2


def _batch():
    rng = np.random.default_rng(0)

    def normal(*shape):
        return jnp.array(rng.normal(size=(B, *shape)), jnp.float32)

    return Transition(
        observation=normal(2),
        action=jnp.array(rng.integers(0, A, B), jnp.int32),
        reward=2.0 * normal(),
        discount=jnp.array([0.9, 0.0, 0.9**5, 0.9, 0.0, 0.9]),
        next_observation=normal(2),
        next_action=jnp.zeros(B, jnp.int32),
        next_last=jnp.zeros(B, bool),
        # Of two sources, the first of which has the elements 0, 1, 2 and 5.
        sample_info=SampleInfo(jnp.array([1e-3, 4e-3, 2e-3, 0.1, 0.2, 1e-3]), jnp.array([0, 0, 0, 1, 1, 0])),
    )


@functools.cache
def _learner(config=TINY):
    """The learner's functions, jitted once for all tests."""
    core = dqn.make(config).learner(SPEC)
    return core._replace(init=jax.jit(core.init), update=jax.jit(core.update))


def _state(config=TINY):
    """A training state whose target network is another than the online one."""
    learner = _learner(config)
    return learner.init(KEY)._replace(target=learner.init(jax.random.PRNGKey(1)).online)


def _differ(a, b):
    return any(jax.tree.leaves(jax.tree.map(lambda x, y: bool(np.any(x != y)), a, b)))


# --- The loss and the priorities.


def _by_hand(config, state, batch):
    """|delta| and the loss of every transition by itself."""
    q_values = networks.make_network(config, SPEC).apply
    online, bootstrap = (np.asarray(q_values(state.online, o)) for o in (batch.observation, batch.next_observation))
    target = np.asarray(q_values(state.target, batch.next_observation))
    errors, losses = [], []
    for b in range(B):
        best = (bootstrap if config.double else target)[b].argmax()
        reward = float(batch.reward[b])
        if config.max_abs_reward is not None:
            reward = np.clip(reward, -config.max_abs_reward, config.max_abs_reward)
        error = abs(reward + float(batch.discount[b]) * target[b, best] - online[b, int(batch.action[b])])
        linear = config.huber is not None and error > config.huber
        errors.append(error)
        losses.append(config.huber * (error - config.huber / 2) if linear else error**2 / 2)
    return np.array(errors), np.array(losses)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"double": False, "dueling": False, "priority_exponent": 0.0},
        {"huber": None, "max_abs_reward": 0.7, "importance_exponent": 0.0},
    ],
    ids=lambda change: ",".join(change) or "default",
)
def test_loss_and_priorities_are_those_of_every_transition_by_itself(change):
    config = dataclasses.replace(TINY, **change)
    batch, state = _batch(), _state(config)
    errors, losses = _by_hand(config, state, batch)
    _, output = _learner(config).update(state, batch)
    weights = WEIGHTS if config.importance_exponent else np.ones(B)
    np.testing.assert_allclose(output.metrics["loss"], np.mean(weights * losses), rtol=1e-5)
    if config.priority_exponent:
        np.testing.assert_allclose(output.priorities, errors, rtol=1e-4)
    else:
        assert output.priorities is None


def test_double_and_plain_targets_differ_on_this_batch():
    """Else the test above would not tell them apart."""
    plain = dataclasses.replace(TINY, double=False)
    state = _state()
    assert np.any(_by_hand(TINY, state, _batch())[0] != _by_hand(plain, state, _batch())[0])


# --- What is learnt.

CHOICE = EnvironmentSpec(ArraySpec((3,)), ArraySpec((), "int32", 3))
FAST = dqn.Config(torso_layers=(32,), head_layers=(32,), learning_rate=3e-3, target_update_period=20)


def _choices(size=90):
    """One step: the state is one-hot; the action earns 1 if it is the state, 1/2 if it is the next one, else 0."""
    state, action = np.arange(size) % 3, np.arange(size) // 3 % 3
    observation = jnp.eye(3)[state]
    return Transition(
        observation=observation,
        action=jnp.array(action, jnp.int32),
        reward=jnp.array([1.0, 0.5, 0.0])[(action - state) % 3],
        discount=jnp.zeros(size),
        next_observation=observation,
        next_action=jnp.zeros(size, jnp.int32),
        next_last=jnp.ones(size, bool),
        sample_info=SampleInfo(jnp.full(size, 1 / size), jnp.zeros(size, jnp.int32)),
    )


def _train(config, batch, num_updates):
    learner = dqn.make(config).learner(CHOICE)
    loop = jax.jit(lambda s: jax.lax.scan(lambda s, _: learner.update(s, batch), s, None, length=num_updates))
    state, output = loop(learner.init(KEY))
    return networks.make_network(config, CHOICE).apply(state.online, jnp.eye(3)), state, output


@pytest.mark.long
def test_learns_the_value_of_the_best_choice_for_ever():
    """In a loop that discounts by 0.8, the best is worth 1 / (1 - 0.8) = 5, and the others 0.5 or 1 less."""
    batch = _choices()._replace(discount=jnp.full(90, 0.8), next_last=jnp.zeros(90, bool))
    q_values, _, _ = _train(FAST, batch, 1500)
    np.testing.assert_allclose(q_values, [[5, 4.5, 4], [4, 5, 4.5], [4.5, 4, 5]], atol=0.15)


# --- Bookkeeping.


def test_target_network_is_copied_every_period_and_only_then():
    states, batch = [_learner().init(KEY)], _batch()
    for _ in range(7):
        states.append(_learner().update(states[-1], batch)[0])
    assert [int(state.steps) for state in states] == list(range(8))
    for step, copied_at in enumerate([0, 0, 0, 3, 3, 3, 6, 6]):
        assert not _differ(states[step].target, states[copied_at].online)
    assert _differ(states[3].online, states[0].online)


def test_gradients_are_clipped():
    # Adam's first step is g / (|g| + epsilon) elementwise: with a large epsilon it is as large as the gradient.
    config = dataclasses.replace(TINY, max_gradient_norm=0.125, adam_epsilon=1e6, learning_rate=1e6)
    state = _state(config)
    after, output = _learner(config).update(state, _batch())
    assert output.metrics["gradient_norm"] > 0.25
    moved = jax.tree.map(lambda x, y: np.sum(np.square(x - y)), after.online, state.online)
    np.testing.assert_allclose(np.sqrt(sum(jax.tree.leaves(moved))), 0.125, rtol=1e-3)


def test_replay_is_as_configured():
    spec = dqn.make(dqn.Config(priority_exponent=0.0, n_step=3, discount=0.9)).replay(SPEC)
    assert spec.experience == Transitions(3, 0.9)
    assert spec.priority_exponent == 0.0
    assert dqn.make(dqn.Config()).replay(SPEC).priority_exponent == 0.6
    assert (spec.batch_size, spec.min_size, spec.max_size, spec.samples_per_insert) == (64, 1_000, 1_000_000, 32.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"huber": 0.0}, "huber must be at least 1e-06, not 0.0"),
        ({"epsilon_start": 1.5}, r"epsilon_start must lie in \[0, 1\], not 1.5"),
        ({"epsilon_updates": 0}, "epsilon_updates must be at least 1, not 0"),
        ({"head_layers": ()}, "head_layers must be at least 1"),
        ({"min_replay_size": 10, "max_replay_size": 9}, "training would never begin"),
    ],
)
def test_wrong_numbers_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dqn.Config(**change)


def test_continuous_actions_and_vector_rewards_are_refused():
    agent = dqn.make(TINY)
    continuous = EnvironmentSpec(ArraySpec((1,)), ArraySpec((2,)))
    vector = EnvironmentSpec(ArraySpec((1,)), ArraySpec((), "int32", 2), ArraySpec((3,)))
    for make in (agent.learner, lambda spec: agent.actor(spec, ActorContext(evaluation=True))):
        with pytest.raises(ValueError, match="DQN needs discrete actions"):
            make(continuous)
        with pytest.raises(ValueError, match="DQN needs one reward"):
            make(vector)
