"""A learner in a process of its own, to be killed: `python -m tests.runtime.victim PORT DIRECTORY`.

It takes what the server has, checkpoints at update 20 and goes on learning, saying after each step how far it is.
"""

import pathlib
import sys
import time

from acme_agents.core import checkpoint
from acme_agents.replay import chunks
from tests.replay import toys as replay_toys
from tests.runtime import toys

if __name__ == "__main__":
    replay = replay_toys.Replay(int(sys.argv[1]), toys.REPLAY, chunks.step_spec(toys.MPO, toys.SPEC))
    learner = toys.learner(replay, agent=toys.MPO)
    while True:
        learner.step(max_updates=2)
        print(learner.steps, flush=True)
        if learner.steps == 20:
            state = learner.save()
            checkpoint.save(pathlib.Path(sys.argv[2]), learner.steps, state.training, state.counts)
        if learner.steps > 20:
            time.sleep(0.05)
