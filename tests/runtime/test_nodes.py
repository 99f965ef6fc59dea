"""The list of a run's nodes, and that a further entry in it is all that a further node needs."""

import dataclasses
import pathlib
import subprocess
import sys
from typing import Any

import launchpad
import pytest

from acme_agents.experiments import Experiment
from acme_agents.runtime import nodes, program


def test_the_nodes_of_an_experiment():
    experiment = Experiment("mpo", "probe:reach", num_actors=2)
    assert [n.name for n in nodes.of(experiment)] == ["replay-0", "learner-0", "actor-0", "actor-1", "evaluator-0"]
    offline = Experiment("crr", "probe:reach", dataset="data", max_steps=0, max_updates=10, eval_every=0)
    assert [n.name for n in nodes.of(offline)] == ["learner-0"]


def test_the_servers_come_first_and_one_of_them_is_the_learner():
    serve = [kind.serves for kind in nodes.NODES]
    assert serve == sorted(serve, reverse=True)
    assert nodes.SERVERS == ("replay", "learner")
    assert nodes.LEARNER.kind.computes and nodes.LEARNER.role in nodes.SERVERS
    assert len({kind.role for kind in nodes.NODES}) == len(nodes.NODES)


class _Annotator:
    def __init__(self, learner: Any):
        self.learner = learner

    def run(self) -> None:
        pass


def test_a_further_kind_of_node_is_one_more_entry(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    annotator = nodes.NodeKind(
        "annotator",
        "The annotator.",
        count=lambda experiment: experiment.num_actors // 2,
        make=lambda setting, index: launchpad.PyClassNode(_Annotator, setting.handles["learner"]),
    )
    monkeypatch.setattr(nodes, "NODES", (*nodes.NODES, annotator))
    experiment = Experiment("mpo", "probe:reach", num_actors=4)
    assert [node.name for node in nodes.of(experiment)][-2:] == ["annotator-0", "annotator-1"]
    assert nodes.Node("annotator", 1).kind is annotator
    groups = program.make_program(experiment, tmp_path, only=nodes.Node("annotator", 1)).groups
    assert {role: len(made) for role, made in groups.items()} == {"replay": 1, "learner": 1, "annotator": 1}


def test_a_kind_that_does_not_serve_has_no_handle(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    known = []
    kinds = [dataclasses.replace(kind, make=_noting(kind.make, known)) for kind in nodes.NODES]
    monkeypatch.setattr(nodes, "NODES", tuple(kinds))
    program.make_program(Experiment("mpo", "probe:reach"), tmp_path)
    assert known == [[], ["replay"], ["replay", "learner"], ["replay", "learner"]]


def _noting(make: Any, known: list[list[str]]) -> Any:
    def noting(setting: nodes.Setting, index: int) -> Any:
        known.append(list(setting.handles))
        return make(setting, index)

    return noting


def test_the_list_imports_neither_launchpad_nor_reverb():
    code = "import sys, acme_agents.runtime.nodes; sys.exit(bool({'launchpad', 'reverb'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)
