"""`persistive:NAME`: a random walk of each pixel, modulo 50, whose step answers to the action."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents import environments
from acme_agents.core import errors
from acme_agents.environments import persistive

_AFTER_EVEN = {1, 49}  # From 0.
_AFTER_EVEN_AND_ODD = {1 + 11, 1 - 11 + 50, 49 + 11 - 50, 49 - 11}


def test_a_stack_of_frames_keeps_the_noise_of_each():
    plain, noisy = environments.make("ale:Freeway", 3), environments.make("persistive:ale:Freeway", 3)
    assert environments.spec(noisy) == environments.spec(plain) and noisy.num_frames == 4
    np.testing.assert_array_equal(noisy.reset().observation, plain.reset().observation)
    expected, found = [], []
    for action in (0, 1, 2, 0):
        expected.append(plain.step(action))
        found.append(noisy.step(action))
        assert (found[-1].reward, found[-1].discount) == (expected[-1].reward, expected[-1].discount)
        assert found[-1].observation.dtype == np.uint8
    dark = np.all([step.observation <= 205 for step in expected], axis=(0, 3))  # Nothing is cut off at 255.
    noise = [(a.observation.astype(int) - b.observation)[dark] for a, b in zip(found, expected)]
    assert dark.mean() > 0.5
    assert not noise[0][:, :3].any() and set(noise[0][:, 3]) == _AFTER_EVEN
    assert abs(np.mean(noise[0][:, 3] == 1) - 0.5) < 0.03
    assert not noise[1][:, :2].any() and set(noise[1][:, 3]) == _AFTER_EVEN_AND_ODD
    for before, after in itertools.pairwise(noise):
        np.testing.assert_array_equal(before[:, 1:], after[:, :-1])
    assert set((noise[2] - noise[1])[:, 3] % 50) == _AFTER_EVEN
    for env in (plain, noisy):
        env.close()


def test_the_step_after_a_last_one_begins_at_0() -> None:
    plain, inner = (environments.make("ale:Freeway", 3, max_episode_steps=2) for _ in range(2))
    noisy = persistive.Persistive(inner, 3)
    for i in range(6):
        expected, found = plain.step(1), noisy.step(1)
        assert found.first() == (i % 3 == 0)
        assert np.array_equal(found.observation, expected.observation) == found.first()
    for env in (plain, noisy):
        env.close()


def test_what_exceeds_255_is_cut_off_and_a_reset_begins_at_0():
    noisy = environments.make("persistive:noisy-tv:picture", 0)
    for _ in range(2):
        first = noisy.reset().observation
        assert set(np.unique(first)) == {0, 255}
        observation = noisy.step(0).observation
        np.testing.assert_array_equal(observation[9:, :2], 255)  # 256 where its noise is 1, and 304 where it is 49.
        assert set(np.unique(observation[:9])) == set(np.unique(observation[9:, 2:])) == _AFTER_EVEN


def test_in_pure_jax_too_and_the_picture_below_is_the_environments():
    plain, noisy = (environments.make_pure(f"{wrapper}noisy-tv:picture") for wrapper in ("", "persistive:"))
    assert plain.spec == noisy.spec
    key = jax.random.PRNGKey(7)
    (state, _), (noisy_state, _) = plain.init(key), noisy.init(key)
    noise = np.zeros((18, 18, 1), int)
    for action in (1, 1, 0, 1, 1, 1, 1, 1, 1, 1):
        state, expected = jax.jit(plain.step)(state, jnp.int32(action))
        noisy_state, found = jax.jit(noisy.step)(noisy_state, jnp.int32(action))
        after = np.asarray(noisy_state.noise)
        step = 11 if action else 1
        assert set(np.unique((after - noise) % 50)) == {step, 50 - step}
        noise = after
        np.testing.assert_array_equal(found.observation, np.minimum(expected.observation.astype(int) + noise, 255))
    assert 0 <= noise.min() < 5 and 45 < noise.max() < 50


def test_the_seed_decides_the_noise():
    def observations(seed):
        env = environments.make("persistive:ale:Freeway", 0)
        env.reseed(seed)
        found = np.array([env.reset().observation, *(env.step(1).observation for _ in range(3))])
        env.close()
        return found

    np.testing.assert_array_equal(observations(1), observations(1))
    assert (observations(1)[1:] != observations(2)[1:]).mean() > 0.1


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "persistive:gym:CartPole-v1",
            "noise lies on a picture, and this environment's observation is none.",
        ),
        ("persistive:trackers:none", "lies on a picture, and this environment's observation is none."),
        ("persistive:probe:pixels", "answers to discrete actions, and this environment's are continuous."),
        ("persistive:ale:Pongg", "that is an unknown environment 'ale:Pongg': the Arcade Learning Environment has no"),
    ],
)
def test_what_is_refused_is_told_in_one_sentence(name, sentence):
    with pytest.raises(errors.UserError) as raised:
        environments.make(name, seed=0)
    assert sentence in str(raised.value) and "\n" not in str(raised.value)
