"""What agents ask of an environment."""

import pytest

from acme_agents.core import errors, specs
from acme_agents.core.types import ArraySpec, EnvironmentSpec

CONTINUOUS = EnvironmentSpec(ArraySpec((1,)), ArraySpec((3,)))
DISCRETE = EnvironmentSpec(ArraySpec((1,)), ArraySpec((), "int32", 4), ArraySpec((2,)))


def test_counts_actions_and_their_dimensions():
    assert specs.num_actions(DISCRETE, agent="X") == 4
    assert specs.num_dimensions(CONTINUOUS, agent="X") == 3
    specs.needs_one_reward(CONTINUOUS, agent="X")


@pytest.mark.parametrize(
    ("ask", "spec", "sentence"),
    [
        (
            specs.num_actions,
            CONTINUOUS,
            "X needs discrete actions, and this environment has continuous ones of shape (3,): choose an environment "
            "with a discrete action space, or an agent for continuous actions.",
        ),
        (
            specs.num_dimensions,
            DISCRETE,
            "X needs continuous actions, and this environment has 4 discrete ones: choose an environment with a "
            "continuous action space, or an agent for discrete actions.",
        ),
        (
            specs.needs_one_reward,
            DISCRETE,
            "X needs one reward, and this environment has a vector of 2: choose an environment with a scalar reward.",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_refuses_other_environments_in_a_sentence(ask, spec, sentence):
    with pytest.raises(errors.UserError) as refused:
        ask(spec, agent="X")
    assert str(refused.value) == sentence


def test_says_what_to_choose_instead():
    with pytest.raises(errors.UserError, match=r"has a vector of 2: choose the agent y\."):
        specs.needs_one_reward(DISCRETE, agent="X", instead="the agent y")
