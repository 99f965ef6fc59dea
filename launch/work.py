"""What a worker's process does.

It makes the program of the servers and its own node, tells it where the servers are, and runs that node.
"""

import argparse
import faulthandler
import logging
import multiprocessing
import os
import pathlib
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping

from acme_agents.core import errors
from acme_agents.experiments import Experiment
from acme_agents.launch import faults, node_files
from acme_agents.launch.node_files import Ending
from acme_agents.runtime import background, loopback, memory, profiling
from acme_agents.runtime.nodes import LEARNER, Node

# Exit codes of a worker that an exception has ended.
FAULT = 1  # A restart may help.
USER_ERROR = 2  # Its report tells the user what to do first.
CERTAIN = 3  # The worker that replaces it would meet the same.
EARLY = 4  # So it would if it is the second in a row that meets the same within its first steps.

_FIRST_STEPS = 100
# Exceptions that wrong code raises, rather than circumstances.
_OF_CODE = (
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError, NotImplementedError),
    *(SyntaxError, TypeError, ValueError, errors.AgentFault),
)
_ALONE_SECONDS = 30.0  # that a worker without launcher goes on without learner
_LINGER_SECONDS = 8.0  # that the replay server outlives a request to stop, for the learner's last checkpoint


def work(
    node: Node, experiment: Experiment, run_dir: pathlib.Path, ports: Mapping[str, int], wandb: bool, profile: float
) -> None:
    """Runs a node of the experiment's program in this process, to its end.

    Args:
      node: which one.
      experiment: what to run.
      run_dir: its directory.
      ports: of each server, by role: where it is reached from here on the loopback interface; a server's own is where
        it listens.
      wandb: whether the learner logs to W&B.
      profile: seconds to profile this process for; 0 for none.
    """
    _log_to(node_files.begin_log(run_dir, node))
    faulthandler.register(signal.SIGUSR2)  # Shows in the log where a worker hangs that does nothing any more.
    loopback.without_proxy()
    if not node.kind.computes:
        os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
        os.environ["OMP_NUM_THREADS"] = "1"
    if node.kind.takes_params:
        memory.keep_freed()

    import jax
    import launchpad
    from absl import flags
    from launchpad.launch import worker_manager

    from acme_agents.runtime import program as program_lib

    if not node.kind.computes:
        jax.config.update("jax_platforms", "cpu")
    flags.FLAGS(sys.argv[:1])
    worker_manager.WorkerManager(register_in_thread=True)
    # A terminal and a batch system send these to every process of a run; the launcher then ends us in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if node.kind.outlives_learner:
        signal.signal(signal.SIGTERM, lambda *_: _in_background(_end_after_the_learner, ports[LEARNER.role]))
    if (launcher := multiprocessing.parent_process()) is not None:
        _in_background(_go_on_without, launcher.join, node, ports[LEARNER.role])

    program = program_lib.make_program(experiment, run_dir, wandb=wandb, only=node)
    (worker,) = program.groups[node.role]
    for role, nodes in program.groups.items():
        for launchpad_node in nodes:
            launchpad_node._initialize_context(launchpad.context.LaunchType.LOCAL_MULTI_PROCESSING, launch_config=None)
            for handle in launchpad_node.input_handles:
                handle.connect(launchpad_node, role)
            for address in launchpad_node.addresses:
                address.bind(_FixedAddress(f"localhost:{ports[role]}"))
    ending = Ending(0)
    try:
        with profiling.profiled(run_dir, node.name, profile):
            worker.function()
    except background.Stopped:  # It was asked to end before it could begin.
        pass
    except Exception as error:
        traceback.print_exc()
        ending = ending_of(error, node)
        print("error:", ending.report, file=sys.stderr, flush=True)
    _exit(run_dir, node, ending)


def ending_of(error: Exception, node: Node) -> Ending:
    """How a worker that raised this ends: whether a restart may help, and what a person is told."""
    steps = None
    if isinstance(error, errors.EarlyFault) and isinstance(error.__cause__, Exception):
        steps, error = error.steps, error.__cause__
    is_of_code = isinstance(error, _OF_CODE)
    if faults.is_mendable(error):
        code = USER_ERROR
    elif isinstance(error, (errors.RunFailed, errors.EnvironmentFault)):
        code = FAULT
    elif steps == 0 and node == LEARNER and is_of_code:
        code = CERTAIN
    elif steps is not None and steps < _FIRST_STEPS and (is_of_code or faults.is_users(error)):
        code = EARLY
    else:
        code = FAULT
    return Ending(code, faults.report(error), faults.place(error))


def main() -> None:
    """Runs one node of the run in a directory, whose `config.json` says what to run."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("run_dir", type=pathlib.Path)
    parser.add_argument("role")
    parser.add_argument("index", type=int)
    parser.add_argument("--port", nargs=2, action="append", default=[], metavar=("ROLE", "PORT"))
    parser.add_argument("--wandb", action="store_true")
    parser.add_argument("--profile", type=float, default=0.0)
    args = parser.parse_args()
    ports = {role: int(port) for role, port in args.port}
    experiment = Experiment.from_run_dir(args.run_dir)
    work(Node(args.role, args.index), experiment, args.run_dir, ports, args.wandb, args.profile)


def _log_to(log: int) -> None:
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True)


def _exit(run_dir: pathlib.Path, node: Node, ending: Ending) -> None:
    """Ends this process, whatever its other threads do."""
    try:
        node_files.write_ending(run_dir, node, ending)
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:  # A full disk must not keep it.
        os._exit(ending.code)


def _in_background(function: Callable[..., None], *args: object) -> None:
    threading.Thread(target=function, args=args, daemon=True).start()


def _go_on_without(join_launcher: Callable[[], None], node: Node, learner_port: int) -> None:
    """Goes on when the launcher has died, so that another can attach; ends once the learner is gone too."""
    join_launcher()
    logging.warning("The launcher is gone; going on without it. `acme-agents attach` watches over the run again.")
    if node == LEARNER:
        return
    seen = time.monotonic()
    while time.monotonic() - seen < _ALONE_SECONDS:
        if _listens(learner_port):
            seen = time.monotonic()
        time.sleep(1.0)
    logging.warning("The launcher and the learner are gone; ending.")
    os._exit(1)


def _end_after_the_learner(learner_port: int) -> None:
    """Ends this process after the learner, which may be writing its last checkpoint."""
    deadline = time.monotonic() + _LINGER_SECONDS
    while _listens(learner_port) and time.monotonic() < deadline:
        time.sleep(0.1)
    os._exit(0)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class _FixedAddress:
    """A Launchpad address builder for an address that is known."""

    def __init__(self, address: str):
        self._address = address

    def build(self) -> str:
        return self._address


if __name__ == "__main__":
    main()
