"""What an experiment makes of an agent's replay."""

import pytest

from acme_agents.agents import dqn, r2d3
from acme_agents.core.interfaces import DATASET, REPLAY
from acme_agents.experiments import Experiment, making


def _sources(**fields):
    experiment = Experiment(environment="probe:choice", **({"agent": "r2d3"} | fields))
    return dict(making.replay_spec(experiment, experiment.environment_spec()).sources)


@pytest.mark.parametrize(
    ("fields", "sources"),
    [
        ({}, {DATASET: 1 / 256, REPLAY: 255 / 256}),  # what the agent says
        ({"config": r2d3.Config(demonstration_ratio=0.25)}, {DATASET: 0.25, REPLAY: 0.75}),
        ({"config": r2d3.Config(demonstration_ratio=0.0)}, {REPLAY: 1.0}),
        ({"dataset_share": 0.125}, {DATASET: 0.125, REPLAY: 0.875}),  # what the launch says
        ({"dataset_share": 0.0}, {REPLAY: 1.0}),
        ({"max_steps": 0, "max_updates": 10}, {DATASET: 1.0}),
        ({"agent": "dqn", "config": dqn.Config()}, {DATASET: 0.5, REPLAY: 0.5}),  # where neither says anything
    ],
)
def test_where_a_batch_is_drawn_from(fields, sources):
    assert _sources(dataset="data", **fields) == sources


def test_without_a_dataset_there_are_actors_alone():
    assert _sources(agent="r2d2") == {REPLAY: 1.0}
    assert _sources(config=r2d3.Config(demonstration_ratio=0.0)) == {REPLAY: 1.0}
    with pytest.raises(ValueError, match="r2d3 learns from demonstrations too: give them with --dataset"):
        _sources()


def test_only_sequences_need_a_server_where_nobody_acts():
    def has_server(agent, **fields):
        return making.has_server(Experiment(agent, "probe:choice", dataset="data", max_updates=10, **fields))

    assert has_server("r2d3", max_steps=0)
    assert not has_server("dqn", max_steps=0)
    assert has_server("dqn", max_steps=100)
