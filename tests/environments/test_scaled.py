"""`scaled:FACTOR:NAME` multiplies the rewards, and changes nothing else."""

import dm_env
import numpy as np
import pytest

from acme_agents import environments
from acme_agents.core import errors


def _episode(env):
    """Plays one episode of the same actions; returns its time steps and the reset that follows."""
    steps = [env.reset()]
    rng = np.random.default_rng(0)
    shape = env.action_spec().shape
    while not steps[-1].last():
        steps.append(env.step(rng.uniform(-1, 1, shape).astype(np.float32)))
    return [*steps, env.step(np.zeros(shape, np.float32))]


@pytest.mark.parametrize("name", ["probe:reach", "probe:tradeoff", "probe:termination", "control:cartpole:swingup"])
@pytest.mark.parametrize("factor", [0.0, 0.01, 100.0])
def test_only_the_reward_differs(name, factor):
    plain, scaled = environments.make(name, seed=3), environments.make(f"scaled:{factor}:{name}", seed=3)
    assert environments.spec(scaled) == environments.spec(plain)
    for expected, step in zip(_episode(plain), _episode(scaled), strict=True):
        assert step.step_type == expected.step_type and step.discount == expected.discount
        np.testing.assert_array_equal(step.observation, expected.observation)
        if expected.reward is None:
            assert step.reward is None
        else:
            assert step.reward.dtype == np.float32
            np.testing.assert_allclose(step.reward, factor * expected.reward, rtol=1e-6)


def test_a_reward_of_one():
    env = environments.make("scaled:100:probe:constant", seed=0)
    env.reset()
    timestep = env.step(np.zeros(1, np.float32))
    assert timestep.reward == 100.0 and timestep.last() and timestep.discount == 0.0


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("scaled:-1:probe:reach", "is scaled:FACTOR:NAME with a factor of at least 0, and '-1' is none."),
        ("scaled:inf:probe:reach", "with a factor of at least 0, and 'inf' is none."),
        ("scaled:probe:reach", "with a factor of at least 0, and 'probe' is none."),
        ("scaled:2:probe:reech", "that is an unknown environment 'probe:reech': there is no probe 'reech', did you "),
        ("scaled:2", "that is an unknown environment '': a name is control:DOMAIN:TASK"),
    ],
)
def test_a_wrong_name_is_told_in_one_sentence(name, sentence):
    with pytest.raises(ValueError) as raised:
        environments.make(name, seed=0)
    message = str(raised.value)
    assert message.startswith(f"Unknown environment {name!r}: ") and sentence in message and "\n" not in message


def test_the_picture_is_the_environments():
    env = environments.make("scaled:2:probe:reach", seed=0)
    env.reset()
    assert isinstance(env, dm_env.Environment) and environments.render_frame(env).shape == (128, 128, 3)
    with pytest.raises(errors.UserError, match="has no picture to render"):
        environments.render_frame(environments.make("scaled:2:probe:constant", seed=0))
