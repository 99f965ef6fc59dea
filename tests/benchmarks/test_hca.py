"""Hindsight credit assignment by tables on its tasks: what holds of the paper's figures, in few runs."""

import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents.hca import tabular


@pytest.fixture(scope="module")
def hca(script):
    return script("hca")


def test_values_by_hand(hca):
    long_way = jnp.array([[0.0, 1.0]] * 5)
    np.testing.assert_allclose(hca.shortcut_value(long_way), -2.439, rtol=1e-5)
    np.testing.assert_allclose(hca.shortcut_value(1.0 - long_way), 0.0)
    half = jnp.full((5, 2), 0.5)  # 1 at the end, then -1 + 1 = 0, -0.45, -0.6525, -0.743625 backwards.
    np.testing.assert_allclose(hca.shortcut_value(half), -0.743625, rtol=1e-5)
    np.testing.assert_allclose(hca.BANDIT.value(half), 1.5)
    np.testing.assert_allclose(hca.bandit("", 1.0, 0.2).value(1.0 - long_way), 1.8, rtol=1e-6)


RATES = tabular.Tables(0.4, 0.4, 1.0, 0.4)


@pytest.mark.parametrize("name", ["STATE", "RETURN", "STATE_NET", "RETURN_NET", "PG3"])
def test_hindsight_sees_an_effect_behind_states_that_look_alike(hca, name):
    """To bootstrap in those states is to learn by accident, and then either action."""
    last = hca.curves(hca.DELAYED._replace(episodes=100), getattr(hca, name), RATES, runs=16)[:, -1]
    if name == "PG3":
        assert last.mean() < 0.5 and last.min() < -0.5
    else:
        assert last.min() > 0.85


def test_the_advantage_of_a_rare_action_has_less_variance_in_hindsight(hca, monkeypatch):
    """The shortcut's is 2.35 where the long way has the probability 0.98; of 300 rollouts six take it."""
    monkeypatch.setattr(hca, "_ROLLOUTS", 300)
    exact = -hca.shortcut_value(jnp.array([[0.02, 0.98]] * 5))
    np.testing.assert_allclose(exact, 2.346, atol=0.001)
    hindsight, monte_carlo = (hca.advantages(method, (0.98,), runs=32)[0] for method in (hca.STATE_NET, hca.PG))
    assert np.std(hindsight) < 0.6 * np.std(monte_carlo)
    np.testing.assert_allclose(hindsight.mean(), exact, rtol=0.25)  # It learns during the rollouts.
