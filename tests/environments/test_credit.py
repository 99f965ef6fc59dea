"""`credit:NAME`: what each task pays, by hand, for every value of every knob that the diagnosis turns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents import environments
from acme_agents.environments import credit
from acme_agents.launch.credit import knobs

TASKS = knobs.tasks({knob: each.values for knob, each in knobs.KNOBS.items()})  # What is diagnosed.
CUE, ROOM = slice(0, 8), slice(8, 136)


RIGHT, WRONG, RANDOM = range(3)  # policies, where there is a cue; elsewhere all of them act at random
STEPS = np.arange(credit.HORIZON)


def _episodes(name: str, policies: list[int] | np.ndarray) -> tuple[np.ndarray, ...]:
    """Observations [E, 33, 168], actions [E, 32] and rewards [E, 32] of an episode of each policy.

    A policy is the number of one, or one for each step: [E] or [E, 32].
    """
    functions = environments.make_pure(name)
    policies = np.asarray(policies)
    policies = np.broadcast_to(policies if policies.ndim == 2 else policies[:, None], (len(policies), credit.HORIZON))

    def episode(key, policy):
        init_key, *keys = jax.random.split(key, credit.HORIZON + 1)
        state, observation = functions.init(init_key)

        def step(carry, now):
            state, observation = carry
            key, policy = now
            right, is_decision = jnp.argmax(observation[CUE]) % 2, observation[CUE].any()
            random = jax.random.randint(key, (), 0, 2)
            action = jnp.where(is_decision & (policy != RANDOM), right ^ (policy == WRONG), random)
            state, timestep = functions.step(state, action)
            seen = (timestep.observation, action, timestep.reward, timestep.discount, timestep.last)
            return (state, timestep.observation), seen

        _, (after, *rest) = jax.lax.scan(step, (state, observation), (jnp.stack(keys), policy))
        return jnp.concatenate([observation[None], after]), *rest

    found = jax.jit(jax.vmap(episode))(jax.random.split(jax.random.PRNGKey(0), len(policies)), policies)
    observations, actions, rewards, discounts, lasts = map(np.asarray, found)
    assert (discounts == [1.0] * 31 + [0.0]).all() and (lasts == [False] * 31 + [True]).all()
    return observations, actions, rewards


@pytest.mark.parametrize("name", TASKS)
def test_what_is_best_and_what_a_random_policy_has(name: str) -> None:
    task = credit.parse(name.removeprefix("credit:"))
    assert task.uniform == 0.5**task.sparsity
    policies = np.repeat([RIGHT, WRONG, RANDOM], [64, 64, 4096])
    observations, _, rewards = _episodes(name, policies)
    returns, tolerance = rewards.sum(1), 1e-5 * (1 + task.noise)  # Luck or not.
    np.testing.assert_allclose(returns[policies == RIGHT], 1.0, atol=tolerance)
    np.testing.assert_allclose(returns[policies == WRONG], 0.0, atol=tolerance)
    mean = returns[policies == RANDOM].mean()
    np.testing.assert_allclose(mean, task.uniform, atol=4 * np.sqrt(task.uniform / 4096))
    assert (observations[:, :, CUE].any(2).sum(1) == task.sparsity).all()
    assert (observations[:, :, CUE].any(2).argmax(1) == credit.HORIZON - task.depth).all()


def test_the_reward_comes_as_late_as_the_depth_says() -> None:
    observations, _, rewards = _episodes("credit:depth-5", [RIGHT])
    when = observations[0, :, CUE].any(1).argmax()
    assert np.flatnonzero(rewards[0]).tolist() == [when + 4]  # The transition from `when` is the first.


def test_one_wrong_decision_spoils_the_rest() -> None:
    spoilt = np.array([24, 26, 30])[:, None]
    observations, _, rewards = _episodes("credit:sparsity-4", np.where(spoilt == STEPS, WRONG, RIGHT))
    assert observations[0, :, CUE].any(1).nonzero()[0].tolist() == [24, 26, 28, 30]
    assert (rewards == 0).all()
    good = observations[:, :32, ROOM][:, :, :64].any(2)
    assert (good == (spoilt >= STEPS)).all()


def test_ways_to_the_end_are_as_many_as_the_breadth() -> None:
    observations, actions, rewards = _episodes("credit:breadth-16", [RIGHT] * 512)
    rooms = observations[:, :, ROOM].argmax(2)
    assert len({tuple(way) for way in rooms.tolist()}) == len(set(rooms[:, 31])) == 16
    np.testing.assert_allclose(rewards.sum(1), 1.0)
    assert (rooms[:, 31] == actions[:, 25:29] @ [8, 4, 2, 1]).all()  # The actions choose it, not chance.


def test_luck_is_paid_for_before_the_decision_and_is_as_large_as_the_noise() -> None:
    observations, _, rewards = _episodes("credit:noise-2", [RIGHT] * 4096)
    assert (rewards[:, 1:25] == 0).all() and (rewards[:, 0] != 0).all()
    from_the_decision_on = rewards[:, 24:].sum(1)
    np.testing.assert_allclose(from_the_decision_on.std(), 2.0, rtol=0.05)
    np.testing.assert_allclose(from_the_decision_on.mean(), 1.0, atol=0.12)
    np.testing.assert_allclose(rewards[:, 25:31].std(0), 2 / np.sqrt(7), rtol=0.06)
    np.testing.assert_array_equal(observations[0, 1:24, ROOM], observations[1, 1:24, ROOM])  # It is not shown.


def test_the_task_that_all_start_from_is_one() -> None:
    same = {credit.parse(name) for name in ("depth-8", "sparsity-1", "breadth-1", "noise-0", "noise-0.0")}
    assert same == {credit.Task(depth=8, sparsity=1, breadth=1, noise=0.0)}
    assert credit.parse("depth-16-sparsity-2-breadth-4-noise-0.5") == credit.Task(16, 2, 4, 0.5)
