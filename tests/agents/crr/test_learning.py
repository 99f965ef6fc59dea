"""CRR's update finds a bandit's best action where BC cannot, is BC where every weight is one, and its bookkeeping."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import bc, crr
from acme_agents.agents.crr import networks
from acme_agents.core.interfaces import ActorContext
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Transition

pytestmark = pytest.mark.slow

SPEC = EnvironmentSpec(ArraySpec((3,)), ArraySpec((2,)))
BANDIT = EnvironmentSpec(ArraySpec((1,)), ArraySpec((1,)))
TINY = crr.Config(critic="scalar", policy="gaussian", policy_layers=(4,), critic_layers=(4,))
KEY = jax.random.PRNGKey(0)


@functools.cache
def _learner(config=TINY):
    """The learner's functions, jitted once for all tests."""
    core = crr.make(config).learner(SPEC)
    return core._replace(init=jax.jit(core.init), update=jax.jit(core.update))


def _batch(seed=0, size=16, spec=SPEC):
    rng = np.random.default_rng(seed)

    def uniform(*shape):
        return jnp.array(rng.uniform(-1, 1, (size, *shape)), jnp.float32)

    return Transition(
        observation=uniform(*spec.observation.shape),
        action=uniform(*spec.action.shape),
        reward=uniform(),
        discount=jnp.full(size, 0.9),
        next_observation=uniform(*spec.observation.shape),
        next_action=uniform(*spec.action.shape),
        next_last=jnp.zeros(size, bool),
    )


def _assert_trees_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def _differ(a, b):
    return any(jax.tree.leaves(jax.tree.map(lambda x, y: bool(np.any(x != y)), a, b)))


# --- Behaviour cloning is the special case.


def _one_by_one(core, batches):
    update, state = jax.jit(core.update), core.init(KEY)
    for i in range(20):
        state, _ = update(state, jax.tree.map(lambda x, i=i: x[i % 4], batches))
    return jax.tree.leaves(core.params(state))


def _in_one_loop(core, batches):
    """As the runtime does it: a loop of many updates in one call, whose metrics are summed."""

    def one(state, i):
        state, output = core.update(state, jax.tree.map(lambda x: x[i % 4], batches))
        return state, output.metrics

    def body(i, carry):
        state, total = carry
        state, metrics = one(state, i)
        return state, jax.tree.map(jnp.add, total, metrics)

    @jax.jit
    def loop(state, length):
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(one, state, 0)[1])
        return jax.lax.fori_loop(0, length, body, (state, zeros))[0]

    return jax.tree.leaves(core.params(loop(core.init(KEY), 100)))


def _cloned_and_weighted(updates, **options):
    """The policies of BC, and of CRR with each of three weights."""
    batches = jax.tree.map(lambda *x: jnp.stack(x), *[_batch(seed) for seed in range(4)])
    cloning = bc.Config(policy_layers=(16, 16), learning_rate=1e-3, **options)
    yield updates(bc.make(cloning).learner(SPEC), batches)
    for change in ({"weight": "all"}, {"weight": "exp", "beta": 1e12}, {"weight": "exp"}):
        config = dataclasses.replace(TINY, policy_layers=(16, 16), policy_learning_rate=1e-3, **options, **change)
        yield updates(crr.make(config).learner(SPEC), batches)


@pytest.mark.parametrize("kind", ["mixture", "gaussian", "tanh-gaussian"])
def test_equal_weights_are_behaviour_cloning_bit_for_bit(kind):
    policies = _cloned_and_weighted(_in_one_loop, policy=kind)
    _assert_trees_equal(next(policies), next(policies))


def test_infinite_temperature_is_behaviour_cloning_bit_for_bit_and_a_finite_one_is_not():
    cloned, equal, infinite, finite = _cloned_and_weighted(_one_by_one, policy="gaussian")
    _assert_trees_equal(equal, cloned)
    _assert_trees_equal(infinite, cloned)
    assert _differ(finite, cloned)


# --- What is learnt.


def _bandit(size=256):
    """One-step episodes: observations -1 and 1 have best actions -0.3 and 0.3; the data's are uniform, of mean zero."""
    observation = jnp.where(jnp.arange(size) % 2 == 0, -1.0, 1.0)
    action = jnp.repeat(jnp.linspace(-1.0, 1.0, size // 2), 2)
    return Transition(
        observation=observation[:, None],
        action=action[:, None],
        reward=1.0 - jnp.square(action - 0.3 * observation),
        discount=jnp.zeros(size),
        next_observation=observation[:, None],
        next_action=jnp.zeros((size, 1)),
        next_last=jnp.ones(size, bool),
    )


def _train(config, batch, num_updates, spec=BANDIT):
    learner = crr.make(config).learner(spec)
    loop = jax.jit(lambda s: jax.lax.scan(lambda s, _: learner.update(s, batch), s, None, length=num_updates))
    state, output = loop(learner.init(KEY))
    return state, output.metrics


def _mode(config, state, observation):
    actor = crr.make(config).actor(BANDIT, ActorContext(evaluation=True))
    learner = crr.make(config).learner(BANDIT)
    return float(actor.select_action(learner.params(state), jnp.array([observation]), KEY)[0][0])


FAST = crr.Config(
    policy="gaussian",
    policy_layers=(32, 32),
    critic_layers=(32, 32),
    vmin=-1.0,
    vmax=2.0,
    num_atoms=31,
    init_scale=0.1,
    policy_learning_rate=3e-3,
    critic_learning_rate=3e-3,
    target_update_period=20,
)


@pytest.mark.parametrize(
    "change",
    [
        {"weight": "binary", "baseline": "max", "policy": "mixture", "critic": "scalar", "bootstrap": "sarsa"},
        {"weight": "exp", "beta": 0.02, "policy": "tanh-gaussian", "critic": "mixture"},
    ],
    ids=lambda change: "-".join(map(str, change.values())),
)
def test_finds_the_best_actions_of_a_bandit(change):
    config = dataclasses.replace(FAST, **change)
    state, metrics = _train(config, _bandit(), 1000)
    for observation in (-1.0, 1.0):
        assert _mode(config, state, observation) == pytest.approx(0.3 * observation, abs=0.1)
    assert metrics["policy_stddev"][-1] < 0.35  # the data's is 0.58
    np.testing.assert_allclose(metrics["q_value"][-1], np.mean(_bandit().reward), atol=0.05)


def test_with_equal_weights_finds_the_mean_of_the_data():
    config = dataclasses.replace(FAST, weight="all")
    state, metrics = _train(config, _bandit(), 1000)
    for observation in (-1.0, 1.0):
        assert _mode(config, state, observation) == pytest.approx(0.0, abs=0.05)
    assert metrics["policy_stddev"][-1] == pytest.approx(0.58, abs=0.03)
    np.testing.assert_array_equal(metrics["weight"], np.ones(1000))


def test_sarsa_learns_the_value_of_a_constant_reward():
    """A reward of one at every step of a loop is worth 1 / (1 - 0.9) = 10."""
    config = dataclasses.replace(FAST, critic="scalar", bootstrap="sarsa")
    batch = _bandit()._replace(reward=jnp.ones(256), discount=jnp.full(256, 0.9), next_last=jnp.zeros(256, bool))
    _, metrics = _train(config, batch, 2000)
    assert metrics["q_value"][:20].mean() < 7  # before the first copy of the target: one step beyond the start
    np.testing.assert_allclose(metrics["q_value"][-100:].mean(), 10, atol=0.5)


# --- The critic's target.


def _shifted(network, distance):
    """A network in training whose target is elsewhere than its online parameters."""
    return network._replace(target=jax.tree.map(lambda x: x + distance, network.online))


def _critic(config, params, observation, action):
    return networks.make_networks(config, SPEC).critic.apply(params, observation, action)


def test_sarsa_bootstraps_from_the_datas_next_action_where_there_is_one():
    config, batch = dataclasses.replace(TINY, bootstrap="sarsa"), _batch(size=4)
    # Within an episode; cut short, with rewards that would be seen; terminated, at the end and on the way.
    batch = batch._replace(
        reward=jnp.array([1.0, 1e6, 3.0, 4.0]),
        discount=jnp.array([0.9, 0.9, 0.0, 0.0]),
        next_last=jnp.array([False, True, True, False]),
    )
    learner = _learner(config)
    state = learner.init(KEY)
    state = state._replace(critic=_shifted(state.critic, 0.3))
    after, output = learner.update(state, batch)
    next_value = _critic(config, state.critic.target, batch.next_observation, batch.next_action)
    value = _critic(config, state.critic.online, batch.observation, batch.action)
    error = 0.5 * np.square(batch.reward + batch.discount * next_value - value)
    np.testing.assert_allclose(output.metrics["loss_critic"], (error[0] + error[2] + error[3]) / 3, rtol=1e-5)
    # The transition without a next action has no part in the gradient either.
    other = batch._replace(reward=batch.reward.at[1].set(-7.0), next_action=batch.next_action.at[1].set(0.5))
    _assert_trees_equal(learner.update(state, other)[0].critic.online, after.critic.online)
    # One with a next action has.
    other = batch._replace(next_action=batch.next_action.at[0].set(0.5))
    assert _differ(learner.update(state, other)[0].critic.online, after.critic.online)


def test_target_bootstraps_from_the_target_networks_and_every_transition_counts():
    """A target critic that says 7 everywhere: the loss is that of r + 0.9 * 7, at a time limit too."""
    learner, batch = _learner(), _batch()._replace(next_last=jnp.ones(16, bool))
    state = learner.init(KEY)
    seven = jax.tree.map(jnp.zeros_like, state.critic.online)
    (last,) = [name for name, module in seven.items() if module.get("b", np.zeros(0)).shape == (1,)]
    seven[last]["b"] = jnp.full(1, 7.0)
    _, output = learner.update(state._replace(critic=state.critic._replace(target=seven)), batch)
    q_tm1 = _critic(TINY, state.critic.online, batch.observation, batch.action)
    expected = np.mean(0.5 * np.square(batch.reward + 0.9 * 7.0 - q_tm1))
    np.testing.assert_allclose(output.metrics["loss_critic"], expected, rtol=1e-5)
    np.testing.assert_allclose(output.metrics["q_value"], np.mean(q_tm1), rtol=1e-5)


def test_target_policy_chooses_the_next_actions():
    """Of a target policy without noise, the loss is that of its mean."""
    config = dataclasses.replace(TINY, policy_init_stddev=1e-9, policy_min_stddev=0.0, num_bootstrap_actions=3)
    learner, batch = _learner(config), _batch()
    state = learner.init(KEY)
    state = state._replace(policy=_shifted(state.policy, 0.2))
    _, output = learner.update(state, batch)
    mean = networks.make_networks(config, SPEC).policy.apply(state.policy.target, batch.next_observation).mean
    target = batch.reward + 0.9 * _critic(config, state.critic.target, batch.next_observation, mean)
    value = _critic(config, state.critic.online, batch.observation, batch.action)
    np.testing.assert_allclose(output.metrics["loss_critic"], np.mean(0.5 * np.square(target - value)), rtol=1e-4)


def test_advantage_is_the_online_critics_over_the_online_policy():
    """With many samples the baseline is close to the value's expectation; nothing of the targets enters."""
    config = dataclasses.replace(TINY, policy_init_stddev=0.1, num_action_samples=200)
    learner, batch = _learner(config), _batch()
    state = learner.init(KEY)
    shifted = state._replace(policy=_shifted(state.policy, 0.5), critic=_shifted(state.critic, 0.5))
    _, output = learner.update(shifted, batch)
    nets = networks.make_networks(config, SPEC)
    samples = nets.policy.head.sample(KEY, nets.policy.apply(state.policy.online, batch.observation), 2000)
    baseline = jax.vmap(nets.critic.apply, (None, None, 0))(state.critic.online, batch.observation, samples).mean(0)
    advantage = nets.critic.apply(state.critic.online, batch.observation, batch.action) - baseline
    np.testing.assert_allclose(output.metrics["advantage"], np.mean(advantage), atol=2e-3)
    np.testing.assert_allclose(output.metrics["advantage_positive"], np.mean(advantage > 0), atol=0.07)
    np.testing.assert_allclose(output.metrics["weight"], np.mean(np.exp(advantage)), atol=5e-3)


# --- Bookkeeping.


def test_target_networks_are_copied_every_period_and_only_then():
    learner = _learner(dataclasses.replace(TINY, target_update_period=3))
    update = learner.update
    states = [learner.init(KEY)]
    for _ in range(7):
        states.append(update(states[-1], _batch())[0])
    assert [int(state.policy.steps) for state in states] == list(range(8))
    for step, copied_at in enumerate([0, 0, 0, 3, 3, 3, 6, 6]):
        _assert_trees_equal(states[step].policy.target, states[copied_at].policy.online)
        _assert_trees_equal(states[step].critic.target, states[copied_at].critic.online)
    assert _differ(states[3].policy.online, states[0].policy.online)
    assert _differ(states[3].critic.online, states[0].critic.online)


def test_policy_and_critic_have_learning_rates_of_their_own():
    for still, moves in (("policy", "critic"), ("critic", "policy")):
        learner = _learner(dataclasses.replace(TINY, **{f"{still}_learning_rate": 0.0}))
        state = learner.init(KEY)
        after, _ = learner.update(state, _batch())
        _assert_trees_equal(getattr(after, still).online, getattr(state, still).online)
        assert _differ(getattr(after, moves).online, getattr(state, moves).online)


def test_every_update_draws_other_actions():
    learner = _learner()
    update, state = learner.update, learner.init(KEY)
    after, _ = update(state, _batch())
    assert np.any(after.key != state.key)
    other, _ = update(state._replace(key=jax.random.PRNGKey(9)), _batch())
    assert _differ(after.critic.online, other.critic.online)
    assert _differ(after.policy.online, other.policy.online)
    _assert_trees_equal(update(state, _batch())[0], after)


def test_published_parameters_are_what_the_configured_evaluation_needs():
    learner = _learner()
    state, _ = learner.update(learner.init(KEY), _batch())
    _assert_trees_equal(learner.params(state), networks.ActorParams(state.policy.online, ()))
    by_critic = _learner(dataclasses.replace(TINY, evaluation="cwp"))
    _assert_trees_equal(by_critic.params(state), networks.ActorParams(state.policy.online, state.critic.online))
    assert _differ(state.policy.online, state.policy.target)
    assert _differ(state.critic.online, state.critic.target)


def test_other_environments_are_refused_in_a_sentence():
    agent = crr.make(crr.Config())
    discrete = EnvironmentSpec(ArraySpec((1,)), ArraySpec((), "int32", num_values=4))
    vector = dataclasses.replace(SPEC, reward=ArraySpec((2,)))
    for spec, sentence in (
        (discrete, "CRR needs continuous actions, and this environment has 4 discrete ones"),
        (vector, "CRR needs one reward, and this environment has a vector of 2"),
    ):
        with pytest.raises(ValueError, match=sentence):
            agent.actor(spec, ActorContext(evaluation=False))
        with pytest.raises(ValueError, match=sentence):
            agent.learner(spec)


def test_replay_is_as_configured():
    config = crr.Config(
        n_step=3, discount=0.5, batch_size=7, min_replay_size=11, max_replay_size=13, samples_per_insert=17.0
    )
    replay = crr.make(config).replay(SPEC)
    assert (replay.experience.n, replay.experience.discount) == (3, 0.5)
    assert (replay.batch_size, replay.min_size, replay.max_size, replay.samples_per_insert) == (7, 11, 13, 17.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"critic_layers": ()}, "critic_layers must be at least 1"),
        ({"num_action_samples": 0}, "num_action_samples must be at least 1"),
        ({"beta": 0.0}, "beta must be at least 1e-06"),
        ({"num_atoms": 1}, "num_atoms must be at least 2"),
        ({"discount": 1.5}, r"discount must lie in \[0, 1\]"),
        ({"vmin": 100.0}, "vmin must be below vmax"),
        ({"min_replay_size": 10, "max_replay_size": 5}, "training would never begin"),
    ],
)
def test_values_out_of_range_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        crr.Config(**change)
