"""The Launchpad program."""

import pathlib

import pytest

from acme_agents.experiments import Experiment
from acme_agents.runtime import program


@pytest.mark.parametrize("actors, number", [(None, 100), ([], 0), ([42], 1)])
def test_a_program_has_the_actors_that_are_asked_for(tmp_path: pathlib.Path, actors, number):
    experiment = Experiment("mpo", "probe:reach", num_actors=100)
    groups = program.make_program(experiment, tmp_path, actors=actors).groups
    assert len(groups.get("actor", [])) == number
    assert {role: len(groups[role]) for role in groups if role != "actor"} == {
        "replay": 1,
        "learner": 1,
        "evaluator": 1,
    }
