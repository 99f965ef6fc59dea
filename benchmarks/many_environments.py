"""Many environments in one actor: environment steps per second for 1, 4 and 16, and of the bare loops under them.

These take turns on the same environment, agent and parameters, so many steps each at a time:

  environment  the environment alone, with one and the same action
  bare         environment and jitted policy, one step after the other: no actor, nothing written (as in actor_loop.py)
  1, 4, 16     an actor of a run with so many environments (runtime.actor_session), writing to a Reverb server in
               another process; a third process drains the stream, so that nothing but the writing itself is measured

    python benchmarks/many_environments.py --output benchmarks/results/many_environments.md

Ratios are medians, over rounds, of the ratio within a round. DQN acts in CartPole, whose episodes are short with an
untrained policy, and MPO (256x3) in the others. On two cores the server and the reader share them with the loop that is
measured.
"""

import contextlib
import dataclasses
import functools
import statistics
import threading
import time
from collections.abc import Callable, Iterator

import actor_loop
import common
import jax
import numpy as np
import reverb

from acme_agents.core.interfaces import ActorContext
from acme_agents.experiments import Experiment, making
from acme_agents.replay.reverb_transport import ReverbSender
from acme_agents.runtime import replay_server
from acme_agents.runtime.actor_session import ActorAccount, ActorSession
from acme_agents.runtime.coordinator import ActorOrders

_TASKS = {"gym:CartPole-v1": "dqn", "control:cartpole:swingup": "mpo", "gym:HalfCheetah-v5": "mpo"}
_NUMBERS = (1, 4, 16)


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--envs", default=list(_TASKS), nargs="+", choices=list(_TASKS), help="environments' names")
    parser.add_argument("--repeats", default=7, type=int, help="rounds")
    parser.add_argument("--steps", default=4_000, type=int, help="environment steps of each contestant in a round")
    options = parser.parse_args()
    columns = ["environment", "bare", *map(str, _NUMBERS)]
    ratios = [f"{number} / bare" for number in _NUMBERS]
    report = common.Report("Environments per actor, environment steps per second", ["task", *columns, *ratios])
    for name in options.envs:
        with _contestants(name, options.steps) as contestants:
            for contestant in contestants.values():
                contestant()  # Compiles, connects, and warms the caches.
            results = common.interleave(contestants, options.repeats)
        report.row(
            name,
            *(statistics.median(results[column]) for column in columns),
            *(common.median_ratio(results[str(number)], results["bare"]) for number in _NUMBERS),
        )
    report.note(f"Medians of {options.repeats} interleaved rounds of {options.steps:,} environment steps for each.")
    report.finish(options.output)


@contextlib.contextmanager
def _contestants(name: str, num_steps: int) -> Iterator[dict[str, Callable[[], float]]]:
    """The loops, each a function that takes steps and returns their number per second."""
    experiment = Experiment(_TASKS[name], name)
    core = making.make_agent(experiment).actor(experiment.environment_spec(), ActorContext(evaluation=False))
    params = actor_loop.untrained_params(experiment)
    with contextlib.ExitStack() as stack:
        address, _ = stack.enter_context(common.reverb_server(replay_server.make_tables, experiment))
        reader = stack.enter_context(common.Child(actor_loop.drain, address, experiment))
        reader.receive()
        takers = {
            "environment": _alone(experiment),
            "bare": actor_loop.bare_episode(experiment.make_environment("actor"), core, jax.random.PRNGKey(0), params),
        }
        for number in _NUMBERS:
            session, account = _session(dataclasses.replace(experiment, environments_per_actor=number), address)
            session.actor.params = params
            stack.callback(session.close)
            takers[str(number)] = functools.partial(_step, session, account)
        yield {who: functools.partial(_rate, take, num_steps) for who, take in takers.items()}


def _rate(take: Callable[[], int], num_steps: int) -> float:
    """Takes steps, of which each call returns the number, until there are enough; returns steps per second."""
    began, done = time.perf_counter(), 0
    while done < num_steps:
        done += take()
    return done / (time.perf_counter() - began)


def _alone(experiment: Experiment) -> Callable[[], int]:
    """An episode of the environment with one and the same action."""
    environment = experiment.make_environment("actor")
    spec = environment.action_spec()
    action = np.zeros(spec.shape, spec.dtype)

    def episode() -> int:
        timestep, length = environment.reset(), 0
        while not timestep.last():
            timestep = environment.step(action)
            length += 1
        return length

    return episode


def _session(experiment: Experiment, address: str) -> tuple[ActorSession, ActorAccount]:
    """An actor of a run without a limit, whose first report is answered."""
    account = ActorAccount(0, experiment.environments_per_actor)
    account.take(account.report(), ActorOrders(False, False, None, None, 0))
    return ActorSession(experiment, account, ReverbSender(reverb.Client(address), threading.Event())), account


def _step(session: ActorSession, account: ActorAccount) -> int:
    before = account.steps
    session.step()
    return account.steps - before


if __name__ == "__main__":
    main()
