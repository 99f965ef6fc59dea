"""A replay server in a process of its own, to be killed: `python -m tests.replay.serve PORT DIRECTORY [sequences]`."""

import pathlib
import sys

import reverb

from acme_agents.replay import tables
from tests.replay import toys

if __name__ == "__main__":
    checkpointer = tables.make_checkpointer(pathlib.Path(sys.argv[2]))
    replay = toys.SEQUENCES if "sequences" in sys.argv else toys.REPLAY
    server = reverb.Server(tables.make_tables(replay), port=int(sys.argv[1]), checkpointer=checkpointer)
    print("ready", flush=True)
    server.wait()
