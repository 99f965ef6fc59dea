"""The evaluator keeps one environment, and every evaluation ends."""

import logging
import random
import threading

import jax
import numpy as np
import pytest

from acme_agents import environments
from acme_agents.agents import mpo
from acme_agents.core import errors
from acme_agents.experiments import Experiment, making
from acme_agents.runtime import evaluator as evaluator_lib
from tests.environments import odd

_CONFIG = mpo.Config(critic="scalar", policy_layers=(4,), critic_layers=(4,), num_actions=2)


@pytest.fixture
def make_evaluator():
    """A function from the name of an odd environment to its evaluator and parameters."""
    evaluators = []

    def make(name, agent="mpo", config=_CONFIG, **kwargs):
        experiment = Experiment(agent, odd.name(name), config=config, eval_episodes=2, **kwargs)
        learner = making.make_agent(experiment).learner(experiment.environment_spec())
        odd.LOG.clear()  # What was made to ask for the spec is closed.
        evaluators.append(evaluator_lib.Evaluator(experiment))
        return evaluators[-1], learner.params(jax.jit(learner.init)(jax.random.PRNGKey(0)))

    yield make
    for evaluator in evaluators:
        evaluator.close()


def test_an_environment_that_is_made_to_ask_for_its_spec_is_closed():
    odd.LOG.clear()
    Experiment("mpo", odd.name("Odd")).environment_spec()
    assert (odd.LOG["made"], odd.LOG["closed"]) == (1, 1)


def test_the_evaluator_keeps_one_environment_and_closes_it(make_evaluator):
    evaluator, params = make_evaluator("GlobalRandom")
    before = random.getstate(), np.random.get_state()[1].tolist()
    first, second, again = (evaluator.evaluate(number, params) for number in (1, 2, 1))
    assert [episode.length for episode in first] == [20, 20]
    assert first == again != second
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    assert (odd.LOG["made"], odd.LOG["closed"]) == (1, 0)
    evaluator.close()
    assert odd.LOG["closed"] == 1
    another, _ = make_evaluator("GlobalRandom")  # as after a restart
    assert another.evaluate(2, params) == second


def test_an_evaluation_that_ends_early_leaves_no_episode_to_the_next(make_evaluator):
    evaluator, params = make_evaluator("Odd")
    expected = evaluator.evaluate(2, params)
    stop = threading.Event()
    assert evaluator.evaluate(1, params, stop, on_step=lambda environment: stop.set()) == []
    assert evaluator.evaluate(2, params) == expected


def test_the_evaluators_environment_is_named(make_evaluator):
    evaluator, params = make_evaluator("NanReward")
    with pytest.raises(
        errors.EnvironmentFault, match=r"^the evaluator's environment returned a reward that is nan, in step"
    ):
        evaluator.evaluate(1, params, num_episodes=4)


def test_an_environment_that_cannot_be_closed_is_a_warning(caplog):
    class Environment:
        def close(self):
            raise OSError(32, "Broken pipe")

    with caplog.at_level(logging.WARNING):
        evaluator_lib.close(Environment())
    assert "Closing the environment failed." in caplog.text


def test_every_evaluation_ends(monkeypatch):
    from acme_agents.experiments import experiment as experiment_lib

    monkeypatch.setattr(experiment_lib, "_LONGEST_EVALUATION", 30)
    for limit, expected in ((None, 30), (50, 50), (7, 7)):
        made = Experiment("dqn", odd.name("Endless"), max_episode_steps=limit).make_environment("evaluator")
        made.reset()
        assert next(t for t in range(1, 100) if made.step(np.int32(0)).last()) == expected
    actors = Experiment("dqn", odd.name("Endless")).make_environment("actor")
    actors.reset()
    assert not any(actors.step(np.int32(0)).last() for _ in range(100))
    assert not environments.has_time_limit(actors)
    with pytest.raises(errors.UserError, match=r"The steps of an episode must be at least 1, not 0\."):
        Experiment("dqn", odd.name("Endless"), max_episode_steps=0)
