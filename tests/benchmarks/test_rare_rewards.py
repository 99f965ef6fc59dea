"""A reward that one input in 200 earns is found by mpo's critic, and is not by the likelihood that it used to fit."""

import pytest

from acme_agents.core import values


@pytest.fixture(scope="module")
def rare_rewards(script):
    return script("rare_rewards")


@pytest.mark.slow
def test_the_mixture_learns_a_rare_reward_in_1500_updates(rare_rewards):
    """At least 0.8 of it. The likelihood's mean there was 0.008 with these networks, the scalar critic's 1.0."""
    there, elsewhere, _ = rare_rewards.learn(values.mixture(5, 1e-3, 0.3), 40.0, [1_500], width=32, noise=False)
    assert there > 0.8
    assert abs(elsewhere) < 0.02
