"""The Launchpad program of an experiment."""

import functools
import pathlib
from collections.abc import Callable, Iterable

import launchpad as lp
import reverb
from launchpad import address as lp_address

from acme_agents.core import checkpoint
from acme_agents.experiments import making
from acme_agents.experiments.experiment import Experiment
from acme_agents.replay import tables
from acme_agents.runtime import loopback, workers


def make_program(
    experiment: Experiment, run_dir: pathlib.Path, *, wandb: bool = False, actors: Iterable[int] | None = None
) -> lp.Program:
    """Makes the program: the learner; a Reverb server, if the experiment has one; the actors, unless all learning is
    offline; and an evaluator.

    Args:
      experiment: what to run.
      run_dir: its directory; a checkpoint in it is continued.
      wandb: whether to log to W&B.
      actors: the indices of those that it has; all if left out. A process that runs one of a thousand needs no others.
    """
    program = lp.Program(experiment.agent)
    replay = None
    if not experiment.is_offline:
        with program.group("replay"):
            replay = program.add_node(
                _ReplayNode(functools.partial(make_tables, experiment), replay_directory(run_dir))
            )
    with program.group("learner"):
        learner = program.add_node(lp.CourierNode(workers.LearnerWorker, experiment, run_dir, wandb, replay))
    if not experiment.is_offline:
        with program.group("actor"):
            for index in range(experiment.num_actors) if actors is None else actors:
                program.add_node(lp.PyClassNode(workers.ActorWorker, experiment, index, replay, learner))
    if experiment.eval_every:
        with program.group("evaluator"):
            program.add_node(lp.PyClassNode(workers.EvaluatorWorker, experiment, learner))
    return program


class _ReplayNode(lp.ReverbNode):
    """A Reverb server that restores its newest whole checkpoint, and that only this machine can reach."""

    def __init__(self, make_tables: Callable[[], list[reverb.Table]], directory: pathlib.Path):
        super().__init__(make_tables)
        self._directory = directory

    def run(self) -> None:
        port = lp_address.get_port_from_address(self._address.resolve())
        self._server = tables.serve(self._priority_tables_fn, self._directory, port)
        loopback.only_this_machine()
        lp.wait_for_stop()


def replay_directory(run_dir: pathlib.Path) -> pathlib.Path:
    """Where the replay server's checkpoint is."""
    return run_dir / checkpoint.DIRECTORY / tables.CHECKPOINTS


def make_tables(experiment: Experiment) -> list[reverb.Table]:
    """The tables of the experiment's replay server."""
    spec = experiment.environment_spec()
    return tables.make_tables(making.replay_spec(experiment, spec))
