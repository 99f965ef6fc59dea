"""Where a program runs (this process, processes of this machine) and the command line."""

from acme_agents.launch.run import Result, run

__all__ = ["Result", "run"]
