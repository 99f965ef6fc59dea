"""`energy:NAME` puts the energy of the action beside the reward, and changes nothing else."""

import numpy as np
import pytest

from acme_agents import environments
from acme_agents.core import errors


def test_the_second_objective_is_minus_the_mean_square_of_the_clipped_action():
    env = environments.make("energy:probe:reach", seed=0)
    assert environments.spec(env).reward == environments.spec(environments.make("probe:tradeoff", 0)).reward
    env.reset()
    for action, energy in (([0, 0], 0), ([0.5, -0.1], -0.13), ([1, -1], -1), ([-7, 0.5], -0.625)):
        reward = env.step(np.array(action, np.float32)).reward
        assert reward.shape == (2,) and reward.dtype == np.float32
        assert reward[1] == pytest.approx(energy, abs=1e-6)


@pytest.mark.parametrize("name", ["probe:reach", "probe:dict", "gym:Pendulum-v1", "control:walker:walk"])
def test_all_else_is_the_task(name):
    plain, wrapped = environments.make(name, seed=3), environments.make(f"energy:{name}", seed=3)
    expected_spec, spec = environments.spec(plain), environments.spec(wrapped)
    assert (spec.observation, spec.action) == (expected_spec.observation, expected_spec.action)
    rng = np.random.default_rng(0)
    for _ in range(60):  # Past the end of the probes.
        action = rng.uniform(-1, 1, spec.action.shape).astype(np.float32)
        expected, step = plain.step(action), wrapped.step(action)
        assert step.step_type == expected.step_type and step.discount == expected.discount
        assert step.reward is None if expected.first() else step.reward[0] == expected.reward


def test_scaled_and_energy_in_either_order():
    action = np.full(2, 0.5, np.float32)
    plain, outside, inside = (
        environments.make(name, seed=0)
        for name in ("probe:reach", "scaled:10:energy:probe:reach", "energy:scaled:10:probe:reach")
    )
    rewards = [env.step(action).reward for env in (plain, outside, inside) for _ in range(2)][1::2]
    np.testing.assert_allclose(rewards[1], [10 * rewards[0], -2.5], rtol=1e-6)
    np.testing.assert_allclose(rewards[2], [10 * rewards[0], -0.25], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("energy:probe:choice", "Energy is of continuous actions, and this environment has 3 discrete."),
        ("energy:gym:CartPole-v1", "Energy is of continuous actions, and this environment has 2 discrete."),
        ("energy:probe:tradeoff", "Energy goes beside one reward, and this environment has a vector of 2 already."),
        ("energy:energy:probe:reach", "Energy goes beside one reward, and this environment has a vector of 2 already."),
        ("energy:scaled:2:probe:concave", "Energy goes beside one reward, and this environment has a vector of 2 al"),
        (
            "energy:probe:reech",
            "Unknown environment 'energy:probe:reech': it wraps another, and that is an unknown environment "
            "'probe:reech': there is no probe 'reech', did you mean reach?",
        ),
        ("energy", "that is an unknown environment '': a name is control:DOMAIN:TASK"),
    ],
)
def test_what_is_refused_is_told_in_one_sentence(name, sentence):
    with pytest.raises(ValueError) as raised:
        environments.make(name, seed=0)
    assert sentence in str(raised.value) and "\n" not in str(raised.value)


def test_the_picture_is_the_environments():
    env = environments.make("energy:probe:reach", seed=0)
    env.reset()
    assert environments.render_frame(env).shape == (128, 128, 3)
    with pytest.raises(errors.UserError, match="has no picture to render"):
        environments.render_frame(environments.make("energy:probe:constant", seed=0))
