"""The Launchpad program of an experiment."""

import pathlib
from typing import Any

import launchpad as lp

from acme_agents.experiments import Experiment
from acme_agents.runtime import nodes


def make_program(
    experiment: Experiment, run_dir: pathlib.Path, *, wandb: bool = False, only: nodes.Node | None = None
) -> lp.Program:
    """Makes the program of an experiment's nodes, a group for each role.

    Args:
      experiment: what to run.
      run_dir: its directory; a checkpoint in it is continued.
      wandb: whether to log to W&B.
      only: besides the servers, the only node to make; None for every node. A process that runs one actor of a
        thousand needs no others.
    """
    program = lp.Program(experiment.agent)
    handles: dict[str, Any] = {}
    for kind in nodes.NODES:
        wanted = [nodes.Node(kind.role, index) for index in range(kind.count(experiment))]
        if only is not None and not kind.serves:
            wanted = [node for node in wanted if node == only]
        with program.group(kind.role):
            for node in wanted:
                setting = nodes.Setting(experiment, run_dir, wandb, handles)
                handle = program.add_node(kind.make(setting, node.index))
                if kind.serves:
                    handles[kind.role] = handle
    return program
