"""Trains small agents on one device and on four, and continues a run of four on one; `test_divided.py` starts this.

It writes a JSON line for each agent: see `_compare`.
"""

import dataclasses
import json
import pathlib
import sys

import jax
import numpy as np

from acme_agents.agents import ppo, r2d2, sac
from acme_agents.core import checkpoint, computing
from acme_agents.experiments import Experiment, making
from acme_agents.launch import run
from acme_agents.runtime import learner as learner_lib
from acme_agents.runtime import training_session

_NUM_DEVICES = 4
_EXPERIMENTS = (
    Experiment(
        "sac",
        "probe:reach",
        config=sac.Config(policy_layers=(16,), critic_layers=(16,), batch_size=16, min_replay_size=64),
    ),
    Experiment(
        "r2d2",
        "probe:memory",
        config=r2d2.Config(
            torso_layers=(8,), lstm_size=8, head_layers=(8,), burn_in_length=2, trace_length=4, sequence_period=4,
            batch_size=16, min_replay_size=50, max_replay_size=200, samples_per_insert=16.0,
        ),
    ),
    Experiment(
        "ppo",
        "probe:reach",
        config=ppo.Config(
            policy_layers=(16,), value_layers=(16,), unroll_length=8, batch_size=8, num_minibatches=2, num_epochs=2
        ),
    ),
)  # fmt: skip
_LEARNERS: list[learner_lib.Learner] = []


class _Kept(learner_lib.Learner):
    """A learner that can be looked at after its run."""

    def __init__(self, *args):
        super().__init__(*args)
        _LEARNERS.append(self)


def _whole(arrays) -> list[int]:
    """On how many devices arrays are, each of them whole; the numbers that occur."""
    leaves = jax.tree.leaves(arrays)
    assert all(leaf.sharding.is_fully_replicated for leaf in leaves)
    return sorted({len(leaf.sharding.device_set) for leaf in leaves})


def _state(run_dir: pathlib.Path) -> tuple[int, list[np.ndarray]]:
    """The newest checkpoint's update and leaves."""
    (newest,) = checkpoint.steps(run_dir / checkpoint.DIRECTORY)[-1:]
    with np.load(run_dir / checkpoint.DIRECTORY / f"{newest:012d}.npz") as archive:
        return newest, [archive[name] for name in archive.files if name.isdigit()]


def _compare(experiment: Experiment, directory: pathlib.Path) -> dict[str, object]:
    """Trains on one device and on all.

    Returns:
      The updates done, the largest difference of any number of the training state, the devices that held the state and
      the replay, and the updates after the run of many devices was continued on one.
    """
    experiment = dataclasses.replace(experiment, max_steps=None, max_updates=24, eval_every=0, seed=1)
    divided = dataclasses.replace(experiment, learner_devices=_NUM_DEVICES)
    run(experiment, run_dir=directory / "one")
    run(divided, run_dir=directory / "many")
    learner = _LEARNERS[-1]
    sources = getattr(learner.replay, "_sources", {}).values()
    (updates, one), (_, many) = _state(directory / "one"), _state(directory / "many")
    longer = dataclasses.replace(experiment, max_updates=32)
    run(longer, run_dir=directory / "many", resume=True)
    return {
        "agent": experiment.agent,
        "updates": updates,
        "difference": max(float(np.max(np.abs(x.astype(float) - y))) for x, y in zip(one, many, strict=True)),
        "moved": max(float(np.max(np.abs(x.astype(float) - y))) for x, y in zip(one, _state(directory / "many")[1])),
        "state": _whole(learner._state),
        "replay": _whole([(source.state, source.priorities) for source in sources]),
        "continued": [_state(directory / "many")[0], _whole(_LEARNERS[-1]._state)],
    }


def main() -> None:
    jax.config.update("jax_disable_most_optimizations", True)
    training_session.Learner = _Kept
    for experiment in _EXPERIMENTS:
        if len(sys.argv) < 3 or experiment.agent in sys.argv[2:]:
            print(json.dumps(_compare(experiment, pathlib.Path(sys.argv[1]) / experiment.agent)), flush=True)


if __name__ == "__main__":
    main()
