"""What every worker process needs, imported once; workers are forked from the process that did so."""

import dm_control.suite  # noqa: F401
import haiku  # noqa: F401
import launchpad  # noqa: F401
import optax  # noqa: F401
import reverb  # noqa: F401

from acme_agents.runtime import program, replay_server, workers  # noqa: F401
