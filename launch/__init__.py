"""Where a program runs (this process, processes of this machine, a Ray cluster), and the command line."""

from acme_agents.launch.run import Result, run

__all__ = ["Result", "run"]
