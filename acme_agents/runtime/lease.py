"""Ends the older of two learners of one run: a broken network may hide that it is still alive."""

import logging
import os
import pathlib

from acme_agents.core import errors, files

_FILE = "learner.lease"  # within a run directory


class Superseded(errors.RunFailed):
    """Another learner has begun to continue the run."""


class Lease:
    """The right to write to a run directory; the newest holder has it."""

    def __init__(self, run_dir: pathlib.Path):
        """Takes the lease, also from another holder."""
        self._path = run_dir / _FILE
        self._name = os.urandom(8).hex()
        files.write_whole(self._path, self._name)

    def check(self) -> None:
        """Checks that the lease is still held.

        Raises:
          Superseded: it is not.
        """
        try:
            holder = self._path.read_text()
        except OSError as error:  # As far as is known the lease is still held.
            logging.warning("The lease %s cannot be read (%s).", self._path, error)
            return
        if holder != self._name:
            raise Superseded("Another learner continues this run; this one ends, and writes nothing more.")
