"""A replay server in a process of its own, to be killed: `python -m tests.replay.serve PORT DIRECTORY [sequences]`."""

import functools
import pathlib
import sys

from acme_agents.replay import tables
from tests.replay import toys

if __name__ == "__main__":
    replay = toys.SEQUENCES if "sequences" in sys.argv else toys.REPLAY
    server = tables.serve(functools.partial(tables.make_tables, replay), pathlib.Path(sys.argv[2]), int(sys.argv[1]))
    print("ready", flush=True)
    server.wait()
