"""Actor loop: environment steps per second of our actor, of the bare loop under it, and of Acme's own parts.

Three loops take turns on the same environment and the same jitted MPO policy (256x3), a few episodes each at a time:

  bare   environment, policy, and nothing else: no actor, nothing written
  ours   runtime.Actor in runtime.EnvironmentLoop, writing by replay.ChunkWriter to a Reverb server in another process;
         a third process drains the stream as a learner does, so that nothing but the writing itself is measured
  acme   what a user would take instead: acme.EnvironmentLoop and acme's NStepTransitionAdder (dm-acme 0.4.0), to
         another Reverb server with one uniform table, which nobody reads: less work than a learner would cause

    python benchmarks/actor_loop.py --output benchmarks/results/actor_loop.md

`ours / bare` is the median, over rounds, of the ratio within a round; the target is 0.6 at least. On two cores the
servers and the reader share them with the loop that is measured, as they do in a run.
"""

import contextlib
import functools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import common

common.one_thread()

import acme  # noqa: E402
import acme.adders.reverb  # noqa: E402
import dm_env  # noqa: E402
import jax  # noqa: E402
import numpy as np  # noqa: E402
import reverb  # noqa: E402
from acme.utils import loggers  # noqa: E402

from acme_agents import environments  # noqa: E402
from acme_agents.core.interfaces import ActorContext, ActorCore  # noqa: E402
from acme_agents.experiments import Experiment, making  # noqa: E402
from acme_agents.replay import chunks  # noqa: E402
from acme_agents.runtime import actor as actor_lib  # noqa: E402
from acme_agents.runtime import replay_server  # noqa: E402
from acme_agents.runtime.loop import EnvironmentLoop  # noqa: E402

_ENVIRONMENTS = ["control:cartpole:swingup", "control:cheetah:run", "control:walker:walk"]


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--envs", default=_ENVIRONMENTS, nargs="+", help="environments' names")
    parser.add_argument("--repeats", default=7, type=int, help="rounds")
    parser.add_argument("--episodes", default=3, type=int, help="that each loop runs in a round")
    options = parser.parse_args()
    report = common.Report(
        "Actor loop, environment steps per second",
        ["environment", "bare", "ours", "acme", "ours / bare", "acme / bare", "ours / acme"],
    )
    for name in options.envs:
        with _contestants(name, options.episodes) as contestants:
            for contestant in contestants.values():
                contestant()  # Compiles, connects, and warms the caches.
            results = common.interleave(contestants, options.repeats)
        bare, ours, theirs = results["bare"], results["ours"], results["acme"]
        report.row(
            name,
            *(statistics.median(rates) for rates in (bare, ours, theirs)),
            common.median_ratio(ours, bare),
            common.median_ratio(theirs, bare),
            common.median_ratio(ours, theirs),
        )
    report.note(
        f"Medians of {options.repeats} interleaved rounds of {options.episodes} episodes for each loop. "
        "Target: ours / bare >= 0.6."
    )
    report.finish(options.output)


@contextlib.contextmanager
def _contestants(name: str, num_episodes: int) -> Iterator[dict[str, Callable[[], float]]]:
    """The three loops, each a function that runs episodes and returns their steps per second."""
    experiment = Experiment(agent="mpo", environment=name)
    agent, spec = making.make_agent(experiment), environments.spec(experiment.make_environment("actor"))
    params = untrained_params(experiment)
    with contextlib.ExitStack() as stack:
        address, _ = stack.enter_context(common.reverb_server(replay_server.make_tables, experiment))
        acme_address, _ = stack.enter_context(common.reverb_server(_acme_tables, experiment))
        reader = stack.enter_context(common.Child(drain, address, experiment))
        reader.receive()

        core, key = agent.actor(spec, ActorContext(evaluation=False)), jax.random.PRNGKey(0)
        chunk_writer = common.chunk_writer(address, agent, spec)
        actor = actor_lib.Actor(core, key, chunk_writer)
        actor.params = params
        our_loop = EnvironmentLoop(experiment.make_environment("actor"), actor)

        config = experiment.config
        adder = acme.adders.reverb.NStepTransitionAdder(reverb.Client(acme_address), config.n_step, config.discount)
        acme_loop = acme.EnvironmentLoop(
            experiment.make_environment("actor"), _AcmeActor(core, key, params, adder), logger=loggers.NoOpLogger()
        )
        episodes: dict[str, Callable[[], Any]] = {
            "bare": bare_episode(experiment.make_environment("actor"), core, key, params),
            "ours": lambda: our_loop.run_episode().length,
            "acme": lambda: acme_loop.run_episode()["episode_length"],
        }
        yield {who: functools.partial(rate, episode, num_episodes) for who, episode in episodes.items()}
        chunk_writer.close()
        adder.reset()


def rate(episode: Callable[[], Any], num_episodes: int) -> float:
    """Runs episodes, each of which returns its length; returns their steps per second."""
    began = time.perf_counter()
    length = sum(int(episode()) for _ in range(num_episodes))
    return length / (time.perf_counter() - began)


def bare_episode(environment: dm_env.Environment, core: ActorCore, key: Any, params: Any) -> Callable[[], int]:
    """An episode of environment and policy alone; returns its length."""
    select_action = jax.jit(core.select_action)

    def episode() -> int:
        state = core.init(key)
        timestep, length = environment.reset(), 0
        while not timestep.last():
            action, state, _ = select_action(params, timestep.observation, state)
            timestep = environment.step(np.asarray(action))
            length += 1
        return length

    return episode


class _AcmeActor(acme.core.Actor):
    """The same policy, with Acme's adder: what Acme's own `GenericActor` does."""

    def __init__(self, core: ActorCore, key: Any, params: Any, adder: acme.adders.Adder):
        self._init, self._select_action = core.init, jax.jit(core.select_action)
        self._key, self._params, self._adder = key, params, adder
        self._state: Any = None

    def select_action(self, observation: Any) -> np.ndarray:
        action, self._state, _ = self._select_action(self._params, observation, self._state)
        return np.asarray(action)

    def observe_first(self, timestep: dm_env.TimeStep) -> None:
        self._state = self._init(self._key)
        self._adder.add_first(timestep)

    def observe(self, action: Any, next_timestep: dm_env.TimeStep) -> None:
        self._adder.add(action, next_timestep)

    def update(self, wait: bool = False) -> None:
        pass


def untrained_params(experiment: Experiment) -> Any:
    """Untrained parameters, as NumPy arrays: what an actor gets from the learner."""
    spec = environments.spec(experiment.make_environment("actor"))
    learner = making.make_agent(experiment).learner(spec)
    return learner.params(jax.jit(learner.init)(jax.random.PRNGKey(0)))


def _acme_tables(experiment: Experiment) -> list[reverb.Table]:
    signature = acme.adders.reverb.NStepTransitionAdder.signature(
        acme.specs.make_environment_spec(experiment.make_environment("actor"))
    )
    return [
        reverb.Table(
            name=acme.adders.reverb.DEFAULT_PRIORITY_TABLE,
            sampler=reverb.selectors.Uniform(),
            remover=reverb.selectors.Fifo(),
            max_size=experiment.config.max_replay_size,
            rate_limiter=reverb.rate_limiters.MinSize(1),
            signature=signature,
        )
    ]


def drain(connection: Any, address: str, experiment: Experiment) -> None:
    """A process that takes whatever comes through the stream, as a learner does between updates."""
    spec = environments.spec(experiment.make_environment("actor"))
    agent = making.make_agent(experiment)
    receiver = common.receiver(address, chunks.step_spec(agent, spec), agent.replay(spec))
    connection.send("ready")
    while True:
        receiver.poll(10_000)
        time.sleep(0.002)


if __name__ == "__main__":
    main()
