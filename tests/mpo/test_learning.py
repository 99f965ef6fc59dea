"""MPO's update learns known values and a known best action; and its bookkeeping, bit by bit."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents import mpo
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Transition
from acme_agents.mpo import networks

SPEC = EnvironmentSpec(ArraySpec((1,)), ArraySpec((1,)))
TINY = mpo.Config(critic="scalar", policy_layers=(4,), critic_layers=(4,), num_actions=3)
FAST = mpo.Config(
    policy_layers=(32, 32),
    critic_layers=(32, 32),
    num_actions=10,
    vmin=-5.0,
    vmax=15.0,
    num_atoms=41,
    init_scale=0.1,
    learning_rate=5e-3,
    target_update_period=20,
    init_log_temperature=-1.0,
    init_log_alpha_mean=0.0,
)


def _batch(spec, size=4, seed=0, discount=0.9):
    rng = np.random.default_rng(seed)

    def value(spec):
        if spec.dtype == "uint8":
            return jnp.array(rng.integers(0, 256, (size, *spec.shape)), jnp.uint8)
        return jnp.array(rng.uniform(-1, 1, (size, *spec.shape)), jnp.float32)

    return Transition(
        observation=jax.tree.map(value, spec.observation),
        action=value(spec.action),
        reward=value(ArraySpec(())),
        discount=jnp.full(size, discount),
        next_observation=jax.tree.map(value, spec.observation),
        next_action=value(spec.action),
        next_last=jnp.zeros(size, bool),
    )


def _assert_trees_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def _differs(a, b):
    """For every leaf, whether the two differ."""
    return jax.tree.map(lambda x, y: bool(np.any(x != y)), a, b)


# --- What is learnt.


class Trainer:
    """A learner whose updates on one batch run in a compiled loop."""

    def __init__(self, config):
        agent = mpo.make(config)
        self.learner, self.actor = agent.learner(SPEC), agent.actor(SPEC, evaluation=True)
        self.init = self.learner.init
        self._loop = jax.jit(self._updates)

    def _updates(self, state, batch):
        def update(state, _):
            state, output = self.learner.update(state, batch)
            return state, output.metrics

        return jax.lax.scan(update, state, None, length=100)

    def train(self, state, batch, num_updates):
        """Returns the state and the metrics of every update, [num_updates]."""
        chunks = []
        for _ in range(num_updates // 100):
            state, metrics = self._loop(state, batch)
            chunks.append(metrics)
        return state, jax.tree.map(lambda *x: np.concatenate(x), *chunks)

    def action(self, state, observation):
        key = jax.random.PRNGKey(0)
        return float(self.actor.select_action(self.learner.params(state), jnp.array([observation]), key)[0][0])


@pytest.fixture(scope="module", params=["mixture", "categorical", "scalar"])
def trainer(request):
    return Trainer(dataclasses.replace(FAST, critic=request.param))


def _bandit(size=64):
    """One-step episodes: two observations, -1 and 1, whose best actions are -0.3 and 0.3."""
    observation = jnp.where(jnp.arange(size) % 2 == 0, -1.0, 1.0)
    action = jax.random.uniform(jax.random.PRNGKey(7), (size,), minval=-1.0, maxval=1.0)
    return Transition(
        observation=observation[:, None],
        action=action[:, None],
        reward=1.0 - jnp.square(action - 0.3 * observation),
        discount=jnp.zeros(size),
        next_observation=observation[:, None],
        next_action=jnp.zeros((size, 1)),
        next_last=jnp.ones(size, bool),
    )


def test_learns_the_rewards_and_the_best_actions_of_a_bandit(trainer):
    batch = _bandit()
    state, metrics = trainer.train(trainer.init(jax.random.PRNGKey(0)), batch, 1000)
    # The critic, at every point of the data, whose rewards lie between -0.69 and 1.
    assert metrics["loss_critic"][-50:].mean() < metrics["loss_critic"][:5].mean()
    np.testing.assert_allclose(metrics["q_value"][-50:].mean(), batch.reward.mean(), atol=0.05)
    error = _q_values(trainer, state, batch) - batch.reward
    assert np.sqrt(np.mean(error**2)) < 0.08
    assert np.abs(error).max() < 0.4
    # The policy.
    for observation in (-1.0, 1.0):
        assert trainer.action(state, observation) == pytest.approx(0.3 * observation, abs=0.1)
    assert abs(trainer.action(trainer.init(jax.random.PRNGKey(0)), 1.0)) < 0.1


def _q_values(trainer, state, batch):
    """Every transition's value, read off the metric."""
    each = jax.vmap(lambda t: trainer.learner.update(state, jax.tree.map(lambda x: x[None], t))[1].metrics["q_value"])
    return jax.jit(each)(batch)


def test_learns_the_value_of_a_constant_reward(trainer):
    """A reward of one at every step of a loop is worth 1 / (1 - 0.9) = 10."""
    batch = _bandit()._replace(reward=jnp.ones(64), discount=jnp.full(64, 0.9))
    state, metrics = trainer.train(trainer.init(jax.random.PRNGKey(0)), batch, 2000)
    assert metrics["q_value"][:20].mean() < 7  # before the first copy of the target: one step beyond the start
    np.testing.assert_allclose(metrics["q_value"][-100:].mean(), 10, atol=0.5)
    np.testing.assert_allclose(_q_values(trainer, state, batch), np.full(64, 10), atol=1.0)


# --- Bookkeeping.


def test_target_networks_are_copied_every_period_and_only_then():
    learner = mpo.make(dataclasses.replace(TINY, target_update_period=3)).learner(SPEC)
    update = jax.jit(learner.update)
    states = [learner.init(jax.random.PRNGKey(0))]
    for _ in range(7):
        states.append(update(states[-1], _batch(SPEC))[0])
    assert [int(state.steps) for state in states] == list(range(8))
    for step, copied_at in enumerate([0, 0, 0, 3, 3, 3, 6, 6]):
        _assert_trees_equal(states[step].target_policy, states[copied_at].policy)
        _assert_trees_equal(states[step].target_critic, states[copied_at].critic)
    assert any(jax.tree.leaves(_differs(states[3].policy, states[0].policy)))
    assert any(jax.tree.leaves(_differs(states[3].critic, states[0].critic)))


def test_bootstraps_from_the_target_critic():
    """A target critic that says 7 everywhere: the loss is that of r + 0.9 * 7 against the online critic."""
    agent = mpo.make(TINY)
    learner, batch = agent.learner(SPEC), _batch(SPEC)
    state = learner.init(jax.random.PRNGKey(0))
    seven = jax.tree.map(jnp.zeros_like, state.critic)
    (last,) = [name for name, module in seven.items() if module.get("b", np.zeros(0)).shape == (1,)]
    seven[last]["b"] = jnp.full(1, 7.0)
    _, output = jax.jit(learner.update)(state._replace(target_critic=seven), batch)
    q_tm1 = networks.make_networks(TINY, SPEC).critic(state.critic, batch.observation, batch.action)
    expected = np.mean(0.5 * np.square(batch.reward + 0.9 * 7.0 - q_tm1))
    np.testing.assert_allclose(output.metrics["loss_critic"], expected, rtol=1e-5)
    np.testing.assert_allclose(output.metrics["q_value"], np.mean(q_tm1), rtol=1e-5)
    np.testing.assert_allclose(output.metrics["kl_q_ratio"], 0.0, atol=1e-5)  # all actions are worth the same


def test_equal_keys_give_equal_parameters_and_others_do_not():
    learner = mpo.make(TINY).learner(SPEC)
    update, batch = jax.jit(learner.update), _batch(SPEC)

    def run(seed):
        state = learner.init(jax.random.PRNGKey(seed))
        for _ in range(3):
            state, _ = update(state, batch)
        return state

    first = run(0)
    _assert_trees_equal(first, run(0))
    assert any(jax.tree.leaves(_differs(first.policy, run(1).policy)))

    # Only the state's key differs: the sampled actions do, and with them everything.
    state = learner.init(jax.random.PRNGKey(0))
    other = update(state._replace(key=jax.random.PRNGKey(9)), batch)[0]
    assert any(jax.tree.leaves(_differs(update(state, batch)[0].policy, other.policy)))
    assert np.any(update(state, batch)[0].key != state.key)


def test_duals_are_clipped_after_the_update():
    learner = mpo.make(TINY).learner(SPEC)
    state = learner.init(jax.random.PRNGKey(0))
    low = jax.tree.map(lambda x: jnp.full_like(x, -30.0), state.duals)
    state, _ = jax.jit(learner.update)(state._replace(duals=low), _batch(SPEC))
    assert all(np.all(x == -18.0) for x in jax.tree.leaves(state.duals))


def test_initial_state_is_as_configured():
    config = dataclasses.replace(TINY, init_log_temperature=1.0, init_log_alpha_mean=2.0, init_log_alpha_stddev=3.0)
    spec = EnvironmentSpec(ArraySpec((1,)), ArraySpec((3,)))
    state = mpo.make(config).learner(spec).init(jax.random.PRNGKey(0))
    assert float(state.duals.log_temperature) == float(state.duals.log_penalty_temperature) == 1.0
    np.testing.assert_array_equal(state.duals.log_alpha_mean, [2.0] * 3)
    np.testing.assert_array_equal(state.duals.log_alpha_stddev, [3.0] * 3)
    _assert_trees_equal(state.target_policy, state.policy)
    _assert_trees_equal(state.target_critic, state.critic)


def test_state_can_be_donated():
    """The runtime donates the state to the update: every leaf has a buffer of its own, and the result is the same."""
    learner = mpo.make(TINY).learner(SPEC)
    batch = _batch(SPEC)
    expected, _ = jax.jit(learner.update)(learner.init(jax.random.PRNGKey(0)), batch)
    state = learner.init(jax.random.PRNGKey(0))
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state)]
    assert len(set(pointers)) == len(pointers)
    update = jax.jit(learner.update, donate_argnums=0)
    once, _ = update(state, batch)
    _assert_trees_equal(once, expected)
    twice, _ = update(once, batch)
    assert int(twice.steps) == 2


def test_published_parameters_are_the_online_policys():
    learner = mpo.make(TINY).learner(SPEC)
    state, _ = jax.jit(learner.update)(learner.init(jax.random.PRNGKey(0)), _batch(SPEC))
    _assert_trees_equal(learner.params(state), state.policy)
    assert any(jax.tree.leaves(_differs(learner.params(state), state.target_policy)))


@pytest.mark.parametrize(
    "observation",
    [
        {"position": ArraySpec((2,)), "speed": ArraySpec(())},
        {"camera": ArraySpec((8, 8, 3), "uint8"), "speed": ArraySpec((1,))},
    ],
    ids=["dict", "pixels"],
)
def test_every_weight_learns_from_structured_observations(observation):
    spec = EnvironmentSpec(observation, ArraySpec((2,)))
    learner = mpo.make(dataclasses.replace(TINY, policy_layers=(8,), critic_layers=(8,))).learner(spec)
    state = learner.init(jax.random.PRNGKey(0))
    after, output = jax.jit(learner.update)(state, _batch(spec, size=8))
    assert all(np.isfinite(x) for x in output.metrics.values())
    for before, now in ((state.policy, after.policy), (state.critic, after.critic)):
        unchanged = [
            path for path, differs in jax.tree_util.tree_leaves_with_path(_differs(before, now)) if not differs
        ]
        assert not unchanged
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(now))


def test_discrete_actions_are_refused_in_a_sentence():
    spec = EnvironmentSpec(ArraySpec((1,)), ArraySpec((), "int32", num_values=4))
    agent = mpo.make(mpo.Config())
    sentence = "MPO needs continuous actions, and this environment has 4 discrete ones"
    with pytest.raises(ValueError, match=sentence):
        agent.actor(spec, evaluation=False)
    with pytest.raises(ValueError, match=sentence):
        agent.learner(spec)


def test_replay_is_as_configured():
    config = mpo.Config(
        n_step=3, discount=0.5, batch_size=7, min_replay_size=11, max_replay_size=13, samples_per_insert=17.0
    )
    replay = mpo.make(config).replay(SPEC)
    assert (replay.experience.n, replay.experience.discount) == (3, 0.5)
    assert (replay.batch_size, replay.min_size, replay.max_size, replay.samples_per_insert) == (7, 11, 13, 17.0)


def test_a_fitted_temperature_meets_the_bound_from_the_first_update():
    """Then it follows its gradient until the target critic is new again. By default it starts at 10, the KL near 0."""
    config = dataclasses.replace(TINY, num_actions=20, fit_temperature=True, target_update_period=3)
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
