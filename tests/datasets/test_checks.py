"""What an episode must be, each refusal in its sentence."""

import numpy as np
import pytest

from acme_agents.core.types import ArraySpec, EnvironmentSpec, Trajectory
from acme_agents.datasets import checks

SPEC = EnvironmentSpec({"x": ArraySpec((2,)), "in": {"y": ArraySpec((), "uint8")}}, ArraySpec((2,)))
DISCRETE = EnvironmentSpec(ArraySpec((1,)), ArraySpec((), "int32", 3), ArraySpec((2,)))


def _episode(**changes):
    episode = Trajectory(
        {"x": np.zeros((4, 2)), "in": {"y": np.zeros(4, np.uint8)}},
        np.zeros((3, 2), np.float32),
        np.array([1, 2, 3]),
        np.ones(3),
    )
    return episode._replace(**changes)


def _discrete(**changes):
    return Trajectory(np.zeros((4, 1)), np.array([0, 1, 2]), np.zeros((3, 2)), np.ones(3))._replace(**changes)


def test_it_comes_in_the_specs_dtypes():
    episode = checks.canonical(_episode(), SPEC, "file, episode 0")
    assert episode.observation["x"].dtype == episode.reward.dtype == episode.discount.dtype == np.float32
    assert episode.observation["in"]["y"].dtype == np.uint8
    np.testing.assert_array_equal(episode.reward, [1, 2, 3])
    np.testing.assert_array_equal(checks.canonical(_discrete(), DISCRETE, "").action, np.int32([0, 1, 2]), strict=True)


def test_actions_that_rounding_put_outside_are_clipped():
    action = np.array([[-1.00009, 0.5], [1, 1.00009], [0, 0]])
    episode = checks.canonical(_episode(action=action), SPEC, "")
    np.testing.assert_array_equal(episode.action, np.float32([[-1, 0.5], [1, 1], [0, 0]]), strict=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reward": np.zeros(0)}, " has no steps."),
        ({"reward": 1.0}, " has no steps."),
        (
            {"observation": np.zeros((4, 2))},
            " has observations of float64 [2], and the environment's spec says {'x': float32 [2], 'in': {'y': uint8 "
            "numbers}}.",
        ),
        (
            {"observation": {"x": np.zeros((4, 2)), "in": np.zeros(4)}},
            " has observations['in'] of float64 numbers, and the environment's spec says {'y': uint8 numbers}.",
        ),
        (
            {"observation": {"x": np.zeros((4, 2)), "in": {"y": np.zeros(4)}}},
            " has observations['in']['y'] of float64 numbers, and the environment's spec says uint8 numbers.",
        ),
        (
            {"observation": {"x": np.zeros((4, 2))}},
            " has observations of {'x': float64 [2]}, and the environment's spec says {'x': float32 [2], 'in': {'y': ",
        ),
        (
            {"observation": {"x": np.zeros((4, 2)), "in": {"y": np.zeros(4, np.uint8), "z": np.zeros(4)}}},
            " has observations['in'] of {'y': uint8 numbers, 'z': float64 numbers}, and the environment's spec says {",
        ),
        (
            {"observation": {"x": np.zeros((4, 3)), "in": {"y": np.zeros(4, np.uint8)}}},
            " has observations['x'] of float64 [3], and the environment's spec says float32 [2].",
        ),
        (
            {"observation": {"x": np.zeros((4, 2), np.uint8), "in": {"y": np.zeros(4, np.uint8)}}},
            " has observations['x'] of uint8 [2], and the environment's spec says float32 [2].",
        ),
        (
            {"observation": {"x": np.zeros((3, 2)), "in": {"y": np.zeros(4, np.uint8)}}},
            " has 3 rewards, so 4 observations['x'] were expected, and it has 3.",
        ),
        ({"action": np.zeros((4, 2))}, " has 3 rewards, so 3 actions were expected, and it has 4."),
        (
            {"action": np.zeros((3, 1))},
            " has actions of float64 [1], and the environment's spec says float32 [2].",
        ),
        (
            {"action": np.array([["a", "b"]] * 3)},
            " has actions of <U1 [2], and the environment's spec says float32 [2].",
        ),
        (
            {"action": np.array([[0, 0], [0, 1.001], [0, 0]])},
            " has actions that are outside [-1, 1]: actions[1, 1] is 1.00",
        ),
        (
            {"action": np.array([[0, 0], [0, 0], [np.nan, 0]])},
            " has actions that are NaN or infinite: actions[2, 0] is nan.",
        ),
        ({"reward": np.array([0, -np.inf, 0])}, " has rewards that are NaN or infinite: rewards[1] is -inf."),
        ({"reward": np.array([0, 1e39, 0])}, " has rewards that are NaN or infinite: rewards[1] is inf."),
        (
            {"reward": np.zeros((3, 2))},
            " has rewards of float64 [2], and the environment's spec says float32 numbers.",
        ),
        ({"discount": np.array([1, 1.5, 1])}, " has discounts that are outside [0, 1]: discounts[1] is 1.5."),
        ({"discount": np.array([-0.5, 1, 1])}, " has discounts that are outside [0, 1]: discounts[0] is -0.5."),
        (
            {"discount": np.array([1, 0, 1])},
            " has discounts that are an ending before the last step: discounts[1] is 0.0.",
        ),
        ({"discount": np.ones(2)}, " has 3 rewards, so 3 discounts were expected, and it has 2."),
    ],
)
def test_what_is_refused(changes, message):
    with pytest.raises(checks.DatasetError) as raised:
        checks.canonical(_episode(**changes), SPEC, "data.hdf5, episode 3")
    assert str(raised.value).startswith("data.hdf5, episode 3" + message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"action": np.array([0, 3, 1])}, "has actions that are not 0 to 2: actions[1] is 3."),
        ({"action": np.array([0, 1, -1])}, "has actions that are not 0 to 2: actions[2] is -1."),
        ({"action": np.array([0, 1, 2**40])}, "has actions that are not 0 to 2: actions[2] is 1099511627776."),
        ({"action": np.full(3, 0.5)}, "has actions of float64 numbers, and the environment's spec says int32 numbers."),
        ({"reward": np.zeros(3)}, "has rewards of float64 numbers, and the environment's spec says float32 [2]."),
    ],
)
def test_what_is_refused_of_discrete_actions_and_vector_rewards(changes, message):
    with pytest.raises(checks.DatasetError) as raised:
        checks.canonical(_discrete(**changes), DISCRETE, "file")
    assert str(raised.value) == f"file {message}"
