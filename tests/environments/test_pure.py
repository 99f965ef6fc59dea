"""Environments in pure JAX: Gymnasium's numbers, step by step, and equal episodes in every face."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents import environments
from acme_agents.core import errors
from acme_agents.environments import classic, pure


@pytest.mark.parametrize("seed", range(3))
def test_cartpole_is_gymnasiums(seed: int) -> None:
    theirs, mine = gymnasium.make("CartPole-v1"), classic.make_pure("cartpole")
    observation, _ = theirs.reset(seed=seed)
    state, _ = mine.init(jax.random.PRNGKey(0))
    state = state._replace(state=classic.CartPole(*jnp.asarray(observation)))
    step, rng = jax.jit(mine.step), np.random.default_rng(seed)
    for _ in range(500):
        action = int(rng.integers(2))
        observation, reward, terminated, truncated, _ = theirs.step(action)
        state, timestep = step(state, jnp.int32(action))
        np.testing.assert_allclose(timestep.observation, observation, atol=1e-5)
        assert (timestep.reward, timestep.discount) == (reward, 1.0 - terminated)
        assert bool(timestep.last) == (terminated or truncated)
        if terminated or truncated:
            break
    assert terminated


def test_cartpole_is_cut_short_after_500_steps() -> None:
    mine = classic.make_pure("cartpole")
    state, _ = mine.init(jax.random.PRNGKey(0))
    upright = classic.CartPole(*jnp.zeros(4))
    for num_steps, last in ((498, False), (499, True)):
        _, timestep = mine.step(state._replace(state=upright, num_steps=jnp.int32(num_steps)), jnp.int32(0))
        assert bool(timestep.last) == last and timestep.discount == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_pendulum_is_gymnasiums(seed: int) -> None:
    theirs, mine = gymnasium.make("Pendulum-v1"), classic.make_pure("pendulum")
    theirs.reset(seed=seed)
    step, rng = jax.jit(mine.step), np.random.default_rng(seed)
    state, _ = mine.init(jax.random.PRNGKey(0))
    for i in range(200):
        action = rng.uniform(-1.5, 1.5, 1).astype(np.float32)  # Beyond the bounds too.
        # From the same state: a rounding error grows where the pendulum stands upright.
        state = state._replace(state=classic.Pendulum(*jnp.asarray(theirs.unwrapped.state, jnp.float32)))
        observation, reward, terminated, truncated, _ = theirs.step(2.0 * np.clip(action, -1, 1))
        state, timestep = step(state, action)
        np.testing.assert_allclose(timestep.observation, observation, atol=2e-5)
        np.testing.assert_allclose(timestep.reward, reward, rtol=1e-4, atol=1e-4)
        assert bool(timestep.last) == truncated == (i == 199) and not terminated and timestep.discount == 1.0


def test_a_grid_pays_in_its_last_corner_alone() -> None:
    mine = classic.make_pure("grid-3")
    state, observation = mine.init(jax.random.PRNGKey(0))
    np.testing.assert_array_equal(observation, [1, 0, 0, 1, 0, 0])
    rewards, walk = [], (0, 1, 1, 1, 3, 3)  # Up against a wall, down thrice, right twice.
    for action in walk:
        state, timestep = mine.step(state, jnp.int32(action))
        rewards.append(float(timestep.reward))
        assert bool(timestep.last) == (len(rewards) == len(walk))
    assert rewards == [0, 0, 0, 0, 0, 1] and timestep.discount == 0.0
    np.testing.assert_array_equal(timestep.observation, [0, 0, 1, 0, 0, 1])


def test_episodes_of_a_face_begin_with_the_seed_and_their_number() -> None:
    env = environments.make("jax:cartpole", 7)
    functions = classic.make_pure("cartpole")
    for episode in range(2):
        _, expected = functions.init(jax.random.fold_in(jax.random.PRNGKey(7), episode))
        np.testing.assert_array_equal(env.reset().observation, expected)
    with pytest.raises(errors.UserError, match="from 0 to 1, got 2"):
        env.step(2)


def test_a_limit_cuts_short() -> None:
    functions = environments.make_pure("jax:pendulum", max_episode_steps=2)
    state, _ = functions.init(jax.random.PRNGKey(0))
    ends = []
    for _ in range(2):
        state, timestep = functions.step(state, jnp.zeros(1))
        ends.append((bool(timestep.last), float(timestep.discount)))
    assert ends == [(False, 1.0), (True, 1.0)]


def test_an_environment_that_is_not_pure_is_refused() -> None:
    with pytest.raises(errors.UserError, match="gym:CartPole-v1 is not written in JAX"):
        environments.make_pure("gym:CartPole-v1")
    with pytest.raises(errors.UserError, match="did you mean cartpole"):
        environments.make_pure("jax:cartpol")
    assert isinstance(environments.make("jax:grid-4", 0), pure.PureEnvironment)


@pytest.mark.parametrize(("name", "max_steps"), [("jax:grid-3", 5), ("jax:cartpole", None), ("jax:pendulum", 7)])
def test_many_that_step_as_one_are_what_each_is_alone(name: str, max_steps: int | None) -> None:
    seeds, rng = (3, 1, 4), np.random.default_rng(0)
    together = environments.make_batch(name, seeds, max_episode_steps=max_steps)
    assert isinstance(together, pure.PureEnvironments)
    alone = [environments.make(name, seed, max_episode_steps=max_steps) for seed in seeds]
    expected, found, num_ends = [each.reset() for each in alone], together.reset(), 0
    spec = alone[0].action_spec()
    for i in range(60):
        if hasattr(spec, "num_values"):
            actions = rng.integers(spec.num_values, size=3).astype(np.int32)
        else:
            actions = rng.uniform(-1, 1, (3, *spec.shape)).astype(np.float32)
        num_active = 3 if i % 7 else 2  # The third is left where it is now and then.
        expected[:num_active] = [alone[j].step(actions[j]) for j in range(num_active)]
        found = together.step(actions, num_active)
        for j in range(num_active):
            assert found.step_type[j] == expected[j].step_type
            if not expected[j].first():  # A first time step has neither.
                np.testing.assert_allclose(found.reward[j], expected[j].reward, atol=1e-3)
                assert found.discount[j] == expected[j].discount
            num_ends += expected[j].last()
            np.testing.assert_allclose(found.observation[j], expected[j].observation, atol=1e-3)
    assert num_ends >= 3


def test_many_refuse_an_action_that_there_is_not() -> None:
    grids = environments.make_batch("jax:grid-3", (0, 1))
    assert grids is not None
    grids.reset()
    with pytest.raises(errors.UserError, match="Expected an action from 0 to 3, got 4"):
        grids.step(np.array([0, 4]), 2)
