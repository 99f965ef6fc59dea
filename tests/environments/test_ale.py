"""Atari: the protocol of Machado et al., in numbers."""

import itertools
import subprocess
import sys

import numpy as np
import pytest

from acme_agents import environments
from acme_agents.core import errors
from acme_agents.environments import ale


def _emulator(env):
    return env._environment.unwrapped.ale


def _random_steps(env, count, seed=0):
    """Returns the time steps from a reset through so many random actions, or to the episode's end."""
    rng, steps = np.random.default_rng(seed), [env.reset()]
    while len(steps) <= count and not steps[-1].last():
        steps.append(env.step(rng.integers(env.action_spec().num_values)))
    return steps


def test_names():
    names = [name for name in environments.names() if name.startswith("ale:")]
    assert len(names) == 104 and {"ale:Pong", "ale:MontezumaRevenge", "ale:SpaceInvaders"} <= set(names)


@pytest.mark.parametrize(("game", "num_actions"), [("Pong", 6), ("Freeway", 3), ("MontezumaRevenge", 18)])
def test_specs(game, num_actions):
    spec = environments.spec(environments.make(f"ale:{game}", seed=0))
    assert (spec.observation.shape, spec.observation.dtype) == ((84, 84, 4), "uint8")
    assert spec.action.num_values == num_actions


def test_the_newest_picture_comes_last():
    steps = _random_steps(environments.make("ale:Pong", seed=0), 10)
    first = steps[0].observation
    assert first.std() > 10
    np.testing.assert_array_equal(first, np.repeat(first[..., :1], 4, axis=-1))
    for before, after in itertools.pairwise(steps):
        np.testing.assert_array_equal(after.observation[..., :3], before.observation[..., 1:])
    assert not np.array_equal(steps[-1].observation[..., 3], steps[-1].observation[..., 2])


def test_a_step_is_four_frames_and_an_episode_begins_with_1_to_30():
    env = environments.make("ale:Pong", seed=0)
    starts = []
    for _ in range(20):
        env.reset()
        starts.append(_emulator(env).getEpisodeFrameNumber())
        env.step(0)
        assert _emulator(env).getEpisodeFrameNumber() == starts[-1] + 4
    assert 1 <= min(starts) < 10 and 20 < max(starts) <= 30


def test_actions_are_sticky(monkeypatch):
    env = environments.make("ale:Pong", seed=0)
    assert _emulator(env).getFloat("repeat_action_probability") == 0.25
    monkeypatch.setattr(ale, "_NOOP_FRAMES", 0)  # Which would also tell seeds apart.
    one, other = (_random_steps(environments.make("ale:Pong", seed), 50) for seed in (1, 2))
    assert any(not np.array_equal(a.observation, b.observation) for a, b in zip(one, other))


def test_the_seed_decides_every_episode():
    def observations(seed):
        env = environments.make("ale:Breakout", seed)
        return np.array([step.observation for _ in range(2) for step in _random_steps(env, 30)])

    first = observations(2**32 - 1)
    np.testing.assert_array_equal(first, observations(2**32 - 1))
    assert not np.array_equal(first, observations(8))
    assert not np.array_equal(first[:31], first[31:])


def test_a_lost_life_ends_nothing_and_rewards_are_the_score():
    env = environments.make("ale:SpaceInvaders", seed=0)
    rng, step, lives, rewards = np.random.default_rng(0), env.reset(), [], set()
    while not step.last():
        step = env.step(rng.integers(6))
        lives.append(_emulator(env).lives())
        rewards.add(float(step.reward))
    assert set(lives) == {0, 1, 2, 3} and step.discount == 0
    assert {0, 5, 10} <= rewards
    assert env.step(0).first()


def test_time_is_up_after_108000_frames_with_discount_1(monkeypatch):
    env = environments.make("ale:Pong", seed=0)
    assert _emulator(env).getInt("max_num_frames_per_episode") == 108_000
    monkeypatch.setattr(ale, "_MAX_FRAMES", 400)
    env = environments.make("ale:Pong", seed=0)
    steps = _random_steps(env, 1000)
    assert _emulator(env).getEpisodeFrameNumber() == 400
    assert steps[-1].last() and {float(step.discount) for step in steps[1:]} == {1}
    assert env.step(0).first()


def test_the_picture_is_in_colour():
    env = environments.make("ale:Pong", seed=0, render=True)
    env.reset()
    frame = environments.render_frame(env)
    assert frame.shape == (210, 160, 3) and frame.dtype == np.uint8
    assert (frame[..., 0] != frame[..., 2]).any()
    with pytest.raises(errors.UserError, match="make it with render=True"):
        environments.render_frame(environments.make("ale:Pong", seed=0))


def test_no_banner():
    code = "from acme_agents import environments; environments.make('ale:Pong', 0).reset()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
