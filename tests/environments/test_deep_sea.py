"""Deep sea in numbers: bsuite's returns, mapping and noise."""

import numpy as np
import pytest

from acme_agents import environments


def _play(env, act):
    """Plays one episode of `act(env)`; returns its time steps, the first one without reward."""
    steps = [env.reset()]
    while not steps[-1].last():
        steps.append(env.step(act(env)))
    return steps


def _return(env, act):
    return float(sum(step.reward for step in _play(env, act)[1:]))


def _expert(env):
    return env.expert_action()


def _right(env):
    return env._right[env._row, env._column]


@pytest.mark.parametrize("size", [2, 10, 50])
def test_returns_are_bsuites(size):
    env = environments.make(f"deep-sea:{size}", seed=0)
    assert _return(env, _expert) == pytest.approx(0.99, abs=1e-6)
    assert _return(env, lambda env: 1 - _right(env)) == 0
    # Once left at the start, then right for ever: all of the way costs, and the treasure is missed.
    detour = lambda env: 1 - _right(env) if env._row == 0 else _right(env)  # noqa: E731
    assert _return(env, detour) == pytest.approx(-0.01 * (size - 1) / size, abs=1e-6)


def test_an_episode_is_a_fall_through_all_rows():
    steps = _play(environments.make("deep-sea:10", seed=0), _expert)
    assert len(steps) == 11
    for t, step in enumerate(steps[:-1]):
        np.testing.assert_array_equal(step.observation, np.outer(np.eye(10)[t], np.eye(10)[t]))
    np.testing.assert_array_equal(steps[-1].observation, np.zeros((10, 10)))
    assert [step.discount for step in steps[1:]] == [1] * 9 + [0]
    np.testing.assert_allclose([step.reward for step in steps[1:]], [-0.001] * 9 + [0.999], atol=1e-7)


@pytest.mark.parametrize("limit", [None, 3])
def test_many_that_step_as_one_are_each_what_one_alone_is(limit):
    batch = environments.make_batch("deep-sea:4", [0, 1, 2], max_episode_steps=limit)
    alone = [environments.make("deep-sea:4", seed, max_episode_steps=limit) for seed in (0, 1, 2)]
    rng, timesteps = np.random.default_rng(0), batch.reset()
    expected, num_before = [env.reset() for env in alone], 3
    for t in range(200):
        num_active = 1 + t % 3
        for i in range(3):
            reward, discount = (0, 1) if expected[i].first() else (expected[i].reward, expected[i].discount)
            assert (timesteps.step_type[i], timesteps.reward[i], timesteps.discount[i]) == (
                (expected[i].step_type, reward, discount)
            ) or i >= num_before
            np.testing.assert_array_equal(timesteps.observation[i], expected[i].observation)
        actions = rng.integers(0, 2, 3).astype(np.int32)
        timesteps, num_before = batch.step(actions, num_active), num_active
        expected[:num_active] = [env.step(action) for env, action in zip(alone[:num_active], actions)]
    with pytest.raises(ValueError, match="Expected actions from 0 to 1, got 2"):
        batch.step(np.array([0, 2, 0]), 3)
    assert environments.make_batch("deep-sea:4:stochastic", [0, 1]) is None
    assert environments.make_batch("probe:reach", [0, 1]) is None


def test_the_mapping_is_bsuites_whatever_the_seed():
    # RandomState(42).binomial(1, 0.5, [4, 4]), which is what bsuite's sweep uses; `1` moves right where it is 1.
    expected = np.array([[0, 1, 1, 1], [0, 0, 0, 1], [1, 1, 0, 1], [1, 0, 0, 0]])
    for seed in (0, 1):
        for variant in ("", ":stochastic"):
            np.testing.assert_array_equal(environments.make(f"deep-sea:4{variant}", seed)._right, expected)
    for seed in (0, 1):
        env = environments.make("deep-sea:4", seed)
        env.reset()
        assert env.step(0).observation[1, 1] == 1  # 0 moves right from the start, ...
        assert env.step(1).observation[2, 0] == 1  # ... and 1 moves left from the second row's second cell.
        assert env.step(0).observation[3, 0] == 1  # The side holds the diver.


def test_the_expert_gives_up_what_is_lost():
    env = environments.make("deep-sea:10", seed=0)
    env.reset()
    env.step(1 - env.expert_action())
    rewards = [env.step(env.expert_action()).reward for _ in range(9)]
    assert rewards == [0] * 9
    assert env.expert_action() == 0  # At the end, where no action matters.


def test_a_stochastic_right_move_fails_once_in_n():
    env = environments.make("deep-sea:5:stochastic", seed=0)
    columns = []
    for _ in range(4000):
        env.reset()
        step = env.step(_right(env))
        assert step.reward == pytest.approx(-0.002)  # It costs as much where it fails.
        columns.append(int(np.argmax(step.observation[1])))
    assert set(columns) == {0, 1}
    assert np.mean(columns) == pytest.approx(0.8, abs=4 * 0.4 / np.sqrt(4000))
    for _ in range(100):
        env.reset()
        column = int(np.argmax(env.step(_right(env)).observation[1]))
        left = [int(np.argmax(env.step(1 - _right(env)).observation[row])) for row in (2, 3, 4)]
        assert left == [0, 0, 0] and column in (0, 1)  # Left never fails.


def test_the_ends_of_the_last_row_are_noisy():
    env = environments.make("deep-sea:5:stochastic", seed=0)
    rng = np.random.default_rng(0)
    noise = []
    for _ in range(3000):
        *earlier, before, last = _play(env, lambda env: rng.integers(2))
        assert {float(step.reward) for step in (*earlier[1:], before)} <= {0, float(np.float32(-0.002))}
        if np.argmax(before.observation[4]) in (0, 4):
            noise.append(last.reward)
        else:
            assert last.reward in (0, np.float32(-0.002))
    assert 1000 < len(noise) < 2900 and len(set(noise)) == len(noise)
    assert np.mean(noise) == pytest.approx(0, abs=0.1) and np.std(noise) == pytest.approx(1, abs=0.1)


def test_the_experts_stochastic_return():
    env = environments.make("deep-sea:5:stochastic", seed=0)
    returns = [_return(env, _expert) for _ in range(4000)]
    # It pays for right moves until one of the first four fails; the fifth of N is one too where none did.
    moves = sum(0.8**t for t in range(5))
    assert np.mean(returns) == pytest.approx(0.8**4 - 0.002 * moves, abs=4 * np.std(returns) / np.sqrt(4000))


def test_the_seed_decides_the_noise():
    def returns(seed):
        env = environments.make("deep-sea:5:stochastic", seed)
        return [_return(env, _expert) for _ in range(5)]

    assert returns(3) == returns(3) != returns(4)


def test_an_action_that_is_none_is_refused():
    env = environments.make("deep-sea:5", seed=0)
    env.reset()
    with pytest.raises(ValueError, match="Expected an action from 0 to 1, got 2"):
        env.step(2)


def test_the_picture_shows_the_diver():
    env = environments.make("deep-sea:3", seed=0)
    env.reset()
    env.step(env.expert_action())
    frame = environments.render_frame(env)
    assert frame.shape == (24, 24, 3) and frame.dtype == np.uint8
    assert (frame[8:16, 8:16] == 255).all() and (frame == 255).all(axis=-1).sum() == 64
    np.testing.assert_array_equal(frame[23, 23], [0, 160, 0])
