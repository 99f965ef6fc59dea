"""The probes have the values that their docstrings promise."""

import numpy as np
import pytest

from acme_agents import environments

GAMMA = 0.9


def _episode(env, policy):
    """Plays one episode; returns its time steps, the first one without reward."""
    steps = [env.reset()]
    while not steps[-1].last():
        steps.append(env.step(policy(steps[-1].observation)))
    return steps


def _values(steps, value_of_last):
    """Returns the discounted return from every time step but the last, by the recursion that defines it."""
    value, values = value_of_last, []
    for step in reversed(steps[1:]):
        value = step.reward + GAMMA * step.discount * value
        values.append(value)
    return values[::-1]


def _zero(observation):
    del observation
    return np.zeros(1, np.float32)


def test_constant():
    assert _values(_episode(environments.make("probe:constant", 0), _zero), 99.0) == [1.0]


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("probe:sign", lambda o: o[0]),
        ("probe:pixels", lambda o: 1 if o[0, 15, 0] == 255 else -1),
        ("probe:dict", lambda o: o["state"]["sign"][0]),
    ],
)
def test_sign_and_its_disguises(name, sign):
    env = environments.make(name, seed=0)
    rng = np.random.default_rng(0)

    def mean(policy):
        return np.mean([_episode(env, policy)[-1].reward for _ in range(2000)])

    assert mean(lambda o: np.array([sign(o) / 2])) == 1
    assert mean(lambda o: np.array([-sign(o)])) == pytest.approx(1 - 1.5**2)
    assert mean(lambda o: np.array([-9 * sign(o)])) == pytest.approx(1 - 1.5**2)  # Clipped.
    assert mean(_zero) == pytest.approx(0.75)
    assert mean(lambda o: rng.uniform(-1, 1, 1)) == pytest.approx(5 / 12, abs=0.05)
    assert {float(sign(env.reset().observation)) for _ in range(20)} == {-1.0, 1.0}


def test_pixels_show_the_sign():
    env = environments.make("probe:pixels", seed=0)
    observation = env.reset().observation
    assert observation.shape == (16, 16, 3) and observation.dtype == np.uint8
    assert sorted((observation[:, :8].mean(), observation[:, 8:].mean())) == [0, 255]
    np.testing.assert_array_equal(environments.render_frame(env), observation)


@pytest.mark.parametrize(("name", "length"), [("blank", 1), ("blank3", 3), ("blank8", 8)])
def test_blank_pays_for_the_sign_that_it_shows_and_ends_in_zeros(name, length):
    env = environments.make(f"probe:{name}", seed=0)
    rng = np.random.default_rng(0)

    def episodes(policy):
        return [_episode(env, policy) for _ in range(2000 // length)]

    best = episodes(lambda o: np.array([o.sum() / 2]))
    optimal = [(1 - GAMMA ** (length - t)) / (1 - GAMMA) for t in range(length)]
    for steps in best[:20]:
        np.testing.assert_allclose(_values(steps, 99.0), optimal, rtol=1e-6)
        observations = np.array([step.observation for step in steps])  # [T + 1, T]
        np.testing.assert_array_equal(np.abs(observations), np.eye(length + 1, length))
    assert {float(steps[t].observation[t]) for steps in best[:50] for t in range(length)} == {-1.0, 1.0}
    # The next sign does not depend on this one, nor on the action.
    if length > 1:
        signs = np.array([[step.observation.sum() for step in steps[:2]] for steps in best])
        assert abs(np.mean(signs[:, 0] * signs[:, 1])) < 0.2
    for policy, expected in (
        (lambda o: -o[:1] * 0 - o.sum() / 2, 0.0),
        (_zero, 0.75),
        (lambda o: rng.uniform(-1, 1, 1), 5 / 12),
    ):
        assert np.mean([step.reward for steps in episodes(policy) for step in steps[1:]]) == pytest.approx(
            expected, abs=0.05
        )


def test_delayed():
    steps = _episode(environments.make("probe:delayed", 0), _zero)
    np.testing.assert_allclose(_values(steps, 99.0), [0.9**4, 0.9**3, 0.9**2, 0.9, 1.0], rtol=1e-6)
    np.testing.assert_array_equal([step.observation for step in steps], np.eye(6, 5))


def test_truncation_and_its_twin_termination():
    truncated, terminated = (_episode(environments.make(f"probe:{n}", 0), _zero) for n in ("truncation", "termination"))
    np.testing.assert_allclose(_values(truncated, 1 / (1 - GAMMA)), [10.0] * 5, rtol=1e-6)
    np.testing.assert_allclose(_values(terminated, 99.0), [4.0951, 3.439, 2.71, 1.9, 1.0], rtol=1e-6)
    for one, other in zip(truncated, terminated, strict=True):
        np.testing.assert_array_equal(one.observation, other.observation)
        assert one.reward == other.reward and one.step_type == other.step_type
    np.testing.assert_array_equal(truncated[-1].observation, truncated[0].observation)
    assert (truncated[-1].discount, terminated[-1].discount) == (1, 0)


def test_choice():
    env = environments.make("probe:choice", seed=0)
    for shift, value in ((0, 1.0), (1, 0.5), (2, 0.0)):
        rewards = [_episode(env, lambda o: (np.argmax(o) + shift) % 3)[-1].reward for _ in range(30)]  # noqa: B023
        assert set(rewards) == {value}
    assert {int(np.argmax(env.reset().observation)) for _ in range(30)} == {0, 1, 2}


def test_memory_pays_who_remembers():
    env = environments.make("probe:memory", seed=0)

    def play(act):
        steps = [env.reset()]
        cue = int(steps[0].observation[0] > 0)
        while not steps[-1].last():
            steps.append(env.step(act(cue)))
        return steps

    assert [_values(play(lambda cue: cue), 99.0)[0] for _ in range(20)] == [pytest.approx(0.9**4)] * 20
    assert {play(lambda cue: 1 - cue)[-1].reward for _ in range(20)} == {0.0}
    assert np.mean([play(lambda cue: 0)[-1].reward for _ in range(1000)]) == pytest.approx(0.5, abs=0.06)
    cues = [step.observation[0] for step in play(lambda cue: cue)]
    assert abs(cues[0]) == 1 and cues[1:] == [0] * 5


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5, 1.0])
def test_tradeoff(weight):
    env = environments.make("probe:tradeoff", seed=0)
    assert environments.spec(env).reward.shape == (2,)
    actions = np.linspace(-1, 1, 201)
    rewards = np.array([_episode(env, lambda o: np.array([a]))[-1].reward for a in actions])  # noqa: B023  [201, 2]
    best = int(np.argmax(rewards @ [weight, 1 - weight]))
    assert actions[best] == pytest.approx(weight - 0.5, abs=0.011)
    np.testing.assert_allclose(rewards[best], [1 - (1 - weight) ** 2, 1 - weight**2], atol=0.011)


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.49, 0.51, 0.7, 1.0])
def test_concave_is_best_at_an_end_of_its_front_for_any_weighted_sum(weight):
    env = environments.make("probe:concave", seed=0)
    assert environments.spec(env).reward.shape == (2,)
    actions = np.linspace(-1, 1, 601)
    rewards = np.array([_episode(env, lambda o: np.array([a]))[-1].reward for a in actions])  # noqa: B023  [601, 2]
    best = 1.5 * actions[np.argmax(rewards @ [weight, 1 - weight])]
    assert 0.95 <= (best if weight > 0.5 else -best) <= 1.001


def test_concave_has_a_middle_that_no_weighted_sum_finds():
    env = environments.make("probe:concave", seed=0)
    for action, reward in ((2 / 3, [1, np.exp(-4)]), (0, [np.exp(-1)] * 2), (-2 / 3, [np.exp(-4), 1])):
        last = _episode(env, lambda o: np.array([action]))[-1]  # noqa: B023
        np.testing.assert_allclose(last.reward, reward, rtol=1e-6)
    actions = np.linspace(-1, 1, 601)
    rewards = np.array([_episode(env, lambda o: np.array([a]))[-1].reward for a in actions])  # noqa: B023  [601, 2]
    assert actions[np.argmax(rewards.min(axis=1))] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (lambda o, rng: np.clip(-10 * o, -1, 1), 47.08),
        (lambda o, rng: rng.uniform(-1, 1, 2), 12.63),
        (lambda o, rng: np.zeros(2), 12.81),
    ],
)
def test_reach_returns(policy, expected):
    env, rng = environments.make("probe:reach", seed=0), np.random.default_rng(0)
    episodes = [_episode(env, lambda o: policy(o, rng)) for _ in range(300)]
    returns = [sum(step.reward for step in steps[1:]) for steps in episodes]
    standard_error = np.std(returns) / np.sqrt(300)
    assert np.mean(returns) == pytest.approx(expected, abs=4 * standard_error)
    assert {len(steps) for steps in episodes} == {51}
    assert {float(steps[-1].discount) for steps in episodes} == {1.0}


def test_reach_draws_the_point_where_it_is():
    env = environments.make("probe:reach", seed=0)
    x, y = env.reset().observation
    rows, columns = np.nonzero((environments.render_frame(env) == 255).all(axis=-1))
    assert len(rows) == 64
    assert np.mean(columns) == pytest.approx(63.5 + 60 * x, abs=1.01)
    assert np.mean(rows) == pytest.approx(63.5 - 60 * y, abs=1.01)


def test_slow_is_reach_with_sleep(monkeypatch):
    naps = []
    monkeypatch.setattr("time.sleep", naps.append)
    slow, reach = environments.make("probe:slow", seed=0), environments.make("probe:reach", seed=0)
    act = lambda o: np.full(2, 0.5)  # noqa: E731
    assert [step.reward for step in _episode(slow, act)] == [step.reward for step in _episode(reach, act)]
    assert naps == [0.005] * 50
