"""The surrogates of functional mirror ascent, with numbers worked by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents.fma_pg import losses


def _value(name, ratio, advantage):
    def value(log_ratio):
        return losses.value(name, log_ratio, jnp.array([advantage]), eta=0.5, clip=0.25)[0]

    found, slope = jax.value_and_grad(value)(jnp.log(jnp.array([ratio])))
    return float(found), float(slope[0])


@pytest.mark.parametrize(
    ("name", "ratio", "advantage", "expected", "slope"),
    [
        # A log 2 - 2 (2 - 1 - log 2), and its slope A - 2 (2 - 1).
        ("smdpo", 2.0, 3.0, 5 * math.log(2) - 2, 1.0),
        ("smdpo", 1.0, 3.0, 0.0, 3.0),
        # 2 A - 2 (2 log 2 - 1), and its slope 2 A - 2 x 2 log 2.
        ("mdpo", 2.0, 3.0, 8 - 4 * math.log(2), 6 - 4 * math.log(2)),
        ("trpo", 2.0, 3.0, 4 + 2 * math.log(2), 4.0),
        ("ppo", 2.0, 3.0, 3.75, 0.0),
        ("ppo", 2.0, -3.0, -6.0, -6.0),
        # log clip(ratio, 0.8, 1.25)
        ("sppo", 1.25 / 1.2, 3.0, 3 * math.log(1.25 / 1.2), 3.0),
        ("sppo", 2.0, 3.0, 3 * math.log(1.25), 0.0),
        ("sppo", 0.5, 3.0, 3 * math.log(0.8), 0.0),
        ("sppo", 2.0, -3.0, -3 * math.log(1.25), 0.0),  # where PPO's has a slope
        ("sppo-min", 2.0, -3.0, -3 * math.log(2.0), -3.0),
        ("sppo-min", 0.5, 3.0, -3 * math.log(2.0), 3.0),
        ("sppo-min", 2.0, 3.0, 3 * math.log(1.25), 0.0),
    ],
)
def test_surrogate(name, ratio, advantage, expected, slope):
    assert _value(name, ratio, advantage) == pytest.approx((expected, slope), abs=1e-6)


@pytest.mark.parametrize("name", losses.SURROGATES)
def test_from_the_policy_that_acted_all_climb_the_policy_gradient(name):
    assert _value(name, 1.0, -3.0)[1] == pytest.approx(-3.0)


def test_divergences_are_the_two_of_kullback_and_leibler():
    old, new = jnp.array([0.5, 0.3, 0.2]), jnp.array([0.2, 0.2, 0.6])
    log_ratio = jnp.log(new / old)
    assert old @ losses.forward_divergence(log_ratio) == pytest.approx(float(-old @ log_ratio), abs=1e-6)
    assert old @ losses.backward_divergence(log_ratio) == pytest.approx(float(new @ log_ratio), abs=1e-6)


def test_maximisers_by_hand():
    log_policy, advantage = jnp.log(jnp.array([[0.5, 0.25, 0.25]])), jnp.array([[1.0, 2.0, -4.0]])
    # 1 + A / 2 = 1.5, 2 and -1.
    found = jnp.exp(losses.smdpo_maximiser(log_policy, advantage, 0.5))
    np.testing.assert_allclose(found, [[0.6, 0.4, 0.0]], atol=1e-6)
    found = jnp.exp(losses.smdpo_maximiser(log_policy, advantage, 0.5, floor=1.0))
    np.testing.assert_allclose(found, [[0.5, 1 / 3, 1 / 6]], atol=1e-6)
    weights = np.array([0.5 * math.e**0.5, 0.25 * math.e, 0.25 * math.e**-2])
    found = jnp.exp(losses.mdpo_maximiser(log_policy, advantage + 7.0, 0.5))
    np.testing.assert_allclose(found, [weights / weights.sum()], atol=1e-6)


@pytest.mark.parametrize(("name", "eta"), [("smdpo", 0.2), ("mdpo", 0.5)])
def test_nothing_is_left_to_climb_at_the_maximiser(name, eta):
    policy = jnp.array([[0.5, 0.25, 0.25]])
    advantage = jnp.array([[1.0, 2.0, -4.0]])  # of mean 0
    maximiser = losses.smdpo_maximiser if name == "smdpo" else losses.mdpo_maximiser

    def mean(logits):
        log_ratio = jax.nn.log_softmax(logits)[0] - jnp.log(policy[0])
        return policy[0] @ losses.value(name, log_ratio, advantage[0], eta=eta, clip=0.2)

    best = maximiser(jnp.log(policy), advantage, eta)
    np.testing.assert_allclose(jax.grad(mean)(best), np.zeros((1, 3)), atol=1e-6)
    assert mean(best) > mean(jnp.log(policy)) == 0.0
