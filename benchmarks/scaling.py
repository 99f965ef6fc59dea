"""Scale: what does another actor bring, what do its parameters and its reports cost the learner? (specs 5)

Three tables:

  actors       `acme-agents train mpo --launcher processes` with 1 to 32 actors, whose environment takes 5 ms a step:
               steps per second of all of them, as a multiple of what one does, and of the bare loop of the same
               environment and policy; the CPU that they, the learner and the replay server use, in cores; the share of
               the machine that is busy; and the memory of an actor that it shares with nobody (PSS counts a page that n
               processes share as 1/n of one). The learner is light: small networks, and one sample per insert.
  parameters   updates per second of a whole learner while 32 processes ask for its parameters, 10 MB, as often as
               actors do: in turns without them, with them, and with them where nothing bounds what they are handed
               (staleness: seconds between two snapshots that one client gets)
  reports      microseconds of one `actor_sync`, as the coordinator has heard of 10 to 10,000 lives: of the call alone,
               of one that brings an episode and so writes a row, and the size of what is in a checkpoint; then the CPU
               of the learner's process for a report that comes over Courier

    python benchmarks/scaling.py --output benchmarks/results/scaling.md

Reading it: an actor scales well while its `of linear` is near 1; below that it must be the machine that is full (`busy`
near 1). Everything shares the cores, the launcher and the clients too, which in a real run of that size would be
elsewhere: what the learner loses to 32 clients here includes the CPU that they take to unpack.
"""

import argparse
import contextlib
import json
import math
import multiprocessing
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import common
import courier
import numpy as np
import psutil

from acme_agents.agents import mpo
from acme_agents.core.interfaces import ActorContext
from acme_agents.experiments import Experiment, making
from acme_agents.runtime import replay_server

_GIVE_UP_SECONDS = 300.0
_SETTLE_SECONDS = 2.0  # in which clients that have not asked for a while get what they have missed
_NUM_TAKEN = 100  # snapshots, for the cost of one
_LIGHT = [
    "--config.policy-layers",
    "64",
    "64",
    "--config.critic-layers",
    "64",
    "64",
    "--config.samples-per-insert",
    "1",
]
_PARTS = ("actors", "parameters", "reports")


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=_PARTS, help="which tables")
    parser.add_argument("--actors", nargs="+", default=[1, 2, 4, 8, 16, 32], type=int, help="numbers of actors")
    parser.add_argument("--env", default="delayed:5:probe:reach", help="environment's name")
    parser.add_argument("--seconds", default=15.0, type=float, help="that a run's steady state is measured")
    parser.add_argument("--clients", default=32, type=int, help="that ask for parameters")
    parser.add_argument("--width", default=1500, type=int, help="of the policy's two layers: 1500 makes 9 MB")
    parser.add_argument("--window", default=8.0, type=float, help="seconds of learning, with clients or without")
    parser.add_argument("--repeats", default=15, type=int, help="rounds of those")
    parser.add_argument("--lives", nargs="+", default=[10, 100, 1_000, 10_000], type=int, help="lives heard of")
    options = parser.parse_args()
    parts = {"actors": _actors, "parameters": _parameters, "reports": _reports}
    reports = [parts[name](options) for name in options.parts]
    for report in reports:
        report.finish(None)
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text("\n".join(report.markdown() for report in reports))


# Actors.


def _actors(options: argparse.Namespace) -> common.Report:
    report = common.Report(
        f"Actors of {options.env}",
        [
            *(
                "actors",
                "steps/s",
                "x one actor",
                "of linear",
                "of bare loops",
                "actors' cores",
                "learner's",
                "replay's",
            ),
            *("busy", "actor's PSS, MiB", "all PSS, MiB"),
        ],
    )
    with common.Child(_bare_loop, options.env) as child:
        bare = child.receive()
    one = None
    for num_actors in options.actors:
        with tempfile.TemporaryDirectory() as directory:
            rate, cores, memory = _measure_run(options, num_actors, pathlib.Path(directory) / "run")
        one = one or rate / num_actors
        report.row(
            num_actors,
            rate,
            rate / one,
            rate / one / num_actors,
            rate / bare / num_actors,
            *(cores[role] for role in ("actor", "learner", "replay", "busy")),
            memory["actor"],
            memory["all"],
        )
    report.note(f"The bare loop: {bare:.1f} steps/s. {options.seconds:g} s of each run's steady state.")
    return report


def _bare_loop(connection: Any, env: str) -> None:
    """A process that steps the environment with the same policy, and writes nothing; sends its steps per second."""
    common.one_thread()
    import jax
    from actor_loop import untrained_params

    experiment = Experiment("mpo", env, config=mpo.Config(policy_layers=(64, 64), critic_layers=(64, 64)))
    environment = experiment.make_environment("actor")
    core = making.make_agent(experiment).actor(experiment.environment_spec(), ActorContext(evaluation=False))
    params, select_action = untrained_params(experiment), jax.jit(core.select_action)
    state, timestep, num_steps, began = core.init(jax.random.PRNGKey(0)), environment.reset(), 0, 0.0
    while num_steps < 1_000:
        if timestep.last():
            timestep = environment.reset()
        action, state, _ = select_action(params, timestep.observation, state)
        timestep = environment.step(np.asarray(action))
        num_steps += 1
        if num_steps == 100:
            began = time.perf_counter()
    connection.send((num_steps - 100) / (time.perf_counter() - began))


def _measure_run(
    options: argparse.Namespace, num_actors: int, run_dir: pathlib.Path
) -> tuple[float, dict[str, float], dict[str, float]]:
    """Trains until the rate is steady, and then for a while.

    Returns:
      environment steps per second; cores in use by role, and the share of all cores that is busy; MiB of memory.
    """
    command = pathlib.Path(sys.executable).with_name("acme-agents")
    flags = ["--env", options.env, "--launcher", "processes", "--actors", str(num_actors), "--eval-every", "0"]
    flags += ["--steps", str(10**8), "--run-dir", str(run_dir), *_LIGHT]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([command, "train", "mpo", *flags], stdout=log, stderr=log)
        try:
            client, nodes = _wait_for_steady(process, run_dir, num_actors)
            before = client.status().actor_steps, time.monotonic(), _cpu_times(nodes), psutil.cpu_times()
            time.sleep(options.seconds)
            after = client.status().actor_steps, time.monotonic(), _cpu_times(nodes), psutil.cpu_times()
            memory = _memory(nodes)
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
    seconds = after[1] - before[1]
    cores = {role: (after[2][role] - before[2][role]) / seconds for role in after[2]}
    idle, total = after[3].idle - before[3].idle, sum(after[3]) - sum(before[3])
    return (after[0] - before[0]) / seconds, {**cores, "busy": 1 - idle / total}, memory


def _wait_for_steady(process: subprocess.Popen, run_dir: pathlib.Path, num_actors: int) -> tuple[Any, dict]:
    """Waits until every actor has its process, the learner learns, and the rate no longer grows.

    Returns:
      the coordinator, and the processes by role.
    """
    client, last, deadline = None, None, time.monotonic() + _GIVE_UP_SECONDS
    rates: list[float] = []
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"The run ended by itself, with exit code {process.returncode}.")
        time.sleep(3.0)
        with contextlib.suppress(Exception):  # It is not there yet.
            nodes = common.record_of(run_dir).nodes
            client = client or common.learner_of(run_dir)
            status, now = client.status(), time.monotonic()
            if sum(worker["role"] == "actor" for worker in nodes) < num_actors or not status.learner_steps:
                continue
            if last is not None:
                rates.append((status.actor_steps - last[0]) / (now - last[1]))
            last = status.actor_steps, now
            if len(rates) >= 6 and 0 < statistics.mean(rates[-3:]) < 1.03 * statistics.mean(rates[-6:-3]):
                roles = {role: [psutil.Process(n["pid"]) for n in nodes if n["role"] == role] for role in _roles(nodes)}
                return client, roles
    raise SystemExit(f"{num_actors} actors had no steady rate within {_GIVE_UP_SECONDS} seconds: {rates}.")


def _roles(nodes: list[dict[str, Any]]) -> set[str]:
    return {worker["role"] for worker in nodes}


def _cpu_times(roles: dict[str, list[psutil.Process]]) -> dict[str, float]:
    return {
        role: sum(sum(process.cpu_times()[:2]) for process in processes) for role, processes in roles.items()
    }  # user and system


def _memory(roles: dict[str, list[psutil.Process]]) -> dict[str, float]:
    """MiB: an actor's, and that of all workers."""
    pss = {role: [process.memory_full_info().pss / 2**20 for process in all_] for role, all_ in roles.items()}
    return {"actor": statistics.mean(pss["actor"]), "all": sum(map(sum, pss.values()))}


# Parameters.


def _parameters(options: argparse.Namespace) -> common.Report:
    report = common.Report(
        "Parameters: learner's updates per second",
        [
            "clients",
            "updates/s",
            "/ none",
            "MB/s handed out",
            "staleness, s",
            "snapshots/s",
            "learner's cores",
            "clients'",
        ],
    )
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        experiment = Experiment(
            "mpo",
            "probe:reach",
            config=mpo.Config(
                policy_layers=(options.width,) * 2, batch_size=64, min_replay_size=500, samples_per_insert=1e9
            ),
            num_actors=options.clients,
            max_steps=None,
            max_updates=10**9,
            eval_every=0,
            checkpoint_seconds=1e9,
        )
        replay, _ = stack.enter_context(common.reverb_server(replay_server.make_tables, experiment))
        learner = stack.enter_context(common.Child(_learn, experiment, directory, replay))
        address, size = learner.receive(timeout=300.0)
        clients = stack.enter_context(_forked(_ask, options.clients, address, options.clients))

        def measure(asking: bool, bounded: bool) -> float:
            for connection, _ in clients:
                connection.send(asking)
            time.sleep(_SETTLE_SECONDS)
            for connection, _ in clients:
                connection.send(asking)  # Their counts begin anew.
            cpu = learner.cpu_seconds(), _cpu_of(clients)
            learner.send((options.window, bounded))
            rate, snapshots = learner.receive(timeout=10 * options.window)
            cores = (learner.cpu_seconds() - cpu[0]) / options.window, (_cpu_of(clients) - cpu[1]) / options.window
            for connection, _ in clients:
                connection.send(None)
            got = sum(connection.recv() for connection, _ in clients) / options.window
            staleness = options.clients / got if got else math.nan
            measurements[names[asking, bounded]].append((rate, got * size / 1e6, staleness, snapshots, *cores))
            return rate

        names = {
            (False, True): "none",
            (True, True): f"{options.clients}",
            (True, False): f"{options.clients}, unbounded",
        }
        measurements: dict[str, list[tuple[float, ...]]] = {name: [] for name in names.values()}
        measure(True, True)  # They get their first parameters, and learning gets up to speed.
        measurements[names[True, True]].clear()
        rates = common.interleave({name: lambda how=how: measure(*how) for how, name in names.items()}, options.repeats)
    for name, rows in measurements.items():
        rate, *others = (statistics.median(column) for column in zip(*rows))
        report.row(name, rate, common.median_ratio(rates[name], rates["none"]), *others)
    report.note(
        f"A snapshot has {size / 1e6:.1f} MB. Medians of {options.repeats} interleaved rounds of {options.window:g} s, "
        "ratios within a round; half of them are: "
        + "; ".join(
            "{} {:.3f} to {:.3f}".format(name, *np.percentile(ratios, (25, 75)))
            for name, ratios in (
                (name, [a / b for a, b in zip(rates[name], rates["none"])]) for name in rates if name != "none"
            )
        )
        + "."
    )
    with common.Child(_hand_out, size) as learner:
        address, before = learner.receive(), learner.cpu_seconds()
        with common.Child(_take, address) as actor:
            taken = actor.receive()
        sent = learner.cpu_seconds() - before
    sent, taken = (1e3 * seconds / (_NUM_TAKEN * size / 1e6) for seconds in (sent, taken))
    report.note(f"To send a MB takes {sent:.2g} ms of CPU, to take it in {taken:.2g} ms, while nothing else runs.")
    return report


def _hand_out(connection: Any, size: int) -> None:
    """A process that hands out snapshots of so many bytes."""
    from acme_agents.runtime import variables

    publisher, courier_server = variables.Publisher(), courier.Server()
    publisher.publish(0, np.zeros(size // 4, np.float32))
    courier_server.Bind("newest", publisher.newest)
    courier_server.Start()
    connection.send(f"localhost:{courier_server.port}")
    connection.recv()


def _take(connection: Any, address: str) -> None:
    """A process that takes some in, as an actor does; sends the seconds of CPU that it took."""
    from acme_agents.runtime import memory, variables

    memory.keep_freed()
    client, before = courier.Client(address, call_timeout=30.0), time.process_time()
    for _ in range(_NUM_TAKEN):
        variables.unpack(*client.newest())
    connection.send(time.process_time() - before)


def _learn(connection: Any, experiment: Experiment, directory: pathlib.Path, replay: str) -> None:
    """A learner's process, as `workers.LearnerWorker` has it, that has data for ever and learns when it is told to."""
    import reverb

    from acme_agents.runtime import replays, variables
    from acme_agents.runtime.training_session import TrainingSession

    client = reverb.Client(replay)
    threading.Thread(target=_fill, args=(experiment, replay), daemon=True).start()
    run = TrainingSession(
        experiment,
        directory,
        replays.between_processes(client, directory, threading.Event()),
        bytes_per_second=variables.BYTES_PER_SECOND,
    )
    run.learner.compile()
    while not run.step():
        time.sleep(0.01)
    publisher, num_snapshots = run._publisher, [0]
    publish = publisher.publish

    def counted_publish(*args: Any) -> None:
        num_snapshots[0] += 1
        publish(*args)

    publisher.publish = counted_publish
    courier_server = courier.Server()
    courier_server.Bind("actor_sync", run.coordinator.actor_sync)
    courier_server.Start()
    connection.send((f"localhost:{courier_server.port}", len(publisher.newest()[0].payload)))
    while True:
        seconds, bounded = connection.recv()
        publisher._bytes_per_second = variables.BYTES_PER_SECOND if bounded else math.inf
        num_snapshots[0] = 0
        began, before = time.perf_counter(), run.learner.steps
        while time.perf_counter() < began + seconds:
            run.step()
        run.learner.metrics()  # waits for the last update
        taken = time.perf_counter() - began
        connection.send(((run.learner.steps - before) / taken, num_snapshots[0] / taken))


def _fill(experiment: Experiment, address: str) -> None:
    """Writes 2,000 steps of no policy to a replay server."""
    ours = common.chunk_writer(address, making.make_agent(experiment), experiment.environment_spec())
    environment = experiment.make_environment("actor")
    timestep = None
    for _ in range(2_000):
        if timestep is None or timestep.last():
            timestep = environment.reset()
            ours.observe_first(timestep)
        action = np.zeros(environment.action_spec().shape, np.float32)
        timestep = environment.step(action)
        ours.observe(action, timestep)
    ours.flush()


def _ask(connection: Any, index: int, address: str, num_clients: int) -> None:
    """An actor's side of the talk: asks as often as actors do while it may, and counts the snapshots that it gets."""
    from acme_agents.runtime import memory, variables
    from acme_agents.runtime.coordinator import ActorReport
    from acme_agents.runtime.workers import sync_seconds

    period = sync_seconds(num_clients)
    memory.keep_freed()
    client = courier.Client(address, call_timeout=30.0)
    version, asking, num_snapshots = None, False, 0
    time.sleep(period * (index * 0.618 % 1))
    while True:
        if connection.poll(period if asking else None):
            message = connection.recv()
            if message is None:
                connection.send(num_snapshots)
            asking, num_snapshots = bool(message), 0
        if not asking:
            continue
        orders = client.actor_sync(ActorReport(f"actor/{index}", f"actor/{index}/a", 0, 0, [], False, version))
        for snapshot in orders.snapshots:
            variables.unpack(snapshot)
            version, num_snapshots = snapshot.version, num_snapshots + 1


@contextlib.contextmanager
def _forked(function: Callable[..., None], number: int, *args: Any) -> Iterator[list[tuple[Any, Any]]]:
    """Processes that share what they import, as those of a run do; yields their connections and processes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["acme_agents.launch.preload"])
    children = []
    for index in range(number):
        ours, theirs = context.Pipe()
        process = context.Process(target=function, args=(theirs, index, *args), daemon=True)
        process.start()
        children.append((ours, process))
    try:
        yield children
    finally:
        for _, process in children:
            process.kill()


def _cpu_of(children: list[tuple[Any, Any]]) -> float:
    return sum(sum(psutil.Process(process.pid).cpu_times()[:2]) for _, process in children)


# Reports.


def _reports(options: argparse.Namespace) -> common.Report:
    report = common.Report(
        "Reports: microseconds of one actor_sync, by lives heard of",
        ["lives", "alone", "with an episode", "status()", "in a checkpoint, KiB", "over Courier, CPU of the learner's"],
    )
    for num_lives in options.lives:
        with tempfile.TemporaryDirectory() as directory, common.Child(_sync, directory, num_lives) as child:
            address, *figures = child.receive()
            client = courier.Client(address, call_timeout=30.0)
            number, before = 2_000, child.cpu_seconds()
            for i in range(number):
                client.actor_sync(_report(i % num_lives, i))
            over_courier = 1e6 * (child.cpu_seconds() - before) / number
        report.row(num_lives, *figures, over_courier)
    return report


def _report(index: int, steps: int, num_episodes: int = 0) -> Any:
    from acme_agents.runtime.coordinator import ActorReport
    from acme_agents.runtime.loop import Episode

    name = f"actor/{index}"
    return ActorReport(name, f"{name}/0123456789ab", steps, num_episodes, [Episode(1.0, 50)][:num_episodes], False, 0)


def _sync(connection: Any, directory: str, num_lives: int) -> None:
    """A process with a coordinator that has heard of so many lives; sends its address and what calls take, in us."""
    from acme_agents.experiments.budget import Budget
    from acme_agents.runtime import loggers, variables
    from acme_agents.runtime.coordinator import Coordinator

    publisher = variables.Publisher(num_lives, variables.BYTES_PER_SECOND)
    publisher.publish(0, {})
    logger = loggers.RunLogger(pathlib.Path(directory))
    coordinator = Coordinator(Budget(10**9, None, 10**8, num_lives), publisher, logger, 10**6)
    for i in range(num_lives):
        coordinator.actor_sync(_report(i, 0))

    def us(call: Callable[[int], Any], number: int) -> float:
        began = time.perf_counter()
        for i in range(number):
            call(i)
        return 1e6 * (time.perf_counter() - began) / number

    alone = us(lambda i: coordinator.actor_sync(_report(i % num_lives, i)), 5_000)
    episode = us(lambda i: coordinator.actor_sync(_report(i % num_lives, i, 1 + i // num_lives)), 2_000)
    status = us(lambda i: coordinator.status(), 2_000)
    size = len(json.dumps(coordinator.save())) / 2**10
    server = courier.Server()
    server.Bind("actor_sync", coordinator.actor_sync)
    server.Start()
    connection.send((f"localhost:{server.port}", alone, episode, status, size))
    connection.recv()


if __name__ == "__main__":
    main()
