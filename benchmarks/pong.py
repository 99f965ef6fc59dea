"""Pong: environment steps per second of a whole run on pixels, of its actor alone, and of the bare loop under it.

    python benchmarks/pong.py --output benchmarks/results/pong.md

For R2D2 and for DQN these take turns:

  bare   ale:Pong with all its preprocessing, and uniformly random actions: nothing else
  policy runtime.Actor in runtime.EnvironmentLoop: the agent's policy, an untrained convolutional network
  actor  the same with replay.ChunkWriter, which writes to a Reverb server in another process; a third one drains the
         stream
  run    `acme-agents train` from start to end, its steps counted from the first update on, where actor and learner
         share the machine

Reading it: `actor / bare` is what policy and writing leave of the environment's speed, `policy / bare` what the policy
alone does, one picture at a time on one thread. `run / bare` has the learner in it too: every step waits for the
updates that samples per insert asks for, so that it says as much of the network, the cores and --samples-per-insert as
of the runtime. Ratios are medians over rounds of the ratio within a round.
"""

import contextlib
import functools
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

_ENVIRON = dict(os.environ)  # Of a whole run, whose learner may use every core.

import actor_loop  # noqa: E402  It makes this process compute as actor processes do.
import common  # noqa: E402
import jax  # noqa: E402
import numpy as np  # noqa: E402

from acme_agents.core.interfaces import ActorContext  # noqa: E402
from acme_agents.experiments import Experiment, making, registry  # noqa: E402
from acme_agents.replay import writer  # noqa: E402
from acme_agents.runtime import actor as actor_lib  # noqa: E402
from acme_agents.runtime import loggers, replay_server  # noqa: E402
from acme_agents.runtime.loop import EnvironmentLoop  # noqa: E402

_ENVIRONMENT = "ale:Pong"
_CONFIGS: dict[str, dict[str, Any]] = {
    "r2d2": {
        "burn_in_length": 10,
        "trace_length": 30,
        "sequence_period": 20,
        "batch_size": 8,
        "min_replay_size": 50,
        "max_replay_size": 500,
    },
    "dqn": {"batch_size": 32, "min_replay_size": 1_000, "max_replay_size": 10_000},
}


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--agents", default=list(_CONFIGS), nargs="+", choices=list(_CONFIGS))
    parser.add_argument("--launcher", default="processes", choices=["in-process", "processes"], help="of the run")
    parser.add_argument("--samples-per-insert", default=0.25, type=float, help="of the run")
    parser.add_argument("--repeats", default=3, type=int, help="rounds")
    parser.add_argument("--episodes", default=2, type=int, help="that bare loop and actor run in a round")
    parser.add_argument("--steps", default=8_000, type=int, help="of a run")
    options = parser.parse_args()
    report = common.Report(
        f"{_ENVIRONMENT}, environment steps per second",
        [
            *("agent", "bare", "policy", "actor", "run"),
            *("policy / bare", "actor / bare", "run / bare", "updates/s of the run"),
        ],
    )
    for agent in options.agents:
        flags = {**_CONFIGS[agent], "samples_per_insert": options.samples_per_insert}
        config = registry.load(agent).Config(**flags)
        updates: list[float] = []

        def run(agent: str = agent, flags: dict[str, Any] = flags, updates: list[float] = updates) -> float:
            steps_per_second, updates_per_second = _run(agent, flags, options.launcher, options.steps)
            updates.append(updates_per_second)
            return steps_per_second

        with _loops(Experiment(agent, _ENVIRONMENT, config=config), options.episodes) as loops:
            for loop in loops.values():
                loop()  # Compiles, connects, and warms the caches.
            rates = common.interleave({**loops, "run": run}, options.repeats)
        report.row(
            agent,
            *(statistics.median(rates[name]) for name in ("bare", "policy", "actor", "run")),
            *(common.median_ratio(rates[name], rates["bare"]) for name in ("policy", "actor", "run")),
            statistics.median(updates),
        )
        report.note(f"{agent}: {', '.join(f'{name} {value}' for name, value in flags.items())}; the rest as it is.")
    report.note(
        f"Medians of {options.repeats} interleaved rounds, {options.episodes} episodes of each loop and a run of "
        f"{options.steps:,} steps ({options.launcher}) in each."
    )
    report.finish(options.output)


@contextlib.contextmanager
def _loops(experiment: Experiment, num_episodes: int) -> Iterator[dict[str, Callable[[], float]]]:
    """The bare loop and the actor's, each a function that runs episodes and returns their steps per second."""
    agent, spec = making.make_agent(experiment), experiment.environment_spec()
    with contextlib.ExitStack() as stack:
        address, _ = stack.enter_context(common.reverb_server(replay_server.make_tables, experiment))
        reader = stack.enter_context(common.Child(actor_loop.drain, address, experiment))
        reader.receive()
        chunk_writer = common.chunk_writer(address, agent, spec)
        core, params = agent.actor(spec, ActorContext(evaluation=False)), actor_loop.untrained_params(experiment)

        def acting(to: writer.ChunkWriter | None) -> Callable[[], int]:
            actor = actor_lib.Actor(core, jax.random.PRNGKey(0), to)
            actor.params = params
            loop = EnvironmentLoop(experiment.make_environment("actor"), actor)
            return lambda: loop.run_episode().length

        episodes = {"bare": _bare_episode(experiment), "policy": acting(None), "actor": acting(chunk_writer)}
        yield {who: functools.partial(actor_loop.rate, episode, num_episodes) for who, episode in episodes.items()}
        chunk_writer.close()


def _bare_episode(experiment: Experiment) -> Callable[[], int]:
    environment, rng = experiment.make_environment("actor"), np.random.default_rng(0)
    num_actions = environment.action_spec().num_values

    def episode() -> int:
        timestep, length = environment.reset(), 0
        while not timestep.last():
            timestep = environment.step(np.int32(rng.integers(num_actions)))
            length += 1
        return length

    return episode


def _run(agent: str, flags: dict[str, Any], launcher: str, steps: int) -> tuple[float, float]:
    """Trains from start to end; returns environment steps and updates per second from the first update on."""
    program_path = pathlib.Path(sys.executable).with_name("acme-agents")
    config = [word for name, value in flags.items() for word in (f"--config.{name.replace('_', '-')}", str(value))]
    with tempfile.TemporaryDirectory() as directory:
        run_dir = pathlib.Path(directory) / "run"
        arguments = ["--env", _ENVIRONMENT, "--launcher", launcher, "--run-dir", str(run_dir), "--eval-every", "0"]
        command = [program_path, "train", agent, *arguments, "--steps", str(steps), *config]
        subprocess.run(command, env=_ENVIRON, stdout=subprocess.DEVNULL, check=True)
        episodes = loggers.read_csv(run_dir / "actor.csv")
    learning = episodes["learner_steps"] > 0
    if learning.sum() < 2:
        raise SystemExit(f"Two episodes must end after the first update: give more --steps than {steps:,}.")
    done, updates, seconds = (
        float(np.ptp(episodes[name][learning])) for name in ("actor_steps", "learner_steps", "walltime")
    )
    return done / seconds, updates / seconds


if __name__ == "__main__":
    main()
