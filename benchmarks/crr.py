"""CRR offline: the time of an update in our learner, and of d3rlpy's, another library's.

Both have two ReLU layers of 256, batches of 256, a critic of the expected return, a Gaussian policy, four of its
actions for the advantage, and the weight exp, on a dataset of random steps of HalfCheetah's sizes (17 observations, 6
actions). They take turns; d3rlpy is a process of its own, which waits while it is not its turn:

  bare            jitted `core.update`, 16 times in a `fori_loop`, on one batch that lies on the device
  gather          `replay.device_replay.make_update`: the same, each batch drawn from the dataset's store
  end2end         `TrainingSession.step()` of an offline run: updating, reporting, logging and publishing parameters
  bare, LayerNorm `bare` with the layers that our agent has by default: LayerNorm and tanh after the first, then ELU
  d3rlpy update   `CRR.update` on one batch
  d3rlpy fit      `CRR.fit` as a run has it, but for its progress bar and files: sampling, updating, keeping the metrics

    make bench-setup
    python benchmarks/crr.py --output benchmarks/results/crr.md

Ratios are medians over rounds of one time over the other, within a round. Ours clips gradients, which d3rlpy does not.
d3rlpy can compile its update for CUDA alone.
"""

import contextlib
import functools
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

import common
import h5py
import haiku as hk
import jax
import learner
import numpy as np

from acme_agents.agents.crr import config as crr_config
from acme_agents.core import torsos
from acme_agents.core.interfaces import DATASET
from acme_agents.core.types import EnvironmentSpec, Trajectory
from acme_agents.experiments import Experiment, making
from acme_agents.replay import chunks, ring
from acme_agents.runtime import replays
from acme_agents.runtime.training_session import TrainingSession

_ENVIRONMENT = "control:cheetah:run"  # has HalfCheetah's sizes: 17 observations, 6 actions
_LAYERS = (256, 256)
_CONFIG = crr_config.Config(
    critic="scalar", policy="gaussian", weight="exp", baseline="mean", policy_layers=_LAYERS, critic_layers=_LAYERS
)
_EPISODE_LENGTH = 1000
_PYTHON = pathlib.Path(__file__).parents[1] / ".venv-d3rlpy/bin/python"
_NAMES = ("bare", "gather", "end2end", "bare, LayerNorm", "d3rlpy update", "d3rlpy fit")
_RATIOS = (("bare", "end2end"), ("d3rlpy update", "bare"), ("d3rlpy fit", "end2end"))


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--repeats", default=7, type=int, help="rounds")
    parser.add_argument("--seconds", default=3.0, type=float, help="that each contestant takes in a round, about")
    parser.add_argument("--dataset", default=1_000_000, type=int, help="transitions in the dataset")
    options = parser.parse_args()
    if not _PYTHON.exists():
        parser.error("there is no .venv-d3rlpy yet: make bench-setup")
    threads = len(os.sched_getaffinity(0))
    with _contestants(options.dataset, threads, options.seconds) as (contestants, versions):
        results = common.interleave(contestants, options.repeats)
    report = common.Report(
        "CRR, milliseconds per update", [*_NAMES, *(f"{numerator} / {other}" for numerator, other in _RATIOS)]
    )
    report.row(
        *(statistics.median(results[name]) for name in _NAMES),
        *(common.median_ratio(results[numerator], results[other]) for numerator, other in _RATIOS),
    )
    report.note(
        f"Medians of {options.repeats} interleaved rounds of about {options.seconds:g} s each, on "
        f"{jax.devices()[0].platform}, {threads} threads each; {options.dataset:,} transitions in the dataset; "
        f"{versions}."
    )
    report.finish(options.output)


@contextlib.contextmanager
def _contestants(
    num_transitions: int, threads: int, seconds: float
) -> Iterator[tuple[dict[str, Callable[[], float]], str]]:
    """Functions that measure for about `seconds` and return milliseconds per update; and d3rlpy's version."""
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        path = directory / "random.hdf5"
        experiment = Experiment(
            "crr",
            _ENVIRONMENT,
            dataset=str(path),
            config=_CONFIG,
            max_steps=0,
            max_updates=10**9,
            eval_every=0,
            checkpoint_seconds=1e9,
        )
        agent, spec = making.make_agent(experiment), experiment.environment_spec()
        core, replay = agent.learner(spec), making.replay_spec(experiment, spec)
        trajectories = _random_trajectories(spec, num_transitions)
        _write_d4rl(path, trajectories)
        held = ring.from_trajectories(chunks.step_spec(agent, spec), trajectories, replay.experience)
        batch, _ = ring.sample({DATASET: held}, {}, jax.random.PRNGKey(0), replay)
        plain = learner.measure_updates(core, learner.make_bare_update(core), batch, seconds)
        stack.enter_context(mock.patch.object(torsos, "layer_norm_mlp", _relu_mlp))  # What is compiled from here on.
        run = TrainingSession(experiment, directory, replays.between_processes(None, directory, threading.Event()))
        stack.callback(run.close)
        theirs = stack.enter_context(_D3rlpy(path, threads))
        contestants = {
            "bare": learner.measure_updates(core, learner.make_bare_update(core), batch, seconds),
            "gather": learner.measure_gathering(core, replay, {DATASET: held}, seconds),
            "end2end": functools.partial(learner.end_to_end, run, seconds),
            "bare, LayerNorm": plain,
            "d3rlpy update": functools.partial(theirs.milliseconds, "update", seconds),
            "d3rlpy fit": functools.partial(theirs.milliseconds, "fit", seconds),
        }
        run.step()  # Compiles.
        yield contestants, theirs.versions


def _relu_mlp(inputs: Any, sizes: Sequence[int]) -> Any:
    """d3rlpy's default encoder, in the place of `torsos.layer_norm_mlp`."""
    for size in sizes:
        inputs = jax.nn.relu(hk.Linear(size)(inputs))
    return inputs


def _random_trajectories(spec: EnvironmentSpec, num_transitions: int) -> list[Trajectory]:
    """So many steps at least, in episodes that are cut short."""
    rng, length = np.random.default_rng(0), _EPISODE_LENGTH

    def uniform(*shape: int) -> np.ndarray:
        return rng.uniform(-1, 1, shape).astype(np.float32)

    return [
        Trajectory(
            observation=uniform(length + 1, *spec.observation.shape),
            action=uniform(length, *spec.action.shape),
            reward=uniform(length),
            discount=np.ones(length, np.float32),
        )
        for _ in range(-(-num_transitions // length))
    ]


def _write_d4rl(path: pathlib.Path, trajectories: list[Trajectory]) -> None:
    """Writes episodes that are cut short as a D4RL file."""
    lasts = np.cumsum([len(trajectory.discount) for trajectory in trajectories]) - 1
    with h5py.File(path, "w") as file:
        file["observations"] = np.concatenate([trajectory.observation[:-1] for trajectory in trajectories])
        file["next_observations"] = np.concatenate([trajectory.observation[1:] for trajectory in trajectories])
        file["actions"] = np.concatenate([trajectory.action for trajectory in trajectories])
        file["rewards"] = np.concatenate([trajectory.reward for trajectory in trajectories])
        file["terminals"] = np.zeros(lasts[-1] + 1, bool)
        file["timeouts"] = np.isin(np.arange(lasts[-1] + 1), lasts)


class _D3rlpy:
    """The process in which d3rlpy is; see d3rlpy/serve.py."""

    def __init__(self, dataset: pathlib.Path, threads: int):
        """Starts it, and waits until it is ready."""
        script = pathlib.Path(__file__).parent / "d3rlpy/serve.py"
        self._process = subprocess.Popen(
            [_PYTHON, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        config = {
            "batch_size": _CONFIG.batch_size,
            "n_critics": 1,
            "n_action_samples": _CONFIG.num_action_samples,
            "advantage_type": _CONFIG.baseline,
            "weight_type": _CONFIG.weight,
            "beta": _CONFIG.beta,
            "max_weight": _CONFIG.upper_bound,
            "actor_learning_rate": _CONFIG.policy_learning_rate,
            "critic_learning_rate": _CONFIG.critic_learning_rate,
            "target_update_type": "hard",
            "target_update_interval": _CONFIG.target_update_period,
        }
        self.versions: str = self._ask(
            {"dataset": str(dataset), "threads": threads, "layers": _LAYERS, "config": config}
        )

    def milliseconds(self, contestant: str, seconds: float) -> float:
        """Per update, of "update" or "fit", measured for about `seconds`."""
        return self._ask({"measure": contestant, "seconds": seconds})

    def _ask(self, request: dict[str, Any]) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"d3rlpy's process ended with exit code {self._process.wait()}.")
        return json.loads(answer)

    def __enter__(self) -> "_D3rlpy":
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()


if __name__ == "__main__":
    main()
