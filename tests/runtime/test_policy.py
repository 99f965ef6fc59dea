"""A run's policy acts in an environment of somebody else's, in that environment's own units."""

import gymnasium
import jax
import numpy as np
import pytest

import acme_agents
from acme_agents.agents import dqn, mpo, r2d2
from acme_agents.core import errors
from acme_agents.experiments import Experiment, making
from acme_agents.runtime import evaluator as evaluator_lib
from acme_agents.runtime import policy as policy_lib

_MPO = mpo.Config(critic="scalar", policy_layers=(4,), critic_layers=(4,), num_actions=2)
_DQN = dqn.Config(torso_layers=(4,), head_layers=(4,), epsilon_start=1.0, epsilon_end=1.0)
_R2D2 = r2d2.Config(torso_layers=(4,), lstm_size=4, head_layers=(4,))


def _learned(agent, environment, config):
    experiment = Experiment(agent, environment, config=config)
    learner = making.make_agent(experiment).learner(experiment.environment_spec())
    return experiment, learner.params(jax.jit(learner.init)(jax.random.PRNGKey(0)))


def _run(environment, policy, needs_reward=False, seed=None):
    """An episode of Gymnasium's as a user would write it; returns its return."""
    observation, _ = environment.reset(seed=seed)
    policy.reset()
    total, reward, is_over = 0.0, None, False
    while not is_over:
        action = policy(observation, reward) if needs_reward else policy(observation)
        assert environment.action_space.contains(action)
        observation, reward, terminated, truncated, _ = environment.step(action)
        total, is_over = total + np.float32(reward), terminated or truncated
    return total


@pytest.mark.parametrize(
    "agent, name, config",
    [("mpo", "Pendulum-v1", _MPO), ("r2d2", "CartPole-v1", _R2D2)],  # torques in [-2, 2]; a network that sees rewards
)
def test_a_policy_has_the_returns_of_the_evaluator(agent, name, config):
    experiment, params = _learned(agent, f"gym:{name}", config)
    evaluator = evaluator_lib.Evaluator(experiment)
    expected = [episode.episode_return for episode in evaluator.evaluate(3, params, num_episodes=2)]
    evaluator.close()
    policy = policy_lib.Policy(experiment, params)
    environment = gymnasium.make(name)
    seed = experiment.worker_seed("evaluator", 3)
    found = [_run(environment, policy, agent == "r2d2", seed if i == 0 else None) for i in range(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_policy_takes_dm_controls_dict_of_arrays_and_acts_within_the_tasks_bounds():
    from dm_control import suite

    experiment, params = _learned("mpo", "control:pendulum:swingup", _MPO)
    policy = policy_lib.Policy(experiment, params)
    timestep = suite.load("pendulum", "swingup", task_kwargs={"random": 1}).reset()
    flat = np.concatenate([np.ravel(part) for part in timestep.observation.values()]).astype(np.float32)
    evaluator = evaluator_lib.Evaluator(experiment)
    evaluator._actor.params = params
    evaluator._actor.observe_first(timestep)
    np.testing.assert_array_equal(policy(timestep.observation), evaluator._actor.select_action(flat))
    for odd in ({"orientation": np.zeros(2)}, flat, None):
        with pytest.raises(errors.UserError, match="give one as the environment itself returns it"):
            policy(odd)


def test_what_is_no_observation_or_lacks_the_reward_is_told_in_a_sentence():
    experiment, params = _learned("r2d2", "gym:CartPole-v1", _R2D2)
    policy = policy_lib.Policy(experiment, params)
    with pytest.raises(errors.UserError, match=r"given an array of shape \[3\] for an observation, which is Box of"):
        policy(np.zeros(3))
    with pytest.raises(errors.UserError, match="not finite"):
        policy(np.array([0, 0, 0, np.nan]))
    assert policy(np.zeros(4)) in (0, 1)
    with pytest.raises(errors.UserError, match=r"r2d2 sees the reward of the step before: call policy\(observation, r"):
        policy(np.zeros(4))
    assert policy(np.zeros(4), 1.0) in (0, 1)
    policy.reset()
    assert policy(np.zeros(4)) in (0, 1)


def test_load_policy_says_that_there_is_no_run(tmp_path):
    with pytest.raises(errors.UserError, match="not a run directory"):
        acme_agents.load_policy(tmp_path / "nothing")


def test_exploring_is_the_actors_way():
    experiment, params = _learned("dqn", "gym:CartPole-v1", _DQN)
    policies = [policy_lib.Policy(experiment, params, explore=explore) for explore in (False, True)]
    sure, random = ({int(policy(np.zeros(4))) for _ in range(20)} for policy in policies)
    assert (len(sure), random) == (1, {0, 1})
