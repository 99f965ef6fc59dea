"""`feedback-bandit:NOISE`: what it pays, and that its feedback tells the noise."""

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents import environments
from acme_agents.environments import feedback_bandit


def _played(name: str, number: int) -> tuple[np.ndarray, ...]:
    """Contexts, actions, rewards and feedbacks of episodes with uniformly random actions."""
    functions = environments.make_pure(name)

    def episode(key):
        begin_key, action_key = jax.random.split(key)
        action = jax.random.randint(action_key, (), 0, 21)
        state, first = functions.init(begin_key)
        _, timestep = functions.step(state, action)
        return first, action, timestep

    found = jax.jit(jax.vmap(episode))(jax.random.split(jax.random.PRNGKey(0), number))
    first, action, timestep = jax.tree.map(np.asarray, found)
    assert timestep.last.all() and not timestep.discount.any()
    np.testing.assert_array_equal(np.sort(first, axis=1)[:, -2:], [[0, 1]] * number)
    assert not first[:, 21:].any() and not timestep.observation[:, :21].any()
    return np.argmax(first, axis=1), action, timestep.reward, timestep.observation[:, 21:]


def test_without_noise_the_reward_is_minus_the_square_of_the_distance() -> None:
    context, action, reward, _ = _played("feedback-bandit:0", 4000)
    np.testing.assert_array_equal(reward, -np.square(context - action.astype(float)))
    assert np.bincount(context, minlength=21).min() > 130  # 190 +- 13
    np.testing.assert_allclose(reward.mean(), -220 / 3, atol=4)  # 2 (21^2 - 1) / 12, +- 1.2
    np.testing.assert_allclose(feedback_bandit.mean_rewards()[context, action], reward)
    np.testing.assert_allclose(feedback_bandit.mean_rewards()[:, 10].mean(), -110 / 3, rtol=1e-6)


def test_the_feedback_is_a_sum_that_tells_the_noise() -> None:
    context, action, reward, feedback = _played("feedback-bandit:7", 4000)
    noise = reward - feedback_bandit.mean_rewards()[context, action]
    np.testing.assert_allclose([noise.mean(), noise.std()], [0, 7], atol=0.4)
    parts = np.concatenate([np.eye(21)[context], np.eye(21)[action], noise[:, None]], axis=1)
    weights, *_ = np.linalg.lstsq(parts, feedback, rcond=None)
    np.testing.assert_allclose(parts @ weights, feedback, atol=1e-3)  # U_c + V_a + e W, and nothing else
    assert np.linalg.norm(weights[-1]) > 3  # sqrt(20) in the mean
    context, action, _, feedback = _played("feedback-bandit:0", 400)
    np.testing.assert_allclose(weights[context] + weights[21 + action], feedback, atol=1e-3)  # The same vectors.


def test_the_noise_may_be_traced() -> None:
    def reward(noise):
        functions = feedback_bandit.bandit(noise)
        return functions.step(functions.init(jax.random.PRNGKey(3))[0], jnp.int32(4))[1].reward

    quiet, loud, louder = jax.jit(jax.vmap(reward))(jnp.array([0.0, 1.0, 2.0]))
    np.testing.assert_allclose(louder - loud, loud - quiet, rtol=1e-4)
    assert abs(loud - quiet) > 1e-3
