"""What an experiment makes of an agent's replay."""

import pytest

from acme_agents.agents import dqn, r2d3
from acme_agents.core import errors
from acme_agents.core.interfaces import DATASET, REPLAY
from acme_agents.experiments import Experiment, making, registry


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


def test_who_draws():
    def drawn_by(agent, **fields):
        experiment = Experiment(agent, "probe:choice", max_updates=10, **fields)
        return making.replay_spec(experiment, experiment.environment_spec()).drawn_by

    assert drawn_by("dqn") == drawn_by("r2d2", replay="learner") == "learner"
    assert drawn_by("r2d2") == "server"
    assert drawn_by("r2d2", dataset="data", max_steps=0) == "learner"  # Nobody acts, and there is no server.
    with pytest.raises(ValueError, match="draws sequences, and dqn learns from transitions: leave --replay server"):
        drawn_by("dqn", replay="server")
    with pytest.raises(ValueError, match="draws sequences, and ppo learns from unrolls: leave --replay server"):
        drawn_by("ppo", replay="server")
    with pytest.raises(ValueError, match="ppo learns only from what its own policy just did: leave --dataset out"):
        drawn_by("ppo", dataset="data")


def test_every_folder_of_an_agent_has_a_name(repository):
    folders = {file.parent.name for file in (repository / "acme_agents" / "agents").glob("*/config.py")}
    assert {name.replace("-", "_") for name in registry.AGENTS} == folders and len(folders) >= 7


def test_an_actor_has_at_least_one_environment():
    with pytest.raises(ValueError, match=r"^The number of environments per actor must be at least 1, not 0.$"):
        Experiment("dqn", "probe:choice", environments_per_actor=0)


def test_paths_become_absolute_and_the_id_of_a_dataset_its_path(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "minari" / "toys" / "walk-v1").mkdir(parents=True)
    experiment = Experiment("crr", "probe:reach", max_updates=1, dataset="toys/walk-v1", record="data")
    kept = experiment.with_absolute_paths()
    assert (kept.dataset, kept.record) == (str(tmp_path / "minari" / "toys" / "walk-v1"), str(tmp_path / "data"))
    (tmp_path / "toys" / "walk-v1").mkdir(parents=True)  # what is here comes first
    assert experiment.with_absolute_paths().dataset == str(tmp_path / "toys" / "walk-v1")


def test_a_precision_that_there_is_not_is_refused():
    with pytest.raises(errors.UserError, match="Unknown precision 'half': choose default, float32, bfloat16"):
        Experiment("mpo", "probe:reach", max_steps=1, precision="half")
