"""`hindsight:NAME`: what each task pays, by hand, and what its random numbers are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents import environments


def _episodes(name: str, actions: list[int], number: int = 1) -> tuple[np.ndarray, ...]:
    """The states shown [E, T], rewards [E, T] and lengths [E] of episodes in which these actions are taken."""
    functions = environments.make_pure(f"hindsight:{name}")

    def episode(key):
        state, observation = functions.init(key)

        def step(carry, action):
            state, shown, over = carry
            state, timestep = functions.step(state, action)
            now = (shown, jnp.where(over, 0.0, timestep.reward), ~over, timestep.discount)
            return (state, jnp.argmax(timestep.observation), over | timestep.last), now

        _, found = jax.lax.scan(step, (state, jnp.argmax(observation), jnp.bool_(False)), jnp.array(actions))
        return found

    found = jax.jit(jax.vmap(episode))(jax.random.split(jax.random.PRNGKey(0), number))
    shown, rewards, counts, discounts = map(np.asarray, found)
    lengths = counts.sum(1)
    ends = np.arange(len(actions)) == lengths[:, None] - 1
    assert (discounts[counts] == 1.0 - ends[counts]).all()  # Over for good.
    return shown, rewards, lengths


def test_the_shortcut_pays_at_once() -> None:
    shown, rewards, lengths = _episodes("shortcut-5", [0, 1, 1])
    assert lengths == [2] and shown[0, :2].tolist() == [0, 4] and rewards[0].tolist() == [-1, 1, 0]


def test_the_long_way_now_and_then_is_short() -> None:
    shown, rewards, lengths = _episodes("shortcut-5", [1] * 6, 4000)
    assert shown[np.argmax(lengths == 5)].tolist()[:5] == [0, 1, 2, 3, 4]
    assert lengths.min() == 2 and lengths.max() == 5
    np.testing.assert_allclose(np.mean(lengths == 2), 0.1, atol=0.02)
    np.testing.assert_allclose(rewards.sum(1).mean(), -2.439, atol=0.06)  # 1 - (1 + 0.9 + 0.81 + 0.729)


@pytest.mark.parametrize(("first", "paid", "end"), [(0, 1.0, 4), (1, -1.0, 5)])
def test_the_first_action_decides_what_is_paid_at_the_end(first: int, paid: float, end: int) -> None:
    for other in (0, 1):
        shown, rewards, lengths = _episodes("delayed-effect-3", [first, *[other] * 4, 0])
        assert lengths == [5] and shown[0, :5].tolist() == [0, 1, 2, 3, end]
        assert rewards[0].tolist() == [0, 0, 0, 0, paid, 0]


def test_only_the_states_in_the_middle_are_noisy() -> None:
    _, rewards, _ = _episodes("delayed-effect-3-noise-2", [0, 1, 1, 1, 1], 4000)
    np.testing.assert_allclose(rewards.mean(0), [0, 0, 0, 0, 1], atol=0.12)
    np.testing.assert_allclose(rewards.std(0), [0, 2, 2, 2, 0], atol=0.1)


@pytest.mark.parametrize(
    ("name", "noise", "crossover", "other"),
    [
        ("ambiguous-bandit", 1.5, 0.1, 2),
        ("ambiguous-bandit-hidden", 1.5, 0.1, 1),
        ("ambiguous-bandit-hidden-noise-0.5-crossover-0.3", 0.5, 0.3, 1),
    ],
)
def test_the_bandit_crosses_over(name: str, noise: float, crossover: float, other: int) -> None:
    for action, mean in ((0, 2.0 - crossover), (1, 1.0 + crossover)):
        shown, rewards, lengths = _episodes(name, [action, 0], 4000)
        assert (lengths == 2).all() and (rewards[:, 0] == 0).all()
        np.testing.assert_allclose(rewards[:, 1].mean(), mean, atol=0.1)
        np.testing.assert_allclose(rewards[:, 1].var(), noise**2 + crossover * (1 - crossover), rtol=0.1)
        assert set(shown[:, 1].tolist()) == {1, other}


def test_names_of_the_figures_are_tasks() -> None:
    for name in environments.names():
        if name.startswith("hindsight:"):
            environments.make_pure(name)
