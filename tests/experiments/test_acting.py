"""Who acts: each actor of a run is told its seat."""

import threading

import dm_env
import numpy as np
import pytest

from acme_agents import r2d2
from acme_agents.experiments import Experiment, acting
from acme_agents.replay import chunks
from tests.replay import toys


@pytest.mark.parametrize(("index", "epsilon"), [(0, 0.1), (1, 0.001)])
def test_an_actor_has_its_own_rung_of_the_ladder(index: int, epsilon: float) -> None:
    config = r2d2.Config(
        torso_layers=(4,), lstm_size=4, head_layers=(4,), num_epsilons=2, epsilon_max=0.1, epsilon_min=0.001
    )
    experiment = Experiment("r2d2", "probe:memory", config=config, num_actors=2)
    agent, spec = experiment.make_agent(), experiment.environment_spec()
    environment = experiment.make_environment("actor", index)
    with toys.serve(agent.replay(spec), chunks.step_spec(agent, spec)) as replay:
        actor, writer = acting.make_actor(experiment, environment, replay.client, index, 0, threading.Event())
        actor.observe_first(dm_env.restart(np.zeros(2, np.float32)))
        writer.close()
    assert float(actor._state.epsilon) == pytest.approx(epsilon)
