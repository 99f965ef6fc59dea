"""HCA by tables: numbers worked by hand, and the formulas as plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents.hca import tabular


def _episode(states, actions, rewards, valid=None):
    valid = [True] * len(states) if valid is None else valid
    return tabular.Episode(jnp.array(states), jnp.array(actions), jnp.array(rewards, jnp.float32), jnp.array(valid))


def test_state_update_by_hand() -> None:
    """x0 -a0-> x1, which pays 4. pi is uniform, h(a0|x0, x1) = 3/4, h = 1/2 elsewhere; a row is behind the end."""
    tables = tabular.init(2, 2, 2)
    tables = tables._replace(hindsight=tables.hindsight.at[0, 1].set(jnp.log(jnp.array([3.0, 1.0]))))
    found = tabular.state_update(tables, _episode([0, 1, 0], [0, 1, 1], [0, 4, 9], [True, True, False]), discount=0.5)
    # 0.5 x 4 x (h - pi); at x1 h is pi.
    np.testing.assert_allclose(found.policy, [[0.5, -0.5], [0, 0]], atol=1e-6)
    np.testing.assert_allclose(found.hindsight[0], [[0.5, -0.5], [0.25, -0.25]], atol=1e-6)
    np.testing.assert_allclose(found.hindsight[1], [[0, 0], [-0.5, 0.5]], atol=1e-6)
    np.testing.assert_allclose(found.value, [2, 4])
    np.testing.assert_allclose(found.reward, [[0, 0], [0, 4]])


@pytest.mark.parametrize(("baseline", "first"), [(False, -1.0), (True, 0.5)])
def test_return_update_by_hand(baseline: bool, first: float) -> None:
    """One state and a return of 2, whose bin is the second: (1 - 0.5 / 0.25) x 2 = -2, and with V = 3 it is 1."""
    tables = tabular.init(1, 2, 3)._replace(value=jnp.array([3.0]))
    tables = tables._replace(hindsight=tables.hindsight.at[0, 1].set(jnp.log(jnp.array([1.0, 3.0]))))
    found = tabular.return_update(
        tables,
        _episode([0, 0], [0, 1], [2, 7], [True, False]),
        discount=1.0,
        bins=jnp.array([0.0, 1.8, 4.0]),
        baseline=baseline,
    )
    np.testing.assert_allclose(found.policy, [[first, -first]], atol=1e-6)
    np.testing.assert_allclose(found.hindsight[0], [[0, 0], [0.75, -0.75], [0, 0]], atol=1e-6)
    assert found.value == 2 - 3


def test_relative_hindsight_is_the_policys_with_what_an_outcome_adds() -> None:
    """pi is (1/4, 3/4) and the table says 3 : 1, so that h is (1/2, 1/2), and pi / h of action 0 is 1/2."""
    tables = tabular.init(1, 2, 1)
    odds = jnp.log(jnp.array([3.0, 1.0]))
    tables = tables._replace(policy=-odds[None], hindsight=odds[None, None])
    episode = _episode([0], [0], [2])
    found = tabular.return_update(tables, episode, discount=1.0, bins=jnp.zeros(1), relative=True)
    np.testing.assert_allclose(found.policy, [[0.5 * 2 * 0.75, -0.5 * 2 * 0.75]], rtol=1e-5)
    np.testing.assert_allclose(found.hindsight[0], [[0.5, -0.5]], rtol=1e-5)
    found = tabular.state_update(tables, episode, discount=1.0, relative=True)
    np.testing.assert_allclose(found.policy, [[2 * (0.5 - 0.25), 2 * (0.5 - 0.75)]], rtol=1e-5)
    np.testing.assert_allclose(found.hindsight[0], [[0.5, -0.5]], rtol=1e-5)


@pytest.mark.parametrize(
    ("n", "targets"),
    [
        (None, [1 + 0.5 * 2 + 0.25 * 4, 2 + 0.5 * 4, 4]),
        (1, [1 + 0.5 * 20, 2 + 0.5 * 30, 4]),  # V is 10, 20 and 30.
        (2, [1 + 0.5 * 2 + 0.25 * 30, 2 + 0.5 * 4, 4]),
        (3, [3, 4, 4]),
    ],
)
def test_policy_gradient_by_hand(n: int | None, targets: list[float]) -> None:
    tables = tabular.init(3, 2, 1)._replace(value=jnp.array([10.0, 20.0, 30.0]))
    episode = _episode([0, 1, 2, 0], [0, 1, 0, 0], [1, 2, 4, 9], [True, True, True, False])
    found = tabular.policy_gradient_update(tables, episode, discount=0.5, n=n)
    errors = np.array(targets) - [10, 20, 30]
    np.testing.assert_allclose(found.value, errors)
    np.testing.assert_allclose(found.policy, 0.5 * errors[:, None] * np.array([[1, -1], [-1, 1], [1, -1]]))


@pytest.mark.parametrize("reward_model", [False, True])
def test_state_update_is_its_formula(reward_model: bool) -> None:
    """Random tables of four states and three actions, and an episode that comes back to a state."""
    rng = np.random.default_rng(0)
    tables = tabular.Tables(*(rng.normal(size=shape) for shape in ((4, 3), (4,), (4, 4, 3), (4, 3))))
    states, actions, rewards = rng.integers(4, size=6), rng.integers(3, size=6), rng.normal(size=6)
    pi, h = np.asarray(jax.nn.softmax(tables.policy)), np.asarray(jax.nn.softmax(tables.hindsight))
    policy, hindsight = np.zeros((4, 3)), np.zeros((4, 4, 3))
    for i, x in enumerate(states):
        q_pi = pi[x] * tables.reward[x] if reward_model else np.zeros(3)  # pi Q
        for j in range(i, 6):
            y = states[j]
            if j > i or not reward_model:
                q_pi += 0.9 ** (j - i) * rewards[j] * h[x, y]
            hindsight[x, y] += np.eye(3)[actions[i]] - h[x, y]
        policy[x] += q_pi - pi[x] * q_pi.sum()  # sum_a Q(x, a) times the gradient of pi(a|x)
    found = tabular.state_update(
        jax.tree.map(jnp.asarray, tables), _episode(states, actions, rewards), discount=0.9, reward_model=reward_model
    )
    np.testing.assert_allclose(found.policy, policy, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.hindsight, hindsight, rtol=1e-4, atol=1e-5)
