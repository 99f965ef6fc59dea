"""Replay path: steps per second from writers through Reverb into a learner, ours against Acme's.

Steps of HalfCheetah's sizes (17 observations, 6 actions, episodes of 1000) go, with no environment and no policy, from
one writer process and then from two, through a Reverb server in another process, into the process of the benchmark:

  ours   replay.ChunkWriter -> durable table and stream -> replay.ReverbReceiver -> replay.Ring, on the device
  acme   acme's NStepTransitionAdder (dm-acme 0.4.0), an item for each transition -> a table that gives each once, in
         order -> reverb's dataset in batches of 256 (acme.datasets.make_reverb_dataset), as NumPy arrays

    python benchmarks/replay_path.py --output benchmarks/results/replay_path.md

Steps/s counts what has arrived. The microseconds are CPU time per step of each kind of process, all of its threads
(Reverb's work in the background), so they hardly depend on what else the machine does. The last line is what an update
then pays to draw a batch of 256 transitions: ours gathers from its store under jit, Acme's samples its uniform table
through Reverb; Acme's replay pays this again for every time that a transition is sampled.
"""

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

import acme
import acme.adders.reverb
import acme.datasets
import common
import dm_env
import jax
import numpy as np
import reverb
from learner import filled_store

from acme_agents import environments
from acme_agents.core.interfaces import REPLAY
from acme_agents.experiments import Experiment, making
from acme_agents.replay import chunks, ring
from acme_agents.runtime import replay_server

_EPISODE = 1000
_BATCH = 256
_EXPERIMENT = Experiment(agent="mpo", environment="control:cheetah:run")
_TABLE = acme.adders.reverb.DEFAULT_PRIORITY_TABLE


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--steps", default=50_000, type=int, help="that arrive in one measurement of ours")
    parser.add_argument("--acme-steps", default=10_000, type=int, help="that arrive in one measurement of Acme's")
    parser.add_argument("--repeats", default=5, type=int, help="rounds")
    options = parser.parse_args()
    report = common.Report(
        "Replay path: steps per second, and CPU microseconds per step",
        ["writers", "path", "steps/s", "writers us", "server us", "reader us", "ours / acme"],
    )
    for num_writers in (1, 2):
        rates = {}
        with contextlib.ExitStack() as stack:
            paths = {
                "ours": stack.enter_context(_path(_write_ours, replay_server.make_tables, num_writers, _OurReader)),
                "acme": stack.enter_context(_path(_write_acme, _once_table, num_writers, _AcmeReader)),
            }
            steps = {"ours": options.steps, "acme": options.acme_steps}
            measurements: dict[str, list[tuple[float, ...]]] = {name: [] for name in paths}

            def contestant(name: str, paths: Any = paths, steps: Any = steps, found: Any = measurements) -> float:
                found[name].append(paths[name](steps[name]))
                return found[name][-1][0]

            rates = common.interleave(
                {"ours": lambda: contestant("ours"), "acme": lambda: contestant("acme")}, options.repeats
            )
        for name in paths:
            ratio = common.median_ratio(rates["ours"], rates["acme"]) if name == "ours" else "-"
            report.row(num_writers, name, *map(statistics.median, zip(*measurements[name])), ratio)
    report.note(
        f"Medians of {options.repeats} interleaved rounds, {options.steps:,} steps of ours and {options.acme_steps:,} "
        "of Acme's in each."
    )
    ours, theirs = _batch_times(options.repeats)
    report.note(f"A batch of {_BATCH} transitions from a filled replay: ours {ours:.3g} ms, Acme's {theirs:.3g} ms.")
    report.finish(options.output)


class _OurReader:
    """Our learner's side: polls the stream, inserts into the store."""

    transitions_per_episode = _EPISODE
    transitions_per_read = 1  # at least

    def __init__(self, address: str):
        spec = environments.spec(_EXPERIMENT.make_environment("actor"))
        agent = making.make_agent(_EXPERIMENT)
        steps = chunks.step_spec(agent, spec)
        self._receiver = common.receiver(address, steps, agent.replay(spec))
        self._ring = ring.Ring(steps, agent.replay(spec))

    def read(self) -> int:
        """Takes in what waits; returns how many transitions that was."""
        num_transitions = self._ring.insert(self._receiver.poll(10_000))
        if not num_transitions:
            time.sleep(0.002)
        jax.block_until_ready(self._ring.state.size)
        return num_transitions


class _AcmeReader:
    """Acme's learner's side: a dataset of batches."""

    # The adder also writes the n - 1 shorter transitions from an episode's first observation.
    transitions_per_episode = _EPISODE + _EXPERIMENT.config.n_step - 1
    transitions_per_read = 4 * _BATCH  # so many must be waiting for the next batch to be certain to fill

    def __init__(self, address: str):
        dataset = acme.datasets.make_reverb_dataset(
            server_address=address,
            batch_size=_BATCH,
            table=_TABLE,
            num_parallel_calls=self.transitions_per_read // _BATCH,
        )
        self._iterator = dataset.as_numpy_iterator()

    def read(self) -> int:
        """Takes in one batch; returns how many transitions that was."""
        return len(next(self._iterator).data.reward)


@contextlib.contextmanager
def _path(write: Callable[..., None], make_tables: Callable[..., Any], num_writers: int, make_reader: Any) -> Any:
    """Sets up processes; yields `(num_steps) -> steps/s, and us of CPU per step of writers, server and reader`."""
    with contextlib.ExitStack() as stack:
        address, server = stack.enter_context(common.reverb_server(make_tables, _EXPERIMENT))
        writers = [stack.enter_context(common.Child(write, address)) for _ in range(num_writers)]
        for child in writers:
            child.receive()
        reader = make_reader(address)
        waiting = 0  # written, and not read

        def measure(num_steps: int) -> tuple[float, ...]:
            nonlocal waiting
            episodes = max(1, num_steps // _EPISODE // num_writers)  # for each writer
            num_steps = episodes * _EPISODE * num_writers
            waiting += episodes * num_writers * reader.transitions_per_episode
            cpu = _cpu(writers, server)
            began = time.perf_counter()
            for child in writers:
                child.send(episodes)
            while waiting >= reader.transitions_per_read:
                waiting -= reader.read()
            for child in writers:
                child.receive()
            seconds = time.perf_counter() - began
            used = [1e6 * (after - before) / num_steps for before, after in zip(cpu, _cpu(writers, server))]
            return num_steps / seconds, *used

        measure(2 * _EPISODE)  # Compiles, and connects.
        yield measure


def _cpu(writers: list[common.Child], server: common.Child) -> tuple[float, float, float]:
    return sum(child.cpu_seconds() for child in writers), server.cpu_seconds(), time.process_time()


def _timesteps() -> tuple[dm_env.TimeStep, np.ndarray, dm_env.TimeStep, dm_env.TimeStep]:
    """A first time step, an action, a middle time step and a last one, of random numbers."""
    environment, rng = _EXPERIMENT.make_environment("actor"), np.random.default_rng(0)
    action = rng.uniform(-1, 1, environment.action_spec().shape).astype(np.float32)
    first, middle = environment.reset(), environment.step(action)
    return first, action, middle, middle._replace(step_type=dm_env.StepType.LAST)


def _write_ours(connection: Any, address: str) -> None:
    """A writer's process: writes as many episodes as it is told to, and says when it has."""
    agent, spec = making.make_agent(_EXPERIMENT), environments.spec(_EXPERIMENT.make_environment("actor"))
    ours = common.chunk_writer(address, agent, spec)

    def episode(first: dm_env.TimeStep, action: np.ndarray, middle: dm_env.TimeStep, last: dm_env.TimeStep) -> None:
        ours.observe_first(first)
        for _ in range(_EPISODE - 1):
            ours.observe(action, middle)
        ours.observe(action, last)

    _write(connection, episode, ours.flush)


def _write_acme(connection: Any, address: str) -> None:
    """The same with Acme's adder."""
    config = _EXPERIMENT.config
    adder = acme.adders.reverb.NStepTransitionAdder(reverb.Client(address), config.n_step, config.discount)

    def episode(first: dm_env.TimeStep, action: np.ndarray, middle: dm_env.TimeStep, last: dm_env.TimeStep) -> None:
        adder.add_first(first)
        for _ in range(_EPISODE - 1):
            adder.add(action, middle)
        adder.add(action, last)

    _write(connection, episode, lambda: None)  # The end of an episode flushes it.


def _write(connection: Any, episode: Callable[..., None], flush: Callable[[], None]) -> None:
    timesteps = _timesteps()
    connection.send("ready")
    while True:
        for _ in range(connection.recv()):
            episode(*timesteps)
        flush()
        connection.send("written")


def _signature() -> Any:
    spec = acme.specs.make_environment_spec(_EXPERIMENT.make_environment("actor"))
    return acme.adders.reverb.NStepTransitionAdder.signature(spec)


def _once_table(experiment: Experiment) -> list[reverb.Table]:
    """Each transition once, in order; as many may wait as in our stream."""
    del experiment
    return [reverb.Table.queue(_TABLE, 16 * 32, signature=_signature())]


def _uniform_table(experiment: Experiment) -> list[reverb.Table]:
    return [
        reverb.Table(
            name=_TABLE,
            sampler=reverb.selectors.Uniform(),
            remover=reverb.selectors.Fifo(),
            max_size=experiment.config.max_replay_size,
            rate_limiter=reverb.rate_limiters.MinSize(_BATCH),
            signature=_signature(),
        )
    ]


def _batch_times(repeats: int) -> tuple[float, float]:
    """Milliseconds to draw a batch, ours and Acme's, from replays of 10,000 transitions."""
    num_transitions, num_batches = 10_000, 100
    agent, spec = making.make_agent(_EXPERIMENT), environments.spec(_EXPERIMENT.make_environment("actor"))
    held = filled_store(agent, spec, num_transitions)
    replay = dataclasses.replace(agent.replay(spec), batch_size=_BATCH)
    sample = jax.jit(lambda state, key: ring.sample({REPLAY: state}, {}, key, replay)[0])
    with contextlib.ExitStack() as stack:
        address, _ = stack.enter_context(common.reverb_server(_uniform_table, _EXPERIMENT))
        child = stack.enter_context(common.Child(_write_acme, address))
        child.receive()
        child.send(num_transitions // _EPISODE)
        child.receive()
        reader = _AcmeReader(address)

        def ours() -> float:
            began = time.perf_counter()
            for i in range(num_batches):
                jax.block_until_ready(sample(held.state, jax.random.PRNGKey(i)))
            return 1e3 * (time.perf_counter() - began) / num_batches

        def theirs() -> float:
            began = time.perf_counter()
            for _ in range(num_batches):
                reader.read()
            return 1e3 * (time.perf_counter() - began) / num_batches

        ours(), theirs()  # Compiles, and fills Acme's prefetching.
        results = common.interleave({"ours": ours, "acme": theirs}, repeats)
    return statistics.median(results["ours"]), statistics.median(results["acme"])


if __name__ == "__main__":
    main()
