"""Preferences: read from the configuration, refused in a sentence, and drawn uniformly from the simplex."""

import jax
import numpy as np
import pytest

from acme_agents.agents import dime
from acme_agents.agents.dime import preferences
from acme_agents.core.interfaces import ActorContext
from acme_agents.core.types import ArraySpec, EnvironmentSpec


def _spec(*reward_shape):
    return EnvironmentSpec(ArraySpec((1,)), ArraySpec((1,)), ArraySpec(reward_shape))


@pytest.mark.parametrize(
    ("spec", "config", "expected"),
    [
        (_spec(), dime.Config(), [1.0]),
        (_spec(1), dime.Config(), [1.0]),
        (_spec(4), dime.Config(), [0.25] * 4),
        (_spec(2), dime.Config(preference=(1.0, 3.0)), [0.25, 0.75]),
        (_spec(2), dime.Config(preference=(0.0, 3.0)), [0.0, 1.0]),
        (_spec(), dime.Config(behaviour="bc"), [0.5, 0.5]),
        (_spec(2), dime.Config(behaviour="bc", preference=(0.2, 0.2, 0.4)), [0.25, 0.25, 0.5]),
    ],
)
def test_preference_is_normalised(spec, config, expected):
    np.testing.assert_allclose(preferences.from_config(config, spec), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("spec", "config", "sentence"),
    [
        (_spec(2), dime.Config(preference=(1.0,)), "2 entries, of the environment's 2 objectives, not 1"),
        (
            _spec(2),
            dime.Config(preference=(0.5, 0.5), behaviour="bc"),
            "3 entries, of the environment's 2 objectives and of the behaviour, not 2",
        ),
        (_spec(2), dime.Config(preference=(2.0, -1.0)), "none negative and not all zero: it is"),
        (_spec(2), dime.Config(preference=(0.0, 0.0)), "none negative and not all zero: it is"),
        (_spec(2), dime.Config(preference=(float("nan"), 1.0)), "none negative and not all zero: it is"),
        (_spec(), dime.Config(conditioned=True), "more than one objective, and this environment has one reward"),
    ],
)
def test_a_preference_that_does_not_fit_is_refused(spec, config, sentence):
    with pytest.raises(ValueError, match=sentence):
        dime.make(config).learner(spec)
    with pytest.raises(ValueError, match=sentence):
        dime.make(config).actor(spec, ActorContext(evaluation=True))


def test_samples_are_uniform_on_the_simplex():
    two = np.asarray(preferences.sample(jax.random.PRNGKey(0), 20_000, 2))
    np.testing.assert_allclose(two.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(np.quantile(two[:, 0], [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.02)
    # Dirichlet(1, 1, 1): each entry has mean 1/3 and variance 2 / (9 * 4).
    three = np.asarray(preferences.sample(jax.random.PRNGKey(1), 20_000, 3))
    np.testing.assert_allclose(three.mean(axis=0), [1 / 3] * 3, atol=0.01)
    np.testing.assert_allclose(three.var(axis=0), [1 / 18] * 3, atol=0.003)
