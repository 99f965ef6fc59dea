"""HCA's credit and losses: numbers worked by hand, episodes that end inside an unroll, and equality with the tables."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents.hca import losses, tabular

# An unroll of two episodes. Rows 0 and 1 are steps; row 2 is a final observation; row 3 is a step.
VALID = jnp.array([[True, True, False, True]])
REWARDS = jnp.array([[1.0, 2.0, 99.0, 3.0]])
VALUES = jnp.array([[98.0, 97.0, 4.0, 96.0, 5.0]])


@pytest.mark.parametrize(
    ("end", "weight_of_end", "returns"),
    [
        (1.0, 0.25, [1 + 0.5 * 2 + 0.25 * 4, 2 + 0.5 * 4, 0, 3 + 0.5 * 5]),  # Cut short.
        (0.0, 0.0, [1 + 0.5 * 2, 2, 0, 3 + 0.5 * 5]),  # Over for good.
    ],
)
def test_futures_stay_within_their_episode(end: float, weight_of_end: float, returns: list[float]) -> None:
    discounts = jnp.array([[1.0, end, 77.0, 1.0]])
    found = losses.futures(REWARDS, discounts, VALUES, VALID, gamma=0.5)
    expected = np.zeros((4, 5))
    expected[0, 1:3] = 0.5, weight_of_end
    expected[1, 2] = 2 * weight_of_end
    expected[3, 4] = 0.5
    np.testing.assert_allclose(found.weight[0], expected)
    np.testing.assert_allclose(found.payoff[0], [1, 2, 4, 3, 5])
    np.testing.assert_allclose(found.returns[0], returns)


def test_a_discount_within_an_episode_weighs_what_is_behind_it() -> None:
    found = losses.futures(
        jnp.ones((1, 3)), jnp.array([[0.5, 0.8, 1.0]]), jnp.zeros((1, 4)), jnp.ones((1, 3), bool), gamma=1.0
    )
    np.testing.assert_allclose(found.weight[0], [[0, 0.5, 0.4, 0.4], [0, 0, 0.8, 0.8], [0, 0, 0, 1]])
    np.testing.assert_allclose(found.returns[0], [1 + 0.5 + 0.4, 1.8, 1])


# One step from state x to states y, which pays 3: pi(.|x) = (0.25, 0.75), h(.|x, y) = (0.75, 0.25), gamma 0.5.
POLICY, HINDSIGHT = np.array([0.25, 0.75]), np.array([0.75, 0.25])


@pytest.mark.parametrize(
    ("max_ratio", "first"),
    [(None, 0.5), (2.0, 0.25)],  # h - pi; and min(3, 2) pi - pi.
)
def test_state_credit_by_hand(max_ratio: float | None, first: float) -> None:
    found = losses.futures(
        jnp.array([[7.0, 3.0]]), jnp.array([[1.0, 0.0]]), jnp.zeros((1, 3)), jnp.ones((1, 2), bool), gamma=0.5
    )
    log_policy = jnp.log(jnp.broadcast_to(jnp.array(POLICY, jnp.float32), (1, 2, 2)))
    log_hindsight = jnp.log(jnp.broadcast_to(jnp.array(HINDSIGHT, jnp.float32), (1, 2, 3, 2)))
    model = jnp.array([[[7.0, 1.0], [0.0, 0.0]]])
    credit = losses.state_credit(log_policy, log_hindsight, model, found, max_ratio=max_ratio)
    # Row 0: pi r + 0.5 x 3 x (h - pi); nothing is behind row 1.
    np.testing.assert_allclose(
        credit[0], [[0.25 * 7 + 1.5 * first, 0.75 * 1 - 1.5 * 0.5], [0, 0]], rtol=1e-6, atol=1e-6
    )
    loss, gradient = jax.value_and_grad(losses.all_action_loss)(log_policy, credit, jnp.array([[True, False]]))
    np.testing.assert_allclose(loss, -np.sum(np.asarray(credit[0, 0]) * np.log(POLICY)), rtol=1e-6)
    np.testing.assert_allclose(gradient[0], [-credit[0, 0], [0, 0]], rtol=1e-6)


def test_the_return_is_binned_at_the_nearest_centre() -> None:
    errors = jnp.array([-9.0, -2.0, -0.51, -0.49, 0.0, 0.5001, 1.4, 9.0])  # Centres -2, -1, 0, 1 and 2.
    assert losses.bin_of(errors, 5, 2.0).tolist() == [0, 0, 1, 2, 2, 3, 3, 4]


@pytest.mark.parametrize(("max_ratio", "expected"), [(None, [4 / 3, 10.0]), (2.0, [4 / 3, 5.0])])
def test_return_advantage_by_hand(max_ratio: float | None, expected: list[float]) -> None:
    """(1 - 0.25 / 0.75) (3 - 1), and (1 - 0.75 / 0.25) (-4 - 1) or (1 - 2) (-5)."""
    advantage = losses.return_advantage(
        jnp.log(jnp.array([[0.25, 0.75]])),
        jnp.log(jnp.array([[0.75, 0.25]])),
        jnp.array([[3.0, -4.0]]),
        jnp.ones((1, 2)),
        max_ratio=max_ratio,
    )
    np.testing.assert_allclose(advantage[0], expected, rtol=1e-6)


# Four states of which the last ends an episode, as unrolls have it: a row for the observation behind the last action.
STATES, ACTIONS = [0, 1, 1, 3], [1, 0, 1, 0]
EARNED = [0.5, -1.0, 2.0, 3.0]


@pytest.fixture(scope="module")
def tables() -> tabular.Tables:
    """Tables of random numbers, of four states and two actions."""
    keys = jax.random.split(jax.random.PRNGKey(0), 4)
    shapes = tabular.Tables((4, 2), (4,), (4, 4, 2), (4, 2))
    return tabular.Tables(*(jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True)))


@pytest.mark.parametrize("discount", [1.0, 0.5])
def test_with_one_hot_observations_and_linear_hindsight_the_credit_is_the_tables(
    tables: tabular.Tables, discount: float
) -> None:
    """The gradients of the losses in linear weights are the increments of the tables, but for the factor of a mean."""
    episode = tabular.Episode(jnp.array(STATES), jnp.array(ACTIONS), jnp.array(EARNED), jnp.ones(4, bool))
    expected = tabular.state_update(tables, episode, discount=discount, reward_model=True)
    seen = jax.nn.one_hot(jnp.array([[*STATES, 0]]), 4)  # [1, T + 1, S]; what is behind the end does not matter.
    valid, actions = jnp.ones((1, 4), bool), jnp.array([ACTIONS])
    found = losses.futures(
        jnp.array([EARNED]), jnp.array([[1.0, 1.0, 1.0, 0.0]]), jnp.full((1, 5), 50.0), valid, gamma=discount
    )

    def log_policy(weights):
        return jax.nn.log_softmax(seen[:, :-1] @ weights)

    def log_hindsight(weights):
        return jax.nn.log_softmax(jnp.einsum("bis,bjt,sta->bija", seen[:, :-1], seen, weights))

    def policy_loss(weights):
        credit = losses.state_credit(
            log_policy(weights), log_hindsight(tables.hindsight), (seen @ tables.reward)[:, :-1], found, max_ratio=None
        )
        return losses.all_action_loss(log_policy(weights), credit, valid)

    np.testing.assert_allclose(-4 * jax.grad(policy_loss)(tables.policy), expected.policy, rtol=1e-4, atol=1e-5)

    def hindsight_loss(weights):
        return losses.state_hindsight_loss(log_hindsight(weights), actions, found.weight)

    gradient = -jnp.sum(found.weight) * jax.grad(hindsight_loss)(tables.hindsight)
    # Later states alone, weighted as the credit weighs them; the authors' have the state itself too, and no weights.
    np.testing.assert_allclose(gradient, _pairs(tables, lambda k: (k > 0) * discount**k), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(expected.hindsight, _pairs(tables, lambda k: 1.0), rtol=1e-4, atol=1e-5)


def _pairs(tables: tabular.Tables, weight: Callable[[int], float]) -> np.ndarray:
    """The step of cross-entropy, one-hot of the action less h, of all pairs of rows, weighted by how far they are."""
    increment = np.zeros((4, 4, 2))
    for i, (state, action) in enumerate(zip(STATES, ACTIONS, strict=True)):
        for k, later in enumerate(STATES[i:]):
            h = np.asarray(jax.nn.softmax(tables.hindsight[state, later]))
            increment[state, later] += weight(k) * (np.eye(2)[action] - h)
    return increment


def test_given_the_return_the_credit_is_the_tables(tables: tabular.Tables) -> None:
    """Where values are 0, the network's loss is the authors'."""
    episode = tabular.Episode(jnp.array(STATES), jnp.array(ACTIONS), jnp.array(EARNED), jnp.ones(4, bool))
    bins = jnp.linspace(-5.0, 5.0, 4)
    expected = tabular.return_update(tables, episode, discount=0.5, bins=bins)
    found = losses.futures(
        jnp.array([EARNED]), jnp.array([[1.0, 1.0, 1.0, 0.0]]), jnp.zeros((1, 5)), jnp.ones((1, 4), bool), gamma=0.5
    )
    outcome = losses.bin_of(found.returns, 4, 5.0)
    states, actions = jnp.array([STATES]), jnp.array([ACTIONS])

    def log_prob(weights):
        return jnp.take_along_axis(jax.nn.log_softmax(weights)[states], actions[..., None], axis=-1)[..., 0]

    log_hindsight = jax.nn.log_softmax(tables.hindsight)[states, outcome, actions]
    advantage = losses.return_advantage(
        log_prob(tables.policy), log_hindsight, found.returns, jnp.zeros((1, 4)), max_ratio=None
    )
    gradient = jax.grad(lambda weights: jnp.sum(advantage * log_prob(weights)))(tables.policy)
    np.testing.assert_allclose(gradient, expected.policy, rtol=1e-4, atol=1e-5)
