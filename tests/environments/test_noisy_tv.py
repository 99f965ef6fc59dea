"""`noisy-tv:SCREEN`: a chain that is known, and a screen that is not."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents import environments
from acme_agents.core import errors
from acme_agents.environments import noisy_tv


def _walk(name: str, actions: list[int], seed: int = 0) -> list[np.ndarray]:
    """The observations of an episode, its first among them."""
    functions = environments.make_pure(name)
    step = jax.jit(functions.step)
    state, observation = functions.init(jax.random.PRNGKey(seed))
    observations = [np.asarray(observation)]
    for action in actions:
        state, timestep = step(state, jnp.int32(action))
        assert timestep.reward == 0.0 and timestep.discount == 1.0
        observations.append(np.asarray(timestep.observation))
    assert bool(timestep.last) == (len(actions) == 64)
    return observations


_WALK = [0, 1, 1, 0, *[1] * 8, 0, 1]
_PLACES = [0, 0, 1, 2, 1, 2, 3, 4, 5, 6, 7, 8, 8, 7, 8]


@pytest.mark.parametrize("name", ["noisy-tv:symbols", "noisy-tv:pixels", "noisy-tv:picture"])
def test_the_chain_moves_as_far_as_its_ends(name: str) -> None:
    assert noisy_tv.places(_walk(name, _WALK)).tolist() == _PLACES


def test_symbols_are_shown_at_the_television_alone() -> None:
    for place, observation in zip(_PLACES, _walk("noisy-tv:symbols", _WALK), strict=True):
        np.testing.assert_array_equal(observation[:9], np.eye(9)[place])
        assert sorted(observation[9:]) == [0] * 15 + [float(place == 8)]


def test_symbols_are_equally_likely() -> None:
    counts = np.zeros(16)
    for seed in range(20):
        observations = _walk("noisy-tv:symbols", [1] * 63, seed)
        counts += np.sum(observations[8:], axis=0)[9:]
    assert counts.sum() == 20 * 56 and counts.min() > 40 and counts.max() < 105  # 70 +- 8 each


def test_pixels_are_random_at_the_television_alone() -> None:
    observations = _walk("noisy-tv:pixels", _WALK)
    for place, observation in zip(_PLACES, observations, strict=True):
        assert observation.shape == (171,)
        np.testing.assert_array_equal(observation[:9], np.eye(9)[place])
        assert observation[9:].any() == (place == 8)
    screens = np.array([observation[9:] for observation in observations if observation[8]])
    assert screens.min() < 0.02 and 0.98 < screens.max() < 1 and abs(screens.mean() - 0.5) < 0.06
    assert (screens[0] != screens[1]).mean() > 0.95


def test_a_picture_shows_the_same() -> None:
    shown = []
    for place, observation in zip(_PLACES, _walk("noisy-tv:picture", _WALK), strict=True):
        assert observation.shape == (18, 18, 1) and observation.dtype == np.uint8
        below = np.zeros((9, 18), np.uint8)
        below[:, 2 * place : 2 * place + 2] = 255
        np.testing.assert_array_equal(observation[9:, :, 0], below)
        shown.append(observation[:9, :, 0])
        assert shown[-1].any() == (place == 8)
    screens = np.array([screen for screen, place in zip(shown, _PLACES) if place == 8])
    assert len(screens) == 3 and screens.min() < 5 and screens.max() > 250 and abs(screens.mean() - 127.5) < 15
    assert (screens[0] != screens[1]).mean() > 0.95


def test_an_episode_is_cut_short_after_64_steps_and_its_key_decides_the_screens() -> None:
    name = "noisy-tv:symbols"
    once, again, other = (np.array(_walk(name, [1] * 64, seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)


def test_a_wrong_name_is_told_in_one_sentence() -> None:
    with pytest.raises(errors.UserError, match=re.escape("SCREEN has no screen 'pixel', did you mean pixels")):
        environments.make("noisy-tv:pixel", 0)
    with pytest.raises(errors.UserError, match=re.escape("screen '8', the known ones are symbols, pixels, picture.")):
        environments.make("noisy-tv:8", 0)
