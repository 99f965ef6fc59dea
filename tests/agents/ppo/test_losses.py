"""PPO's losses, with numbers worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents.ppo import losses


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected", "slope"),
    [
        (1.1, 2.0, -2.2, -2.2),
        (1.5, 2.0, -2.4, 0.0),  # no more to earn
        (1.5, -2.0, 3.0, 3.0),
        (0.5, 2.0, -1.0, -1.0),
        (0.5, -2.0, 1.6, 0.0),
    ],
)
def test_surrogate(ratio, advantage, expected, slope):
    def loss(log_ratio):
        return losses.clipped_surrogate(log_ratio, jnp.array([advantage]), 0.2)[0]

    value, gradient = jax.value_and_grad(loss)(jnp.log(jnp.array([ratio])))
    assert float(value) == pytest.approx(expected) and float(gradient[0]) == pytest.approx(slope)


@pytest.mark.parametrize(("clip", "expected"), [(None, 0.5), (0.5, 3.125), (5.0, 0.5)])
def test_value_that_moves_too_far_towards_its_target_is_clipped(clip, expected):
    # From 1 to 3 with a target of 4: 1 / 2, or (1.5 - 4)^2 / 2.
    found = losses.value_loss(*(jnp.array([x]) for x in (3.0, 1.0, 4.0)), clip)
    np.testing.assert_allclose(found, [expected])


def test_value_that_moves_away_from_its_target_is_not_clipped():
    found = losses.value_loss(*(jnp.array([x]) for x in (3.0, 1.0, 0.0)), 0.5)
    np.testing.assert_allclose(found, [4.5])


def test_standardised_over_the_rows_that_count():
    found = losses.standardised(jnp.array([1.0, 99.0, 5.0]), jnp.array([True, False, True]))
    np.testing.assert_allclose(found[jnp.array([0, 2])], [-1.0, 1.0], rtol=1e-6)
