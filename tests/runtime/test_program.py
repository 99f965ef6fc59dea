"""The Launchpad program."""

import pathlib

import pytest

from acme_agents.experiments import Experiment
from acme_agents.runtime import program
from acme_agents.runtime.nodes import LEARNER, Node


@pytest.mark.parametrize(
    "only, others",
    [
        (None, {"actor": 100, "evaluator": 1}),
        (LEARNER, {}),
        (Node("actor", 42), {"actor": 1}),
        (Node("evaluator"), {"evaluator": 1}),
    ],
)
def test_a_program_has_the_servers_and_the_nodes_that_are_asked_for(tmp_path: pathlib.Path, only, others):
    experiment = Experiment("mpo", "probe:reach", num_actors=100)
    groups = program.make_program(experiment, tmp_path, only=only).groups
    assert {role: len(nodes) for role, nodes in groups.items()} == {"replay": 1, "learner": 1, **others}
