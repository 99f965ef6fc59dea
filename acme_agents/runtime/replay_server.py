"""The Reverb server of a run."""

import functools
import pathlib

import launchpad as lp
import reverb
from launchpad import address as lp_address

from acme_agents.core import checkpoint
from acme_agents.experiments import making
from acme_agents.experiments.experiment import Experiment
from acme_agents.replay import tables
from acme_agents.runtime import loopback


class ReplayNode(lp.ReverbNode):
    """A Reverb server that restores its newest whole checkpoint, and that only this machine can reach."""

    def __init__(self, experiment: Experiment, run_dir: pathlib.Path):
        """Initialises the node; the server starts when the node runs.

        Args:
          experiment: its agent decides which tables there are.
          run_dir: where the server's checkpoint is.
        """
        super().__init__(functools.partial(make_tables, experiment))
        self._directory = replay_directory(run_dir)

    def run(self) -> None:
        """Serves until the program stops."""
        port = lp_address.get_port_from_address(self._address.resolve())
        self._server = tables.serve(self._priority_tables_fn, self._directory, port)
        loopback.only_this_machine()
        lp.wait_for_stop()


def replay_directory(run_dir: pathlib.Path) -> pathlib.Path:
    """Where the server's checkpoint is."""
    return run_dir / checkpoint.DIRECTORY / tables.CHECKPOINTS


def make_tables(experiment: Experiment) -> list[reverb.Table]:
    """The tables of the experiment's server."""
    spec = experiment.environment_spec()
    return tables.make_tables(making.replay_spec(experiment, spec))
