"""`repeat:N:NAME`: rewards are summed and discounts multiplied, up to the end of the episode."""

import dm_env
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents import environments
from acme_agents.environments import repeat


def _steps(env, action):
    """The steps of an episode of one action, and the reset after it."""
    steps = [env.step(action)]
    assert steps[0].first()
    while not steps[-1].last():
        steps.append(env.step(action))
    return [*steps[1:], env.step(action)]


@pytest.mark.parametrize(("probe", "discount"), [("termination", 0.0), ("truncation", 1.0)])
@pytest.mark.parametrize(("number", "rewards"), [(1, [1] * 5), (2, [2, 2, 1]), (3, [3, 2]), (5, [5]), (9, [5])])
def test_it_stops_at_the_end_of_an_episode(probe, discount, number, rewards):
    env = environments.make(f"repeat:{number}:probe:{probe}", seed=0)
    *steps, after = _steps(env, np.zeros(1, np.float32))
    assert [float(step.reward) for step in steps] == rewards
    assert [float(step.discount) for step in steps] == [1.0] * (len(rewards) - 1) + [discount]
    assert after.first() and after.reward is None  # A reset is not repeated.
    assert env.step(np.zeros(1, np.float32)).reward == rewards[0]


@pytest.mark.parametrize("name", ["probe:reach", "probe:tradeoff", "control:cartpole:swingup_sparse"])
def test_a_step_is_n_steps(name):
    plain, repeated = environments.make(name, 3), environments.make(f"repeat:4:{name}", 3)
    assert environments.spec(plain) == environments.spec(repeated)
    rng, spec = np.random.default_rng(0), plain.action_spec()
    np.testing.assert_array_equal(plain.reset().observation, repeated.reset().observation)
    for _ in range(10):
        action = rng.uniform(-1, 1, spec.shape).astype(np.float32)
        reward, expected = 0.0, None
        for _ in range(4):
            if expected is None or not expected.last():
                expected = plain.step(action)
                reward = reward + expected.reward
        step = repeated.step(action)
        np.testing.assert_array_equal(step.observation, expected.observation)
        np.testing.assert_allclose(step.reward, reward, rtol=1e-6)
        assert step.step_type == expected.step_type and step.reward.dtype == np.float32
        if step.last():
            plain.reset()
            repeated.reset()


def test_discounts_are_multiplied():
    class Halves:
        def step(self, action):
            del action
            return dm_env.TimeStep(dm_env.StepType.MID, np.float32(1), np.float32(0.5), np.zeros(1))

    step = repeat.Repeat(Halves(), 3).step(None)
    assert (step.reward, step.discount) == (3, 0.125)


def test_a_limit_counts_the_agents_steps():
    env = environments.make("repeat:4:probe:reach", 0, max_episode_steps=5)
    steps = _steps(env, np.zeros(2, np.float32))
    assert len(steps[:-1]) == 5  # 20 of the 50 steps of an episode.
    env = environments.make("repeat:4:probe:reach", 0)
    assert len(_steps(env, np.zeros(2, np.float32))[:-1]) == 13  # 12 of four steps and one of two.


def test_an_environment_in_pure_jax_stays_so():
    functions = environments.make_pure("repeat:3:jax:grid-3")
    state, _ = functions.init(jax.random.PRNGKey(0))
    step = jax.jit(functions.step)
    state, timestep = step(state, jnp.int32(1))  # Down, as far as it goes.
    np.testing.assert_array_equal(timestep.observation, [0, 0, 1, 1, 0, 0])
    assert not timestep.last and timestep.reward == 0 and state.num_steps == 3
    state, timestep = step(state, jnp.int32(3))  # Right: the second of three steps ends the episode.
    np.testing.assert_array_equal(timestep.observation, [0, 0, 1, 0, 0, 1])
    assert timestep.last and timestep.reward == 1 and timestep.discount == 0 and state.num_steps == 5
    assert environments.make_pure("repeat:4:jax:pendulum").frames_per_second == 5
    assert environments.frames_per_second(environments.make("repeat:4:jax:pendulum", 0)) == 5


def test_the_expert_of_single_steps_is_no_expert():
    assert hasattr(environments.make("scaled:2:deep-sea:5", 0), "expert_action")
    assert not hasattr(environments.make("repeat:2:deep-sea:5", 0), "expert_action")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("repeat:0:probe:reach", "repeat:N:NAME with N from 1 to 100, and '0' is no such N."),
        ("repeat:2.5:probe:reach", "and '2.5' is no such N."),
        ("repeat:probe:reach", "and 'probe' is no such N."),
        ("repeat:2:probe:reech", "that is an unknown environment 'probe:reech': there is no probe 'reech', did you "),
    ],
)
def test_a_wrong_name_is_told_in_one_sentence(name, sentence):
    with pytest.raises(ValueError) as raised:
        environments.make(name, seed=0)
    message = str(raised.value)
    assert message.startswith(f"Unknown environment {name!r}: ") and sentence in message and "\n" not in message
