"""BYOL-Hindsight: its numbers by hand, and the signs that other implementations have wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from acme_agents.core.types import Step, Stretch
from acme_agents.exploration import byol_explore, byol_hindsight
from acme_agents.exploration.byol_explore import learning as explore_learning
from acme_agents.exploration.byol_explore import losses as explore
from acme_agents.exploration.byol_explore import networks as world
from acme_agents.exploration.byol_hindsight import learning, losses, networks
from tests.exploration import toys

SMALL = {
    **{"encoder_layers": (5,), "embedding_size": 4, "memory_size": 3, "horizon": 3, "normalise_observations": False},
    **{"hindsight_size": 4, "noise_size": 2, "generator_layers": (8,), "reconstructor_layers": (8,)},
    **{"critic_layers": (8, 8), "num_candidates": 6},
}
KEY = jax.random.PRNGKey(5)


def _config(**changes):
    return byol_hindsight.Config(**SMALL | changes)


def test_the_contrastive_loss_counts_the_right_one_among_the_candidates():
    """log(3 / ((3 + 1 + 1 + 1) / 4)) of scores log 3, 0, 0, 0; 0 of equal ones; log J at most."""
    scores = jnp.log(jnp.array([[3.0, 1.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0], [1e30, 1.0, 1.0, 1.0]]))
    np.testing.assert_allclose(losses.invariance(scores), [np.log(2.0), 0.0, np.log(4.0)], atol=1e-6)


def test_the_reconstruction_is_divided_by_lambda():
    """6 / 0.5 + 1 and 6 / 2 + 1: a small lambda weighs the reconstruction more."""
    assert losses.total(jnp.float32(6.0), jnp.float32(1.0), 0.5) == 13.0
    assert losses.total(jnp.float32(6.0), jnp.float32(1.0), 2.0) == 4.0


def test_candidates_are_the_rows_own_and_others_that_exist():
    hindsight = jnp.arange(12.0).reshape(2, 3, 2, 1)  # [B, T, K, Z]: of k = 1 the even numbers
    there = jnp.array([[[1, 1], [1, 0], [0, 0]], [[1, 0], [0, 0], [0, 0]]], bool)
    found = losses.candidates(KEY, hindsight, there, 50)
    assert found.shape == (2, 3, 2, 50, 1)
    np.testing.assert_array_equal(found[..., 0, :], hindsight)
    assert set(np.unique(found[:, :, 0, 1:])) == {0.0, 2.0, 6.0} and set(np.unique(found[:, :, 1, 1:])) == {1.0}


def _losses_of(config, stretch, key):
    """`(state, online, critic) -> Losses` of a stretch with equal chance."""
    compute = learning.make_losses(config, toys.SEEN)[2]
    inputs, there = world.prepare(config, toys.SEEN, stretch)
    seen = stretch.steps.observation

    def each(state, online, critic):
        return compute(online, critic, state.target, seen, inputs, there, key)

    return jax.jit(each), there


def test_the_critic_makes_large_what_the_others_make_small():
    config, stretch = _config(learning_rate=1e-3, critic_learning_rate=1e-3, divisor=0.5), toys.stretch(toys.VALID)
    bonus = learning.make_bonus(config, toys.SEEN)
    state = bonus.init(jax.random.PRNGKey(0))
    after, reward, metrics = jax.jit(bonus.update)(state, stretch, KEY)
    each, there = _losses_of(config, stretch, jax.random.split(KEY, 1)[0])

    def means(online, critic):
        found = each(state, online, critic)
        return [float(explore.mean_loss(x, there)) for x in found]

    reconstruction, invariance = means(state.online, state.critic)
    np.testing.assert_allclose(metrics["loss"], 2.0 * reconstruction + invariance, rtol=1e-4)
    np.testing.assert_allclose(metrics["invariance"], invariance, rtol=1e-3, atol=1e-6)
    assert means(state.online, after.critic)[1] > invariance
    lower = means(after.online, state.critic)
    assert 2.0 * lower[0] + lower[1] < 2.0 * reconstruction + invariance
    alone = state.online._replace(generator=after.online.generator)
    assert 2.0 * means(alone, state.critic)[0] + means(alone, state.critic)[1] < 2.0 * reconstruction + invariance
    # What is paid is that sum, at the transitions that were foreseen.
    paid = explore.uncertainty(losses.total(*each(state, state.online, state.critic), 0.5), there)
    valid = jnp.asarray(toys.VALID)
    np.testing.assert_allclose(
        reward[valid], np.maximum(paid[valid] / metrics["scale"] - metrics["threshold"], 0.0), atol=1e-3
    )


def test_what_the_critic_sees_is_not_made_blank():
    """L_inv reaches the generator alone: states that say nothing would make it zero for any z."""
    config, stretch = _config(), toys.stretch(toys.VALID)
    state = learning.make_bonus(config, toys.SEEN).init(jax.random.PRNGKey(0))
    each, there = _losses_of(config, stretch, KEY)

    def slopes(name):
        def mean(online):
            return explore.mean_loss(getattr(each(state, online, state.critic), name), there)

        return {part: float(optax.global_norm(x)) for part, x in jax.grad(mean)(state.online)._asdict().items()}

    sizes = slopes("invariance")
    assert sizes.pop("generator") > 0.0 and set(sizes.values()) == {0.0}
    assert min(slopes("reconstruction").values()) > 0.0


def test_the_outcome_is_the_target_encoders():
    config, stretch = _config(), toys.stretch(toys.VALID)
    state = learning.make_bonus(config, toys.SEEN).init(jax.random.PRNGKey(0))
    each, _ = _losses_of(config, stretch, KEY)
    other = state._replace(target=jax.tree.map(lambda x: x + 0.3, state.target))
    first, second = (each(x, state.online, state.critic) for x in (state, other))
    assert np.abs(first.reconstruction - second.reconstruction).max() > 0.01
    assert np.all(first.reconstruction <= 4.0 + 1e-5) and np.all(first.reconstruction >= 0.0)


@pytest.mark.parametrize(("copies", "low", "high"), [(False, -0.1, 0.2), (True, 1.7, np.log(8.0) + 0.1)])
def test_a_trained_critic_measures_what_z_says_of_the_state(copies, low, high):
    """Of eight states: 0 where z is a coin's, log 8 where it is the state; a bound of 1 on the critic would hide it."""
    config = _config(critic_layers=(16, 16), num_candidates=32, memory_size=8, hindsight_size=8)
    critic = networks.make_networks(config, toys.SEEN).critic
    optimizer = optax.adam(1e-2)
    params = critic.init(jax.random.PRNGKey(0))

    def loss(params, key):
        state_key, coin_key, candidates_key = jax.random.split(key, 3)
        state = jax.nn.one_hot(jax.random.randint(state_key, (64, 1, 1), 0, 8), 8)
        coin = jax.nn.one_hot(jax.random.randint(coin_key, (64, 1, 1), 0, 2), 8)
        told = losses.candidates(candidates_key, state if copies else coin, jnp.ones((64, 1, 1), bool), 32)
        return -jnp.mean(losses.invariance(critic.apply(params, state, jnp.zeros((64, 1, 1, 3)), told)))

    @jax.jit
    def train(params):
        def step(carry, key):
            params, optimizer_state = carry
            value, gradient = jax.value_and_grad(loss)(params, key)
            updates, optimizer_state = optimizer.update(gradient, optimizer_state)
            return (optax.apply_updates(params, updates), optimizer_state), -value

        return jax.lax.scan(step, (params, optimizer.init(params)), jax.random.split(KEY, 300))[1]

    found = float(jnp.mean(train(params)[-50:]))
    assert low < found < high


@pytest.mark.slow
def test_noise_is_not_paid_for_in_hindsight():
    """Observed is a coin: BYOL-Explore goes on being surprised, and in hindsight it is explained."""
    rng, valid, found = np.random.default_rng(0), jnp.ones((16, 6), bool), {}
    changes = {"horizon": 1, "num_steps": 8, "target_decay": 1.0, "encoder_layers": (16,), "memory_size": 8}
    changes |= {"learning_rate": 3e-3, "normalise_observations": False}
    for name, bonus in {
        "explore": explore_learning.make_bonus(byol_explore.Config(**changes), toys.SEEN),
        "hindsight": learning.make_bonus(_config(**changes), toys.SEEN),
    }.items():
        state, update = bonus.init(jax.random.PRNGKey(0)), jax.jit(bonus.update)
        for i in range(60):
            seen = jnp.array(rng.choice([-1.0, 1.0], (16, 7, 2)), jnp.float32)
            action, one = jnp.zeros((16, 7), jnp.int32), jnp.ones((16, 7))
            stretch = Stretch(Step(seen, action, one, one, jnp.zeros((16, 7), bool)), valid)
            state, _, metrics = update(state, stretch, jax.random.PRNGKey(i))
            found.setdefault(name, []).append(float(metrics["uncertainty"]))
    start = np.mean(found["hindsight"][:2])
    assert np.mean(found["hindsight"][-5:]) < 0.1 * start
    assert np.mean(found["explore"][-5:]) > 5 * np.mean(found["hindsight"][-5:])
