"""Gymnasium: endings, spaces and seeds, in numbers."""

import numpy as np
import pytest

from acme_agents import environments
from acme_agents.core import errors
from tests.environments import toys


def _three_steps(env):
    env.reset()
    return [env.step(env.action_spec().generate_value()) for _ in range(3)]


@pytest.mark.parametrize(
    ("name", "discount"), [(toys.TRUNCATED, 1), (toys.TERMINATED, 0), (toys.BOTH, 0), (toys.DICT, 1)]
)
def test_termination_has_discount_0_and_truncation_1(name, discount):
    env = environments.make(name, seed=0)
    steps = _three_steps(env)
    assert [step.last() for step in steps] == [False, False, True]
    assert [step.discount for step in steps] == [1, 1, discount]
    assert [step.reward for step in steps] == [1, 2, 3]
    assert env.step(0).first()


def test_a_registered_time_limit_truncates():
    env = environments.make("gym:Pendulum-v1", seed=0)
    env.reset()
    steps = [env.step(np.zeros(1, np.float32)) for _ in range(200)]
    assert [step.last() for step in steps].index(True) == 199
    assert steps[-1].discount == 1


def test_box_actions_are_clipped_then_mapped_to_the_bounds():
    env = environments.make(toys.LOPSIDED, seed=0)  # Bounds [-1, 3] and [0, 10].
    inner = env._environment.unwrapped
    for action, expected in (([1, 1], [3, 10]), ([-1, -1], [-1, 0]), ([0, 0.5], [1, 7.5]), ([5, -5], [3, 0])):
        env.reset()
        env.step(np.array(action, np.float32))
        np.testing.assert_array_equal(inner.last_action, expected)
        assert inner.last_action.dtype == np.float32


def test_discrete_actions_count_from_zero():
    env = environments.make(toys.SHIFTED, seed=0)  # Three actions, from 5.
    assert environments.spec(env).action.num_values == 3
    env.reset()
    env.step(np.int32(2))
    assert env._environment.unwrapped.last_action == 7
    with pytest.raises(ValueError, match="Expected an action from 0 to 2, got 3"):
        env.step(np.int32(3))


def test_dict_observations_stay_dicts():
    env = environments.make(toys.DICT, seed=0)
    spec = environments.spec(env).observation
    assert (spec["image"].shape, spec["image"].dtype) == ((4, 5, 3), "uint8")
    assert (spec["inner"]["place"].shape, spec["inner"]["place"].dtype) == ((3,), "float32")
    assert (spec["inner"]["speed"].shape, spec["inner"]["speed"].dtype) == ((2,), "float32")

    observation = _three_steps(env)[0].observation
    np.testing.assert_array_equal(observation["image"], np.full((4, 5, 3), 101, np.uint8))
    np.testing.assert_array_equal(observation["inner"]["place"], [0, 1, 0])  # 2, counted from 1, one-hot.
    np.testing.assert_array_equal(observation["inner"]["speed"], np.float32([0.1, 0.2]))
    assert {leaf.dtype.name for leaf in (observation["image"], *observation["inner"].values())} == {"uint8", "float32"}


def test_a_discrete_observation_is_one_hot():
    observation = environments.make("gym:FrozenLake-v1", seed=0).reset().observation
    np.testing.assert_array_equal(observation, np.eye(16, dtype=np.float32)[0])


def test_only_the_first_reset_is_seeded():
    env = environments.make(toys.TRUNCATED, seed=11)
    for _ in range(3):
        env.reset()
    assert env._environment.unwrapped.seeds == [11, None, None]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (toys.UNBOUNDED_ACTION, r"^Actions must be bounded to be rescaled .* Box\(-inf, inf, \(1,\), float32\)\.$"),
        (toys.MULTI_ACTION, r"^Actions must be Discrete or a Box of floats, .* MultiDiscrete\(\[2 3\]\)\.$"),
        (toys.TUPLE_OBSERVATION, r"^Observations must be Box, .* this space is Tuple\(.*\)\.$"),
        (
            "gym:Blackjack-v1",
            r"^Observations must be Box, .* Tuple\(Discrete\(32\), Discrete\(11\), Discrete\(2\)\)\.$",
        ),
    ],
)
def test_spaces_that_are_refused(name, sentence):
    with pytest.raises(ValueError, match=sentence):
        environments.make(name, seed=0)


def test_rendering():
    env = environments.make(toys.TRUNCATED, seed=0)
    with pytest.raises(errors.UserError, match="make it with render=True"):
        environments.render_frame(env)
