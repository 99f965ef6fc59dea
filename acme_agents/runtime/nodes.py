"""The nodes of a run, in one list, from which they are made, connected, placed and supervised.

To add a kind of node, add an entry to `NODES`.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from acme_agents.experiments import Experiment


@dataclasses.dataclass(frozen=True)
class Node:
    """One node of a run: a worker in a process of its own."""

    role: str  # of its kind
    index: int = 0  # among the nodes of its role

    @property
    def name(self) -> str:
        """Its name for people, and the name of its log: "actor-3"."""
        return f"{self.role}-{self.index}"

    @property
    def kind(self) -> "NodeKind":
        """The properties of every node of its role."""
        return next(kind for kind in NODES if kind.role == self.role)


class Setting(NamedTuple):
    """What a Launchpad node is made from."""

    experiment: Experiment
    run_dir: pathlib.Path
    wandb: bool  # whether the learner logs to W&B
    handles: Mapping[str, Any]  # Launchpad handles of the servers that stand before it in the list, by role


@dataclasses.dataclass(frozen=True)
class NodeKind:
    """The properties of every node of one role."""

    role: str
    """Name of the role: of its group in the program, its logs and its options."""
    description: str
    """Describes them in the command line's help."""
    count: Callable[[Experiment], int]
    """How many an experiment has; at most one where `serves`."""
    make: Callable[[Setting, int], Any]
    """Makes the Launchpad node of an index. It imports what it needs: this file imports no Launchpad and no Reverb."""
    serves: bool = False
    """Whether others connect to it: it has a port, and starts before those that have none."""
    computes: bool = False
    """Whether it has the accelerator and every core; any other has one thread."""
    takes_params: bool = False
    """Whether it receives parameters again and again, and so keeps the memory that it frees for the next ones."""
    outlives_learner: bool = False
    """Whether it ends after the learner, which needs it for the last checkpoint."""


LEARNER = Node("learner")  # The run ends when it does.


def of(experiment: Experiment) -> list[Node]:
    """The nodes of an experiment's run, in the order in which they are started and placed."""
    return [Node(kind.role, index) for kind in NODES for index in range(kind.count(experiment))]


def _make_replay(setting: Setting, index: int) -> Any:
    from acme_agents.runtime import replay_server

    return replay_server.ReplayNode(setting.experiment, setting.run_dir)


def _make_learner(setting: Setting, index: int) -> Any:
    import launchpad

    from acme_agents.runtime import workers

    replay = setting.handles.get("replay")
    return launchpad.CourierNode(workers.LearnerWorker, setting.experiment, setting.run_dir, setting.wandb, replay)


def _make_actor(setting: Setting, index: int) -> Any:
    import launchpad

    from acme_agents.runtime import workers

    replay, learner = setting.handles["replay"], setting.handles["learner"]
    return launchpad.PyClassNode(workers.ActorWorker, setting.experiment, index, replay, learner)


def _make_evaluator(setting: Setting, index: int) -> Any:
    import launchpad

    from acme_agents.runtime import workers

    return launchpad.PyClassNode(workers.EvaluatorWorker, setting.experiment, setting.handles["learner"])


NODES = (
    NodeKind(
        "replay",
        "The replay server.",
        count=lambda experiment: int(not experiment.is_offline),
        make=_make_replay,
        serves=True,
        outlives_learner=True,
    ),
    NodeKind(
        LEARNER.role,
        "The learner.",
        count=lambda experiment: 1,
        make=_make_learner,
        serves=True,
        computes=True,
    ),
    NodeKind(
        "actor",
        "Each actor.",
        count=lambda experiment: 0 if experiment.is_offline else experiment.num_actors,
        make=_make_actor,
        takes_params=True,
    ),
    NodeKind(
        "evaluator",
        "The evaluator.",
        count=lambda experiment: int(experiment.eval_every > 0),
        make=_make_evaluator,
        takes_params=True,
    ),
)  # in the order in which they are started and placed: servers first

SERVERS = tuple(kind.role for kind in NODES if kind.serves)
