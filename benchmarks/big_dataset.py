"""A dataset larger than memory: is a fifth of it in memory enough to learn from it at full speed?

  speed     CRR offline, of HalfCheetah's sizes (17 observations, 6 actions; two layers of 256, batches of 256), on
            random steps; and BC on pictures of 16 x 16 x 3. Two processes learn from the same file, in turns: one has
            all of it in memory, one a fifth of it (--dataset-memory 20%). Peak memory is a process's largest resident
            set, reading the dataset included; `beside` is what it had before it read anything.
  learning  CRR and BC on `probe:reach`, of which the first half of the dataset is random and the second half is of the
            best policy, so that neighbours on the disk are most alike; the final evaluation's return.

    python benchmarks/big_dataset.py --output benchmarks/results/big_dataset.md

Reading it: the first columns are milliseconds per update; then those of CPU, of all threads, which other work on the
machine disturbs less. `all / fifth` is the median over rounds of the time of an update with all in memory over the time
with a fifth: 1 means that blocks from the disk cost nothing. `bound` is a fifth of what all rows take; what JAX
compiles, some 100 MiB, comes on top of it and of `beside`. The file is in the system's cache of the disk, as long as
memory is free: what is measured is the work of reading, not the disk.
"""

import dataclasses
import functools
import os
import pathlib
import resource
import statistics
import tempfile
import threading
import time
from typing import Any

import common
import h5py
import numpy as np

from acme_agents import datasets
from acme_agents.agents import bc, crr
from acme_agents.core.types import Trajectory
from acme_agents.experiments import Experiment

_PARTS = {"all": None, "fifth": "20%"}
_LENGTH = 1000  # of an episode
_CRR = {"critic": "scalar", "policy": "gaussian", "policy_layers": (256, 256), "critic_layers": (256, 256)}
_SPEEDS = {
    "control:cheetah:run": ("crr", crr.Config(**_CRR)),
    "probe:pixels": ("bc", bc.Config(policy="gaussian", policy_layers=(64,), batch_size=64)),
}
_SMALL = {"policy_layers": (64, 64), "batch_size": 64, "policy": "gaussian"}
_LEARNERS = {
    "crr": crr.Config(
        **_SMALL,
        critic_layers=(64, 64),
        policy_learning_rate=1e-3,
        critic_learning_rate=1e-3,
        weight="binary",
        discount=0.9,
        vmax=10.0,
    ),
    "bc": bc.Config(**_SMALL, learning_rate=1e-3),
}
_TASK = "probe:reach"


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--repeats", default=7, type=int, help="rounds")
    parser.add_argument("--seconds", default=3.0, type=float, help="that each takes in a round, about")
    parser.add_argument("--mebibytes", default=400, type=int, help="of rows in each dataset whose speed is measured")
    parser.add_argument("--speeds", default=list(_SPEEDS), nargs="*", help="environments whose updates are timed")
    parser.add_argument("--learners", default=list(_LEARNERS), nargs="*", help="agents whose returns are compared")
    parser.add_argument("--seeds", default=3, type=int, help="of each learner")
    parser.add_argument("--updates", default=3000, type=int, help="of each learner")
    parser.add_argument("--runs", default=pathlib.Path("runs/big_dataset"), type=pathlib.Path, help="run directories")
    options = parser.parse_args()
    os.environ["XDG_CACHE_HOME"] = str((options.runs / "cache").absolute())
    report = common.Report(
        "A fifth of a dataset in memory",
        [
            "dataset",
            "agent",
            "all",
            "fifth",
            "all / fifth",
            "CPU, all",
            "CPU, fifth",
            "beside, MiB",
            "peak, all",
            "peak, fifth",
            "bound",
        ],
    )
    for environment in options.speeds:
        agent, config = _SPEEDS[environment]
        experiment = Experiment(agent, environment, config=config, dataset="made later", max_steps=0, max_updates=10**9)
        _speed(report, dataclasses.replace(experiment, checkpoint_seconds=1e9, eval_every=0), options)
    for agent in options.learners:
        _learning(report, agent, options)
    report.note(
        f"Speed: milliseconds and milliseconds of CPU per update, medians of {options.repeats} interleaved rounds of "
        f"about {options.seconds:g} s each; memory in MiB."
    )
    report.note(
        f"Learning: mean return after {options.updates:,} updates over {options.seeds} seeds of 20 episodes each, and "
        "the lowest and the highest seed. A random policy earns 12.6, the best one 47.1."
    )
    report.finish(options.output)


def _speed(report: common.Report, experiment: Experiment, options: Any) -> None:
    """Adds the row of a dataset whose updates are timed."""
    options.runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.runs) as directory:
        path = pathlib.Path(directory) / "random.hdf5"
        num_bytes, num_rows = _write(path, experiment, options.mebibytes * 2**20)
        peaks, beside = {}, {}
        with (
            common.Child(_learn, path, experiment, _PARTS["all"], options.seconds) as everything,
            common.Child(_learn, path, experiment, _PARTS["fifth"], options.seconds) as part,
        ):
            children = {"all": everything, "fifth": part}
            for name, child in children.items():
                beside[name] = child.receive(600)
                child.send("load")
                child.receive(600)

            def measure(name: str) -> float:
                children[name].send("measure")
                milliseconds, of_cpu = children[name].receive(600)
                cpu[name].append(of_cpu)
                return milliseconds

            cpu: dict[str, list[float]] = {name: [] for name in _PARTS}
            results = common.interleave({name: functools.partial(measure, name) for name in _PARTS}, options.repeats)
            for name, child in children.items():
                child.send("peak")
                peaks[name] = child.receive(600)
    report.row(
        f"{experiment.environment}, {num_rows:,} rows, {num_bytes / 2**20:,.0f} MiB",
        experiment.agent,
        *(statistics.median(results[name]) for name in _PARTS),
        common.median_ratio(results["all"], results["fifth"]),
        *(statistics.median(cpu[name]) for name in _PARTS),
        round(max(beside.values())),
        round(peaks["all"]),
        round(peaks["fifth"]),
        round(0.2 * num_bytes / 2**20),
    )


def _write(path: pathlib.Path, experiment: Experiment, num_bytes: int) -> tuple[int, int]:
    """Writes random episodes that are cut short as a D4RL file; returns the bytes of its rows in memory, and rows."""
    from acme_agents.replay import rotating_ring
    from acme_agents.runtime import replays

    spec = experiment.environment_spec()
    steps, replay = replays.specs(experiment)
    per_row = rotating_ring.num_bytes(steps, replay, 1)
    num_episodes = num_bytes // (per_row * (_LENGTH + 1))
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:

        def make(name: str, shape: tuple[int, ...], dtype: str) -> Any:
            return file.create_dataset(name, (num_episodes * _LENGTH, *shape), dtype)

        shape, dtype = spec.observation.shape, spec.observation.dtype
        observations, following = make("observations", shape, dtype), make("next_observations", shape, dtype)
        actions, rewards = make("actions", spec.action.shape, "float32"), make("rewards", (), "float32")
        file["terminals"] = np.zeros(num_episodes * _LENGTH, bool)
        file["timeouts"] = np.arange(1, num_episodes * _LENGTH + 1) % _LENGTH == 0
        for number in range(num_episodes):
            where = slice(number * _LENGTH, (number + 1) * _LENGTH)
            size = (_LENGTH + 1, *shape)
            seen = rng.integers(256, size=size, dtype=np.uint8) if dtype == "uint8" else rng.normal(size=size)
            observations[where], following[where] = seen[:-1], seen[1:]
            actions[where] = rng.uniform(-1, 1, (_LENGTH, *spec.action.shape))
            rewards[where] = rng.uniform(size=_LENGTH)
    num_rows = num_episodes * (_LENGTH + 1)
    return num_rows * per_row, num_rows


def _learn(connection: Any, path: pathlib.Path, experiment: Experiment, part: str | None, seconds: float) -> None:
    """A process that learns as it is told, and sends milliseconds per update; and MiB, before and at most."""
    os.environ["XDG_CACHE_HOME"] = str(path.parent.absolute())
    from acme_agents.runtime import replays
    from acme_agents.runtime.training_session import TrainingSession

    experiment = dataclasses.replace(experiment, dataset=str(path), dataset_memory=part)
    replays.specs(experiment)  # Imports JAX, and makes the environment and the agent.
    connection.send(_peak())
    connection.recv()
    run_dir = path.parent / f"run-{part}"
    run_dir.mkdir()
    run = TrainingSession(experiment, run_dir, replays.between_processes(None, run_dir, threading.Event()))
    run.step()  # Compiles.
    connection.send("loaded")
    while (told := connection.recv()) is not None:
        connection.send(_time(run, seconds) if told == "measure" else _peak())


def _time(run: Any, seconds: float) -> tuple[float, float]:
    """Updates for about so many seconds; returns milliseconds, and those of CPU of all threads, per update."""
    began, cpu_began, num_updates = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < seconds:
        num_updates += run.step()
    return tuple(1e3 * spent / num_updates for spent in (time.perf_counter() - began, time.process_time() - cpu_began))


def _peak() -> float:
    """The process's largest resident set so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _learning(report: common.Report, agent: str, options: Any) -> None:
    """Adds the row of an agent's returns."""
    path = options.runs / "data"
    if not path.exists():
        _save_sorted(path)
    returns: dict[str, list[float]] = {name: [] for name in _PARTS}
    for name, part in _PARTS.items():
        for seed in range(options.seeds):
            experiment = Experiment(
                agent,
                _TASK,
                config=_LEARNERS[agent],
                dataset=str(path),
                dataset_memory=part,
                seed=seed,
                max_steps=0,
                max_updates=options.updates,
                eval_every=options.updates,
                eval_episodes=20,
            )
            found = common.train(experiment, options.runs / f"{agent}-{name}-{options.updates}-{seed}")
            returns[name].append(float(found["episode_return"][-1]))
    cells = [f"{np.mean(each):.1f} ({min(each):.1f} to {max(each):.1f})" for each in returns.values()]
    report.row(f"{_TASK}, sorted by quality", agent, *cells, *[""] * 7)


def _save_sorted(path: pathlib.Path) -> None:
    """Writes episodes of `probe:reach`: 400 of random actions, and then 400 of the best ones."""
    rng = np.random.default_rng(0)
    experiment = Experiment("bc", _TASK, max_updates=1)
    environment = experiment.make_environment("actor")
    episodes = []
    for number in range(800):
        timesteps, actions = [environment.reset()], []
        while not timesteps[-1].last():
            best = np.clip(-10 * timesteps[-1].observation, -1, 1)
            actions.append((rng.uniform(-1, 1, 2) if number < 400 else best).astype(np.float32))
            timesteps.append(environment.step(actions[-1]))
        observation, action = np.stack([each.observation for each in timesteps]), np.stack(actions)
        reward = np.stack([each.reward for each in timesteps[1:]])
        discount = np.stack([each.discount for each in timesteps[1:]])
        episodes.append(Trajectory(observation, action, reward, discount))
    datasets.save(path, episodes, experiment.environment_spec(), environment=_TASK, policy="half random")


if __name__ == "__main__":
    main()
