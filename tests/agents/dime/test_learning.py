"""DiME's update learns a trade-off, a behaviour and a policy for all preferences; and its bookkeeping."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import dime
from acme_agents.agents.dime import learning, networks
from acme_agents.core import teaching
from acme_agents.core.interfaces import ActorContext
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Transition

pytestmark = pytest.mark.slow

ONE = EnvironmentSpec(ArraySpec((1,)), ArraySpec((1,)))
TWO = dataclasses.replace(ONE, reward=ArraySpec((2,)))
TINY = dime.Config(critic="scalar", policy_layers=(4,), critic_layers=(4,), num_actions=3)
FAST = dime.Config(
    critic="scalar",
    policy_layers=(32, 32),
    critic_layers=(32, 32),
    epsilon_penalty=None,
    policy_init_stddev=0.2,  # so that few samples are clipped, and
    epsilon_stddev=1e-8,  # it stays there, which the expected means depend on
    num_actions=32,  # few samples' largest weights say less than their expectation
    learning_rate=5e-3,
    target_update_period=10,
    init_log_temperature=0.0,
    init_log_alpha_mean=0.0,
)
TEACHER = teaching.Teacher(
    act=lambda key, observation: 0.6 * observation,
    action=lambda observation: 0.6 * observation,
    value=lambda observation, action: jnp.zeros(len(action)),
)
ALPHAS = np.array([0.25, 0.5, 0.75])


def _transitions(observation, action, reward):
    """One-step episodes, all arguments [B] or, of the reward, [B, K]."""
    return Transition(
        observation=observation[:, None],
        action=action[:, None],
        reward=reward,
        discount=jnp.zeros(len(action)),
        next_observation=observation[:, None],
        next_action=jnp.zeros((len(action), 1)),
        next_last=jnp.ones(len(action), bool),
    )


def _tradeoff(size=64):
    """probe:tradeoff by uniformly random actions: the objectives' best actions are 1/2 and -1/2."""
    action = jnp.linspace(-1.0, 1.0, size)
    reward = 1 - jnp.square(action[:, None] - jnp.array([[0.5, -0.5]]))
    return _transitions(jnp.ones(size), action, reward)


def _random(size=8):
    rng = np.random.default_rng(0)
    observation, action = (jnp.array(rng.uniform(-1, 1, size), jnp.float32) for _ in range(2))
    return _transitions(observation, action, jnp.array(rng.normal(size=(size, 2)), jnp.float32))


def _train(learner, batch, num_updates=1000):
    """The state after some updates on one batch, and the metrics of the last."""

    def update(state, _):
        state, output = learner.update(state, batch)
        return state, output.metrics

    state, metrics = jax.lax.scan(update, learner.init(jax.random.PRNGKey(0)), None, length=num_updates)
    return state, jax.tree.map(lambda x: x[-1], metrics)


def _means(config, preferences, batch, spec=TWO, teacher=None):
    """The policy's mean and standard deviation at an observation of 1, trained for each preference [P, M]: [P] each."""
    nets = networks.make_networks(config, spec)

    def train(preference):
        learner = learning.make_learner(config, nets._replace(preference=preference), 1, teacher)
        state, _ = _train(learner, batch)
        policy = nets.policy.apply(state.policy.online, jnp.ones((1, 1)), preference[None])
        return policy.mean[0, 0], policy.stddev[0, 0]

    means, stddevs = jax.jit(lambda x: jax.lax.map(train, x))(jnp.asarray(preferences, jnp.float32))
    return np.asarray(means), np.asarray(stddevs)


# --- What is learnt.


def _expected(method, alpha, stddev, epsilon=0.1):
    """Where the exact iteration of probe:tradeoff rests, of a policy N(m, stddev).

    Expert k, N(m, s) exp(-(a - c_k)^2 / eta_k), is the Gaussian of mean m + x_k (c_k - m) and variance s^2 (1 - x_k),
    where x_k in [0, 1) grows until its KL to the policy, (-x - log(1 - x) + x^2 (c_k - m)^2 / s^2) / 2, is its bound.
    The policy rests at sum_k share_k x_k (c_k - m) = 0. Equal bounds let the nearer optimum pull more per distance,
    so that DiME goes further than scalarisation, which rests at the best sum, m = alpha - 1/2.
    """
    if method == "scalarisation":
        return alpha - 0.5
    weights = np.array([alpha, 1 - alpha])
    shares, bounds = (weights, [epsilon] * 2) if method == "dime" else ([1, 1], 2 * epsilon * weights)

    def pull(m):
        total = 0.0
        for share, bound, distance in zip(shares, bounds, (0.5 - m, -0.5 - m)):
            x = np.linspace(0, 1, 20_000, endpoint=False)
            kl = 0.5 * (-x - np.log1p(-x) + x**2 * distance**2 / stddev**2)
            total += share * x[np.searchsorted(kl, bound)] * distance
        return total

    grid = np.linspace(-0.5, 0.5, 1001)
    return grid[np.argmin([abs(pull(m)) for m in grid])]


@pytest.mark.parametrize("method", ["dime", "mo-mpo", "scalarisation"])
def test_learns_the_trade_off_of_its_method(method):
    """At standard deviation 0.2: +-0.44 for DiME, +-0.38 for MO-MPO and +-0.25 for scalarisation, and 0 between."""
    config = dataclasses.replace(FAST, method=method)
    means, stddevs = _means(config, np.stack([ALPHAS, 1 - ALPHAS], axis=1), _tradeoff())
    np.testing.assert_allclose(stddevs, 0.2, atol=0.04)
    np.testing.assert_allclose(means, [_expected(method, a, s) for a, s in zip(ALPHAS, stddevs)], atol=0.06)


def test_learns_one_policy_for_all_preferences():
    """Its temperatures are one for all preferences, and equal by symmetry: it rests at alpha - 1/2, as if summed."""
    config = dataclasses.replace(FAST, conditioned=True)
    agent = dime.make(config)
    learner = agent.learner(TWO)
    state, _ = jax.jit(lambda: _train(learner, _tradeoff(128), 1200))()
    found = []
    for alpha in ALPHAS:
        # As an evaluation chooses: another preference, the same parameters.
        actor = dime.make(dataclasses.replace(config, preference=(alpha, 1 - alpha))).actor(
            TWO, ActorContext(evaluation=True)
        )
        found.append(float(actor.select_action(learner.params(state), jnp.ones(1), actor.init(state.key))[0][0]))
    np.testing.assert_allclose(found, ALPHAS - 0.5, atol=0.08)
    # Not far from those trained separately, which have temperatures of their own.
    np.testing.assert_allclose(found, [_expected("dime", alpha, 0.2) for alpha in ALPHAS], atol=0.27)


def _two_actions(size=64):
    """At observation -1 and 1 the data has as often -0.4 as 0.4, and the reward is 1 for the observation's sign.

    Then comes the other observation, for which its action would be the wrong one.
    """
    observation = jnp.where(jnp.arange(size) % 2 == 0, -1.0, 1.0)
    action = jnp.where(jnp.arange(size) % 4 < 2, -0.4, 0.4)
    batch = _transitions(observation, action, (action * observation > 0).astype(jnp.float32))
    return batch._replace(next_observation=-batch.observation)


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ("bc", 0.0),  # the mean of the data
        ("awbc", 0.4),  # the better half of it
        ("teacher", 0.6),
    ],
)
def test_learns_the_behaviour(behaviour, expected):
    config = dataclasses.replace(FAST, behaviour=behaviour, advantage_temperature=0.1)
    # With all weight on the behaviour no objective would say what an advantage is.
    preference = [[1e-3, 1.0 - 1e-3]]
    means, _ = _means(config, preference, _two_actions(), ONE, teacher=TEACHER)
    np.testing.assert_allclose(means, expected, atol=0.06)


def test_a_behaviour_holds_the_policy_back():
    """The objective alone goes to 1/2; half of the weight on data whose mean is 0 keeps it well below."""
    batch = _tradeoff()._replace(reward=_tradeoff().reward[:, 0])
    config = dataclasses.replace(FAST, behaviour="bc")
    (free, held, cloned), _ = _means(config, [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]], batch, ONE)
    assert free == pytest.approx(0.5, abs=0.08)
    assert cloned == pytest.approx(0.0, abs=0.08)
    assert 0.08 < held < 0.42


# --- Bookkeeping.


def test_critics_bootstrap_each_from_its_own_target():
    """Target critics that say 7 and -3 everywhere: the losses are those of r_k + 0.9 * 7 and r_k - 0.9 * 3."""
    learner, batch = dime.make(TINY).learner(TWO), _random()._replace(discount=jnp.full(8, 0.9))
    state = learner.init(jax.random.PRNGKey(0))
    constant = jax.tree.map(jnp.zeros_like, state.critics.online)
    (last,) = [name for name, module in constant.items() if module.get("b", np.zeros(0)).shape == (2, 1)]
    constant[last]["b"] = jnp.array([[7.0], [-3.0]])
    _, output = jax.jit(learner.update)(state._replace(critics=state.critics._replace(target=constant)), batch)
    nets = networks.make_networks(TINY, TWO)
    q_tm1 = nets.critics.apply(state.critics.online, batch.observation, batch.action, jnp.zeros((8, 2)))
    for k, value in enumerate((7.0, -3.0)):
        expected = np.mean(0.5 * np.square(batch.reward[:, k] + 0.9 * value - q_tm1[k]))
        np.testing.assert_allclose(output.metrics[f"loss_critic_{k}"], expected, rtol=1e-5)
        np.testing.assert_allclose(output.metrics[f"q_value_{k}"], np.mean(q_tm1[k]), rtol=1e-5)


def test_critics_are_independent():
    """Rewards of 10^6 in the first objective do not change what the second critic learns, bit for bit."""
    learner, batch = dime.make(TINY).learner(TWO), _random()
    update = jax.jit(learner.update)
    large = batch._replace(reward=batch.reward * jnp.array([[1e6, 1.0]]))
    state, other = (update(learner.init(jax.random.PRNGKey(0)), data)[0] for data in (batch, large))
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x[1], y[1]), state.critics.online, other.critics.online)
    assert any(
        jax.tree.leaves(
            jax.tree.map(lambda x, y: bool(np.any(x[0] != y[0])), state.critics.online, other.critics.online)
        )
    )


def test_critics_begin_differently():
    critics = dime.make(TINY).learner(TWO).init(jax.random.PRNGKey(0)).critics.online
    assert all(np.any(module["w"][0] != module["w"][1]) for module in critics.values() if "w" in module)


@pytest.mark.parametrize(
    ("critic", "behaviour", "conditioned"),
    [
        ("mixture", "none", False),
        ("categorical", "awbc", True),
        ("scalar", "bc", False),
        ("scalar", "teacher", True),
        ("mixture", "none", True),
    ],
)
def test_every_weight_learns(critic, behaviour, conditioned):
    config = dataclasses.replace(TINY, critic=critic, behaviour=behaviour, conditioned=conditioned)
    learner = dime.make(config, teacher=TEACHER).learner(TWO)
    state = learner.init(jax.random.PRNGKey(0))
    after, output = jax.jit(learner.update)(state, _random())
    assert all(np.isfinite(x) for x in output.metrics.values())
    for before, now in ((state.policy.online, after.policy.online), (state.critics.online, after.critics.online)):
        changed = jax.tree.map(lambda x, y: bool(np.any(x != y)), before, now)
        assert all(jax.tree.leaves(changed))


def test_target_networks_are_copied_every_period_and_only_then():
    learner = dime.make(dataclasses.replace(TINY, target_update_period=2)).learner(TWO)
    update, state = jax.jit(learner.update), learner.init(jax.random.PRNGKey(0))
    for step in range(1, 5):
        state, _ = update(state, _random())
        for network in (state.policy, state.critics):
            same = jax.tree.map(np.array_equal, network.target, network.online)
            assert all(jax.tree.leaves(same)) == (step % 2 == 0)


def test_a_teacher_is_not_asked_before_an_update():
    asked = []

    def teacher(key, observation):
        asked.append(observation.shape)
        return jnp.zeros((observation.shape[0], 1))

    agent = dime.make(dataclasses.replace(TINY, behaviour="teacher"), TEACHER._replace(act=teacher))
    agent.actor(TWO, ActorContext(evaluation=True))
    learner = agent.learner(TWO)
    state = learner.init(jax.random.PRNGKey(0))
    assert asked == []
    jax.jit(learner.update)(state, _random())
    assert asked == [(8, 1)]


def test_what_does_not_fit_is_refused_in_a_sentence():
    def learner(spec=TWO, **changes):
        return dime.make(dataclasses.replace(TINY, **changes)).learner(spec)

    discrete = dataclasses.replace(TWO, action=ArraySpec((), "int32", num_values=4))
    with pytest.raises(ValueError, match="DiME needs continuous actions, and this environment has 4 discrete ones"):
        learner(discrete)
    with pytest.raises(ValueError, match="needs a teacher to imitate: give --teacher RUN_DIR"):
        learner(behaviour="teacher")
    with pytest.raises(ValueError, match="mo-mpo has its preference in the E-steps' bounds"):
        learner(conditioned=True, method="mo-mpo")


def test_replay_is_as_configured():
    config = dime.Config(n_step=3, discount=0.5, batch_size=7, min_replay_size=11, max_replay_size=13)
    replay = dime.make(config).replay(TWO)
    assert (replay.experience.n, replay.experience.discount) == (3, 0.5)
    assert (replay.batch_size, replay.min_size, replay.max_size) == (7, 11, 13)
    assert replay.samples_per_insert == config.samples_per_insert


@pytest.mark.parametrize("method", ["dime", "mo-mpo", "scalarisation"])
def test_fitted_temperatures_meet_every_bound(method):
    """Those of two objectives from the first update."""
    config = dataclasses.replace(TINY, method=method, num_actions=20)
    core = dime.make(config).learner(TWO)
    _, output = jax.jit(core.update)(core.init(jax.random.PRNGKey(0)), _random())
    ratios = [output.metrics[name] for name in output.metrics if name.startswith("kl_q_ratio_")]
    np.testing.assert_allclose(ratios, 1.0, rtol=0.01)
    assert len(ratios) == (1 if method == "scalarisation" else 2)
