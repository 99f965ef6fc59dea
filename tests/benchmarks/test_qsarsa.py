"""The returns that the estimate is compared with, by hand, and what methods share."""

import argparse

import numpy as np
import pytest


@pytest.fixture(scope="module")
def qsarsa(script):
    return script("qsarsa")


def test_returns_are_discounted_to_the_end(qsarsa):
    np.testing.assert_allclose(qsarsa.monte_carlo(np.array([1.0, 0.0, 4.0]), 0.5), [2.0, 2.0, 4.0])


def test_every_number_that_methods_share_is_the_same(qsarsa):
    options = argparse.Namespace(sarsa_updates=7, in_weight=2.0, out_weight=3.0, actor_weight=4.0)
    configs = {method: qsarsa._method(method, options)[1] for method in qsarsa._METHODS}
    for field in ("policy_layers", "critic_layers", "batch_size", "discount", "n_step", "critic_learning_rate"):
        assert len({getattr(config, field) for config in configs.values()}) == 1, field
    assert [configs[method].behaviour_alpha for method in ("TD3", "TD3+BC", "Qsarsa-AC")] == [None, 2.5, None]
    ac, ac2 = configs["Qsarsa-AC"], configs["Qsarsa-AC2"]
    assert (ac.in_weight, ac.out_weight, ac.actor_weight, ac2.actor_weight) == (2.0, 3.0, 0.0, 4.0)
