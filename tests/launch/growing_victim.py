"""The command line in a process that kills itself (SIGKILL) at a place within a cycle: `PLACE TIMES COMMAND...`."""

import os
import shutil
import signal
import sys
import types
from typing import Any

from acme_agents.launch import growing, main
from acme_agents.runtime import recording

growing.shutil = types.SimpleNamespace(rmtree=shutil.rmtree)  # type: ignore[assignment]  # Others call theirs.
# What is called within a phase: it dies instead of the call.
PLACES: dict[str, tuple[Any, str]] = {
    "deploying": (recording.Recorder, "save"),  # within a checkpoint of the deployment
    "merging": (growing.shutil, "rmtree"),  # when the log has the cycle, and what is no longer needed is removed
    "learning": (recording.NoRecorder, "save"),  # within a checkpoint of the learning
}


def kill_at(place: str, times: int) -> None:
    """Has this process die at the call of that number."""
    holder, name = PLACES[place]
    called, left = getattr(holder, name), iter(range(times - 1))

    def die_in_time(*args: Any, **kwargs: Any) -> Any:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return called(*args, **kwargs)

    setattr(holder, name, die_in_time)


if __name__ == "__main__":
    place, times, *command = sys.argv[1:]
    kill_at(place, int(times))
    main.main(command)
