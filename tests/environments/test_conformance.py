"""Every kind of environment keeps dm_env's contract and is canonical."""

import dm_env
import numpy as np
import pytest
from absl.testing import absltest
from dm_env import test_utils

from acme_agents import environments
from tests.environments import toys

CONTROL = ["control:cheetah:run", "control:cartpole:swingup", "control:quadruped:escape", "control:lqr:lqr_2_1"]
GYM = [
    "gym:Pendulum-v1",
    "gym:CartPole-v1",
    "gym:HalfCheetah-v5",
    "gym:FrozenLake-v1",
    "gym:MiniGrid-DoorKey-5x5-v0",
    *toys.NAMES,
]
PROBES = [name for name in environments.names() if name.startswith("probe:")]
ALE = ["ale:Pong", "ale:Freeway"]
OWN = [
    "jax:cartpole",
    "jax:pendulum",
    "jax:grid-4",
    "jax:sparse-mountain-car",
    "trackers:brownian",
    "trackers:no-op",
    "noisy-tv:symbols",
    "noisy-tv:pixels",
    "maze:four-rooms",
    "hindsight:delayed-effect-3-noise-2",
    "credit:depth-16-sparsity-4-breadth-4-noise-0.5",
    "feedback-bandit:5",
    "key-to-door:2",
    "deep-sea:10",
    "deep-sea:10:stochastic",
    "key-door:5",
    "key-door:8",
]
WRAPPED = [
    "scaled:0.5:probe:reach",
    "energy:probe:reach",
    "energy:scaled:2:probe:sign",
    "scaled:2:energy:probe:sign",
    "delayed:0.5:probe:reach",
    "repeat:3:probe:reach",
    "repeat:4:control:ball_in_cup:catch",
    "persistive:ale:Pong",
    "persistive:noisy-tv:picture",
]
# Of dm_control one task of each kind of randomness, beside those above; LQR's task itself is drawn from its seed.
RESEEDED = ["control:point_mass:hard", "control:manipulator:bring_ball", "control:swimmer:swimmer6"]


@pytest.mark.parametrize("name", CONTROL + GYM + ALE + OWN + PROBES + WRAPPED)
@pytest.mark.parametrize("case", [name for name in dir(test_utils.EnvironmentTestMixin) if name.startswith("test_")])
def test_dm_env_contract(name, case):
    class Case(test_utils.EnvironmentTestMixin, absltest.TestCase):
        def make_object_under_test(self):
            return environments.make(name, seed=0)

        def make_action_sequence(self):
            yield from (self.make_action() for _ in range(60))  # Past the end of every probe and toy.

    result = Case(case).run()
    assert result.testsRun == 1
    assert result.wasSuccessful(), "".join(text for _, text in result.failures + result.errors)


@pytest.mark.parametrize("name", CONTROL + GYM + ALE + OWN + PROBES + WRAPPED)
def test_specs_and_values_are_canonical(name):
    env = environments.make(name, seed=0)
    spec = environments.spec(env)
    if spec.action.num_values is None:
        assert spec.action.dtype == "float32"
        np.testing.assert_array_equal(env.action_spec().minimum, -1)
        np.testing.assert_array_equal(env.action_spec().maximum, 1)
    else:
        assert spec.action.dtype == "int32" and spec.action.shape == ()
    assert env.reward_spec().dtype == np.float32
    assert (env.discount_spec().minimum, env.discount_spec().maximum) == (0, 1)

    first = env.reset()
    assert first.step_type is dm_env.StepType.FIRST and first.reward is None and first.discount is None
    step = env.step(env.action_spec().generate_value())
    assert step.reward.dtype == np.float32 and step.reward.shape == spec.reward.shape
    assert step.discount.dtype == np.float32


@pytest.mark.parametrize("name", ["control:cartpole:swingup", "gym:Pendulum-v1", "probe:reach", "probe:dict"])
def test_the_seed_decides_every_episode(name):
    def observations(seed):
        env = environments.make(name, seed)
        action = np.full(env.action_spec().shape, 0.3, np.float32)
        steps = [step for _ in range(2) for step in (env.reset(), env.step(action))]
        return np.array([np.hstack(_leaves(step.observation)) for step in steps])

    np.testing.assert_array_equal(observations(7), observations(7))
    assert not np.array_equal(observations(7), observations(8))
    assert not np.array_equal(observations(7)[0], observations(7)[2])  # The second episode is not the first again.


@pytest.mark.parametrize(
    "name", sorted({*CONTROL, *GYM, *ALE, *OWN, *PROBES, *WRAPPED, *RESEEDED} - {"control:lqr:lqr_2_1"})
)
def test_a_seed_that_is_set_again_gives_a_new_environments_episodes(name):
    def steps(env):
        found = [env.reset()]
        found += [env.step(np.full(env.action_spec().shape, 1, env.action_spec().dtype)) for _ in range(4)]
        return [*found, env.reset()]

    env = environments.make(name, 7)
    steps(env)
    env.reseed(8)
    new = environments.make(name, 8)
    for again, fresh in zip(steps(env), steps(new), strict=True):
        assert again.step_type == fresh.step_type
        assert again.reward is fresh.reward is None or np.array_equal(again.reward, fresh.reward)
        np.testing.assert_array_equal(np.hstack(_flat(again)), np.hstack(_flat(fresh)))
    new.close()
    env.close()


def _flat(step):
    return [np.ravel(leaf) for leaf in _leaves(step.observation)]


@pytest.mark.parametrize("name", ["control:cheetah:run", "gym:Pendulum-v1", "ale:Pong", "probe:reach", toys.NAMES[0]])
def test_an_observation_is_not_overwritten_by_the_next(name):
    env = environments.make(name, seed=0)
    first = env.reset().observation
    kept = [leaf.copy() for leaf in _leaves(first)]
    env.step(np.ones(env.action_spec().shape, env.action_spec().dtype))
    for leaf, copy in zip(_leaves(first), kept, strict=True):
        np.testing.assert_array_equal(leaf, copy)


@pytest.mark.parametrize("name", ["control:cheetah:run", "gym:HalfCheetah-v5", "probe:reach"])
def test_an_action_of_another_shape_is_refused(name):
    env = environments.make(name, seed=0)
    env.reset()
    with pytest.raises(ValueError, match=r"Expected an action of shape \(\d,\), got \(1,\)"):
        env.step(np.zeros(1, np.float32))


def _leaves(observation):
    if isinstance(observation, dict):
        return [leaf for value in observation.values() for leaf in _leaves(value)]
    return [observation]
