"""R2D2's update: what it learns from, what it learns, and its bookkeeping."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import r2d2
from acme_agents.agents.r2d2 import networks
from acme_agents.core import recurrent, returns
from acme_agents.core.experience import Sequences
from acme_agents.core.interfaces import ActorContext
from acme_agents.core.types import ArraySpec, EnvironmentSpec, SampleInfo, Sequence, Step
from tests.agents.r2d2.toys import SPEC, TINY, H, random_batch

KEY = jax.random.PRNGKey(0)


@functools.cache
def _learner(config=TINY):
    """The learner's functions, jitted once for all tests."""
    core = r2d2.make(config).learner(SPEC)
    return core._replace(init=jax.jit(core.init), update=jax.jit(core.update))


def _state(config=TINY):
    """A training state whose target network is another than the online one."""
    learner = _learner(config)
    return learner.init(KEY)._replace(target=learner.init(jax.random.PRNGKey(1)).online)


def _update(batch, config=TINY, state=None):
    return _learner(config).update(state or _state(config), batch)


def _assert_trees_close(a, b, **tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


def _differ(a, b):
    return any(jax.tree.leaves(jax.tree.map(lambda x, y: bool(np.any(x != y)), a, b)))


# --- The loss and the priorities.


def _by_hand(config, state, batch):
    """The loss and the priorities, transition by transition, from the two networks' values."""
    net = networks.make_networks(config, SPEC)
    memory = (
        jax.tree.map(lambda x: x[:, 0], batch.steps.extras)
        if config.initial_state == "stored"
        else recurrent.zero_state(batch.num_steps.shape[0], H)
    )
    inputs = networks.inputs_of(batch, 3)
    online, target = (np.asarray(net.unroll(p, inputs, memory)[0]) for p in (state.online, state.target))
    h, inverse = (returns.rescale, returns.unrescale) if config.value_rescaling else (lambda x: x, lambda x: x)
    squares, errors = [], []
    for b, m in enumerate(np.asarray(batch.num_steps)):
        found = []
        for t in range(0 if batch.episode_step[b] == 0 else config.burn_in_length, m - 1):
            total, factor = 0.0, 1.0
            for i in range(t, end := min(t + config.n_step, m - 1)):
                reward = float(batch.steps.reward[b, i])
                if config.max_abs_reward is not None:
                    reward = min(max(reward, -config.max_abs_reward), config.max_abs_reward)
                total += factor * reward
                factor *= config.discount * float(batch.steps.discount[b, i])
            value = inverse(target[b, end, online[b, end].argmax()])
            found.append(float(h(total + factor * value)) - online[b, t, int(batch.steps.action[b, t])])
        squares.append(0.5 * np.sum(np.square(found)))
        errors.append(np.abs(found))
    share = config.max_priority_share
    priority = [share * e.max() + (1 - share) * e.mean() if len(e) else 0.0 for e in errors]
    return np.array(squares), np.array(priority)


@pytest.mark.long
@pytest.mark.parametrize(
    "change",
    [
        {},
        pytest.param({"initial_state": "zero"}, marks=pytest.mark.slow),
        pytest.param({"burn_in_length": 0, "trace_length": 6}, marks=pytest.mark.slow),
        pytest.param({"value_rescaling": False, "max_abs_reward": 0.5, "n_step": 1}, marks=pytest.mark.slow),
    ],
    ids=lambda change: ",".join(change) or "default",
)
def test_loss_and_priorities_are_those_of_every_transition_by_itself(change):
    config = dataclasses.replace(TINY, **change)
    batch, state = random_batch(config), _state(config)
    squares, priority = _by_hand(config, state, batch)
    _, output = _update(batch, config, state)
    weights = np.array([1, 0.5, 0.25, 1, 0.5]) ** 0.6
    np.testing.assert_allclose(output.metrics["loss"], np.mean(weights * squares), rtol=1e-4)
    np.testing.assert_allclose(output.metrics["importance_weight"], weights.mean(), rtol=1e-6)
    np.testing.assert_allclose(output.priorities, priority, rtol=1e-3, atol=1e-5)
    assert (priority[4] == 0.0) == (config.burn_in_length > 0)  # shorter than the burn-in, and not an episode's start


def _shortened(batch, config, params):
    """The batch without its burn-in, its LSTM states those behind it."""
    net, k = networks.make_networks(config, SPEC), config.burn_in_length
    inputs = jax.tree.map(lambda x: x[:, :k], networks.inputs_of(batch, 3))
    _, memory = net.unroll(params, inputs, jax.tree.map(lambda x: x[:, 0], batch.steps.extras))
    steps = jax.tree.map(lambda x: x[:, k:], batch.steps)
    return batch._replace(
        steps=steps._replace(extras=jax.tree.map(lambda x: jnp.repeat(x[:, None], 7 - k, axis=1), memory)),
        num_steps=batch.num_steps - k,
        episode_step=batch.episode_step + k,
        previous_action=batch.steps.action[:, k - 1],
        previous_reward=batch.steps.reward[:, k - 1],
    )


@pytest.mark.long
def test_burn_in_makes_the_state_and_nothing_else():
    """One update is that of the traces alone, each from the state that its burn-in led to: no gradient goes further."""
    batch = random_batch(num_steps=(7, 7, 5, 4, 7), episode_step=(3, 6, 1, 2, 9))
    state = _learner().init(KEY)  # both networks are the same, and so are the states that they come to
    after, output = _update(batch, state=state)
    no_burn_in = dataclasses.replace(TINY, burn_in_length=0)
    expected, expected_output = _update(_shortened(batch, TINY, state.online), no_burn_in, state)
    _assert_trees_close(after.online, expected.online, atol=1e-6)
    _assert_trees_close(output.priorities, expected_output.priorities, rtol=1e-4)
    np.testing.assert_allclose(output.metrics["gradient_norm"], expected_output.metrics["gradient_norm"], rtol=1e-4)


def test_a_sequence_that_begins_its_episode_has_no_burn_in():
    batch = random_batch(num_steps=(7, 4, 2, 5, 7), episode_step=(0, 0, 0, 0, 0))
    state = _state()
    after, output = _update(batch, state=state)
    expected, expected_output = _update(batch, dataclasses.replace(TINY, burn_in_length=0, trace_length=6), state)
    _assert_trees_close(after.online, expected.online, atol=1e-6)
    np.testing.assert_allclose(output.metrics["gradient_norm"], expected_output.metrics["gradient_norm"], rtol=1e-4)
    assert output.metrics["transitions"] == 6 + 3 + 1 + 4 + 6
    # Were it in the middle of one, the gradient would be another.
    _, middle = _update(batch._replace(episode_step=jnp.ones(5, jnp.int32)), state=state)
    assert middle.metrics["transitions"] == 4 + 1 + 0 + 2 + 4


# --- What is learnt.

CUE = EnvironmentSpec(ArraySpec((2,)), ArraySpec((), "int32", 2))
FAST = dataclasses.replace(
    TINY,
    torso_layers=(16,),
    lstm_size=16,
    head_layers=(16,),
    burn_in_length=0,
    trace_length=4,
    n_step=1,
    learning_rate=5e-3,
    adam_epsilon=1e-6,
    target_update_period=50,
)


def _cues(size=64, length=4):
    """Whole episodes, at random: the first observation is the cue, and the last action earns 4 if it is the cue's."""
    rng = np.random.default_rng(0)
    cue, action = np.arange(size) % 2, rng.integers(0, 2, (size, length + 1))
    observation = np.zeros((size, length + 1, 2), np.float32)
    observation[:, 0, 0] = 2 * cue - 1
    observation[..., 1] = np.arange(length + 1) / length
    reward = np.zeros((size, length + 1), np.float32)
    reward[:, length - 1] = 4.0 * (action[:, length - 1] == cue)
    discount = np.ones((size, length + 1), np.float32)
    discount[:, length - 1 :] = 0.0
    memory = recurrent.State(*jnp.zeros((2, size, length + 1, 16)))
    last = jnp.broadcast_to(jnp.arange(length + 1) == length, (size, length + 1))
    steps = Step(*(jnp.array(x) for x in (observation, action, reward, discount)), last, memory)
    zeros = jnp.zeros(size, jnp.int32)
    drawn = SampleInfo(jnp.full(size, 1 / size), zeros)
    return Sequence(steps, jnp.full(size, length + 1), zeros, zeros, jnp.zeros(size), drawn), cue


@pytest.mark.long
@pytest.mark.parametrize("rescaling", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_learns_the_values_of_a_cue_that_it_must_remember(rescaling):
    """Q of the last action is 4 where it is the cue's and 0 elsewhere; one step earlier it is 0.9 * 4 for both."""
    config = dataclasses.replace(FAST, value_rescaling=rescaling)
    batch, cue = _cues()
    learner = r2d2.make(config).learner(CUE)
    loop = jax.jit(lambda s: jax.lax.scan(lambda s, _: learner.update(s, batch), s, None, length=1200))
    state, output = loop(learner.init(KEY))
    net = networks.make_networks(config, CUE)
    q_values, _ = net.unroll(state.online, networks.inputs_of(batch, 2), recurrent.zero_state(64, 16))
    q_values = np.asarray(returns.unrescale(q_values) if rescaling else q_values)
    right, wrong = (np.take_along_axis(q_values[:, 3], a[:, None], axis=1) for a in (cue, 1 - cue))
    np.testing.assert_allclose(right, 4.0, atol=0.4)
    np.testing.assert_allclose(wrong, 0.0, atol=0.4)
    for t in range(3):
        np.testing.assert_allclose(q_values[:, t], 4 * 0.9 ** (3 - t), atol=0.5)
    assert output.metrics["loss"][-20:].mean() < 0.02 < output.metrics["loss"][0]
    assert np.mean(output.priorities[-1]) < 0.1 * np.mean(output.priorities[0])


# --- Bookkeeping.


def test_target_network_is_copied_every_period_and_only_then():
    states, batch = [_learner().init(KEY)], random_batch()
    for _ in range(7):
        states.append(_learner().update(states[-1], batch)[0])
    assert [int(state.steps) for state in states] == list(range(8))
    for step, copied_at in enumerate([0, 0, 0, 3, 3, 3, 6, 6]):
        _assert_trees_close(states[step].target, states[copied_at].online, rtol=0)
    assert _differ(states[3].online, states[0].online)


@pytest.mark.slow
def test_gradients_are_clipped():
    # Adam's first step is g / (|g| + epsilon) elementwise: with a large epsilon it is as large as the gradient.
    config = dataclasses.replace(TINY, max_gradient_norm=0.125, adam_epsilon=1e6, learning_rate=1e6)
    state = _state(config)
    after, output = _update(random_batch(), config, state)
    assert output.metrics["gradient_norm"] > 0.25
    moved = jax.tree.map(lambda x, y: np.sum(np.square(x - y)), after.online, state.online)
    np.testing.assert_allclose(np.sqrt(sum(jax.tree.leaves(moved))), 0.125, rtol=1e-3)


def test_published_parameters_are_the_online_networks():
    learner = _learner()
    state, _ = _update(random_batch())
    _assert_trees_close(learner.params(state), state.online, rtol=0)


def test_replay_is_as_configured():
    spec = r2d2.make(r2d2.Config()).replay(SPEC)
    assert spec.experience == Sequences(length=121, period=40)
    assert (spec.batch_size, spec.samples_per_insert, spec.priority_exponent) == (64, 4.0, 0.9)
    assert (spec.min_size, spec.max_size) == (1_000, 100_000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sequence_period": 5}, "sequence_period, 5, must not be above trace_length, 4: transitions between"),
        ({"epsilon_min": 0.95}, r"epsilon_min, 0.95, must not be above epsilon_max, 0.9\."),
        ({"epsilon_min": 0.0}, "epsilon_min must be at least 1e-06, not 0.0"),
        ({"max_priority_share": 1.5}, r"max_priority_share must lie in \[0, 1\], not 1.5"),
        ({"discount": -0.1}, r"discount must lie in \[0, 1\]"),
        ({"max_abs_reward": -1.0}, "max_abs_reward must be at least 0, not -1.0"),
        ({"initial_state": "Stored"}, "initial_state must be stored or zero, not 'Stored'"),
        ({"burn_in_length": -1}, "burn_in_length must be at least 0, not -1"),
        ({"min_replay_size": 10, "max_replay_size": 9}, "training would never begin"),
    ],
)
def test_wrong_numbers_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)


def test_continuous_actions_and_vector_rewards_are_refused():
    agent = r2d2.make(TINY)
    continuous = EnvironmentSpec(ArraySpec((1,)), ArraySpec((2,)))
    vector = EnvironmentSpec(ArraySpec((1,)), ArraySpec((), "int32", 2), ArraySpec((3,)))
    for make in (agent.learner, lambda spec: agent.actor(spec, ActorContext(evaluation=True))):
        with pytest.raises(ValueError, match="R2D2 needs discrete actions"):
            make(continuous)
        with pytest.raises(ValueError, match="R2D2 needs one reward"):
            make(vector)
