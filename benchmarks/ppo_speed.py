"""Environment steps a second of PPO in one process, beside SBX's PPO and Stable-Baselines3's, all in one run.

8 environments, 256 steps of each to a batch, 10 epochs of minibatches of 64, two tanh networks of 64 and 64 units, no
normalisation and no clipping of values; torch has one thread. Everything that training does is in the figures, acting,
updates and logs; but not compilation, and there are no evaluations. Ours acts as `--launcher in-process` does, with
`--environments-per-actor 8`.

It takes Python 3.11 or newer and an environment of its own, in which all three run on the same JAX:

    python3.11 -m venv .venv-peers
    .venv-peers/bin/pip install . sbx-rl stable-baselines3 'gymnasium[classic-control,mujoco]'
    .venv-peers/bin/python benchmarks/ppo_speed.py --output benchmarks/results/ppo_speed.md

Reading it: the ratios are medians over rounds of the ratio within a round, of steps per second and of steps per second
of CPU, of which other work on the machine changes less. Target: ours / SBX >= 1.5.
"""

import functools
import pathlib
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import common
import flax.linen
import gymnasium
import sbx
import stable_baselines3
import torch
from stable_baselines3.common.vec_env import DummyVecEnv

from acme_agents.agents import ppo
from acme_agents.experiments import Experiment
from acme_agents.runtime import in_process
from acme_agents.runtime.status import Status

_ENVIRONMENTS = 8
_STEPS = 256  # of each environment, to a batch
_BATCH = _ENVIRONMENTS * _STEPS
_LAYERS = (64, 64)
_CONFIG = ppo.Config(
    policy_layers=_LAYERS,
    value_layers=_LAYERS,
    unroll_length=_STEPS,
    batch_size=_ENVIRONMENTS,
    num_epochs=10,
    num_minibatches=_BATCH // 64,
    value_clip=None,
    normalise_observations=False,
    normalise_rewards=False,
)


class Speed(NamedTuple):
    """Environment steps."""

    per_second: float
    per_cpu_second: float  # of all threads of this process


class Moment(NamedTuple):
    """A moment of a run."""

    seconds: float
    cpu_seconds: float
    num_steps: int

    def since(self, before: "Moment") -> Speed:
        """The speed from another moment to this one."""
        num_steps = self.num_steps - before.num_steps
        return Speed(num_steps / (self.seconds - before.seconds), num_steps / (self.cpu_seconds - before.cpu_seconds))


def _now(num_steps: int) -> Moment:
    return Moment(time.monotonic(), time.process_time(), num_steps)


def measure(
    task: str, num_steps: int, num_rounds: int, peers: Mapping[str, Callable[[], Speed]]
) -> dict[str, list[Speed]]:
    """Trains with ours, which pauses after each round for a round of every peer; returns the speeds by round."""
    experiment = Experiment(
        "ppo", f"gym:{task}", config=_CONFIG, environments_per_actor=_ENVIRONMENTS, max_steps=None, max_updates=10**6,
        eval_every=0,
    )  # fmt: skip
    found: dict[str, list[Speed]] = {name: [] for name in ("ours", *peers)}
    stop = threading.Event()
    begun: list[Moment] = []  # of the round that goes on

    def on_status(status: Status) -> None:
        if not status.learner_steps or stop.is_set():  # Before the first update it compiles.
            return
        if not begun:
            begun.append(_now(status.actor_steps))
        if status.actor_steps - begun[0].num_steps < num_steps:
            return
        found["ours"].append(_now(status.actor_steps).since(begun[0]))
        for name, peer in peers.items():
            found[name].append(peer())
        begun[0] = _now(status.actor_steps)
        if len(found["ours"]) == num_rounds:
            stop.set()

    with tempfile.TemporaryDirectory() as run_dir:
        in_process.run(experiment, pathlib.Path(run_dir), stop=stop, on_status=on_status)
    return found


def make_peer(algorithm: Any, task: str, num_steps: int, **policy: Any) -> Callable[[], Speed]:
    """A function that trains another library's PPO and returns its speed; its first batch is done here."""
    environments = DummyVecEnv([functools.partial(gymnasium.make, task) for _ in range(_ENVIRONMENTS)])
    layers = {"pi": list(_LAYERS), "vf": list(_LAYERS)}
    model = algorithm(
        "MlpPolicy",
        environments,
        n_steps=_STEPS,
        batch_size=64,
        n_epochs=10,
        policy_kwargs={"net_arch": layers, **policy},
    )
    model.learn(_BATCH)

    def train() -> Speed:
        begun = _now(0)
        model.learn(num_steps, reset_num_timesteps=False)
        return _now(num_steps).since(begun)

    return train


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--tasks", default=["CartPole-v1", "HalfCheetah-v5"], nargs="+", help="of Gymnasium")
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--batches", default=8, type=int, help=f"of {_BATCH:,} steps, in a round")
    options = parser.parse_args()
    columns = ["task", "ours, steps/s by round", "SBX", "Stable-Baselines3"]
    columns += ["ours / SBX", "ours / Stable-Baselines3", "per second of CPU: ours / SBX", "ours / Stable-Baselines3"]
    torch.set_num_threads(1)  # Networks of this size are slower with more, and threads that wait for each other spin.
    report = common.Report(f"PPO in one process, {_ENVIRONMENTS} environments", columns)
    num_steps = options.batches * _BATCH
    for task in options.tasks:
        peers = {
            "SBX": make_peer(sbx.PPO, task, num_steps, activation_fn=flax.linen.tanh),
            "SB3": make_peer(stable_baselines3.PPO, task, num_steps),
        }
        found = measure(task, num_steps, options.rounds, peers)
        rounds = [", ".join(f"{speed.per_second:,.0f}" for speed in speeds) for speeds in found.values()]
        ratios = [
            common.median_ratio([speed[i] for speed in found["ours"]], [speed[i] for speed in found[peer]])
            for i in range(len(Speed._fields))
            for peer in ("SBX", "SB3")
        ]
        report.row(task, *rounds, *ratios)
        print(report.markdown(), flush=True)
    packages = common.versions("sbx-rl", "stable-baselines3", "torch", "gymnasium")
    report.note(f"{options.batches} batches of {_BATCH:,} steps in a round; {packages}.")
    report.finish(options.output)


if __name__ == "__main__":
    main()
