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


@pytest.mark.parametrize("seed", range(2))
def test_the_mountain_car_is_gymnasiums_with_the_goals_reward_alone(seed: int) -> None:
    theirs, mine = gymnasium.make("MountainCarContinuous-v0"), classic.make_pure("sparse-mountain-car")
    observation, _ = theirs.reset(seed=seed)
    step, rewards, wall = jax.jit(mine.step), [], 0
    state, first = mine.init(jax.random.PRNGKey(seed))
    assert -0.6 <= first[0] <= -0.4 and first[1] == 0
    rng = np.random.default_rng(seed)
    for _ in range(999):
        state = state._replace(state=classic.MountainCar(*jnp.asarray(observation)))
        # With the velocity, which swings it up, and now and then beyond the bounds.
        action = np.float32([np.sign(observation[1]) or 1]) * rng.choice([0.5, 1.0, 1.5], p=[0.1, 0.8, 0.1])
        observation, reward, terminated, truncated, _ = theirs.step(np.clip(action, -1, 1))
        state, timestep = step(state, jnp.asarray(action))
        np.testing.assert_allclose(timestep.observation, observation, atol=1e-6)
        rewards.append(float(timestep.reward))
        np.testing.assert_allclose(rewards[-1], reward + 0.1 * np.clip(action[0], -1, 1) ** 2, atol=1e-5)
        assert (timestep.discount, bool(timestep.last)) == (1.0 - terminated, terminated or truncated)
        wall += observation[0] == np.float32(-1.2)
        if terminated:
            break
    assert terminated and rewards[-1] == 100 and not any(rewards[:-1])


def test_the_mountain_car_stops_at_the_left_end_and_is_cut_short_after_999_steps() -> None:
    mine = classic.make_pure("sparse-mountain-car")
    state, _ = mine.init(jax.random.PRNGKey(0))
    for num_steps, last in ((997, False), (998, True)):
        at_wall = classic.MountainCar(jnp.float32(-1.19), jnp.float32(-0.05))
        state, timestep = mine.step(state._replace(state=at_wall, num_steps=jnp.int32(num_steps)), -jnp.ones(1))
        np.testing.assert_allclose(timestep.observation, [-1.2, 0])
        assert bool(timestep.last) == last and timestep.discount == 1.0 and timestep.reward == 0.0


@pytest.mark.parametrize("name", ["scaled:3:jax:pendulum", "energy:jax:pendulum", "scaled:0:energy:maze:u"])
def test_wrappers_of_pure_environments_are_pure(name: str) -> None:
    env, functions = environments.make(name, 4), environments.make_pure(name)
    assert environments.spec(env) == functions.spec
    state, observation = functions.init(jax.random.fold_in(jax.random.PRNGKey(4), 0))
    np.testing.assert_allclose(env.reset().observation, observation, atol=1e-6)
    for number in (0.5, -2.0):
        action = np.full(functions.spec.action.shape, number, np.float32)
        expected = env.step(action)
        state, timestep = functions.step(state, jnp.asarray(action))
        np.testing.assert_allclose(timestep.reward, expected.reward, rtol=1e-6)
        np.testing.assert_allclose(timestep.observation, expected.observation, atol=1e-6)


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
    with pytest.raises(errors.UserError, match="repeat:2:gym:CartPole-v1 is not written in JAX"):
        environments.make_pure("repeat:2:gym:CartPole-v1")
    with pytest.raises(errors.UserError, match="Energy is of continuous actions"):
        environments.make_pure("energy:jax:cartpole")
    with pytest.raises(errors.UserError, match="did you mean cartpole"):
        environments.make_pure("jax:cartpol")
    assert isinstance(environments.make("jax:grid-4", 0), pure.PureEnvironment)


@pytest.mark.parametrize(
    ("name", "max_steps"),
    [
        ("jax:grid-3", 5),
        ("jax:cartpole", None),
        ("jax:pendulum", 7),
        ("jax:sparse-mountain-car", 7),
        ("trackers:brownian", 7),
        ("trackers:no-op", 7),
        ("noisy-tv:symbols", None),
        ("maze:four-rooms", 7),
        ("hindsight:delayed-effect-3-noise-2", None),
        ("credit:sparsity-2-noise-1", 9),
        ("feedback-bandit:5", None),
        ("key-to-door:2", 9),
        ("repeat:2:jax:grid-3", None),
        ("persistive:noisy-tv:picture", 9),
    ],
)
def test_many_that_step_as_one_are_what_each_is_alone(name: str, max_steps: int | None) -> None:
    seeds, rng = (3, 1, 4), np.random.default_rng(0)
    together = environments.make_batch(name, seeds, max_episode_steps=max_steps)
    assert isinstance(together, pure.PureEnvironments)
    alone = [environments.make(name, seed, max_episode_steps=max_steps) for seed in seeds]
    expected, found, num_ends = [each.reset() for each in alone], together.reset(), 0
    spec = alone[0].action_spec()
    for i in range(75):
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
