"""Trains small agents on one device and on four, and goes on with one; `test_divided.py` starts this.

It writes a JSON line for each agent: see `_compare`.
"""

import dataclasses
import json
import pathlib
import sys

import jax
import numpy as np

from acme_agents.agents import ppo, r2d2, sac
from acme_agents.core import checkpoint
from acme_agents.experiments import Experiment, making
from acme_agents.launch import run
from acme_agents.runtime import training_session
from acme_agents.runtime.learner import Learner

_NUM_DEVICES = 4
_SAC = Experiment(
    "sac",
    "probe:reach",
    config=sac.Config(policy_layers=(16,), critic_layers=(16,), batch_size=16, min_replay_size=64),
)
_R2D2 = Experiment(
    "r2d2",
    "probe:memory",
    config=r2d2.Config(
        torso_layers=(8,), lstm_size=8, head_layers=(8,), burn_in_length=2, trace_length=4, sequence_period=4,
        batch_size=16, min_replay_size=50, max_replay_size=200, samples_per_insert=16.0,
    ),
)  # fmt: skip
_PPO = Experiment(
    "ppo",
    "probe:reach",
    config=ppo.Config(
        policy_layers=(16,), value_layers=(16,), unroll_length=8, batch_size=8, num_minibatches=2, num_epochs=2
    ),
)
_learners: list[Learner] = []
_batches: list[object] = []  # the form of each batch that an update was traced for


class _Kept(Learner):
    """A learner that can be looked at after its run."""

    def __init__(self, core, *args):
        super().__init__(core, *args)
        _learners.append(self)


def _num_devices(arrays) -> list[int]:
    """The numbers of devices that hold an array, each of which must hold it whole."""
    leaves = jax.tree.leaves(arrays)
    assert all(leaf.sharding.is_fully_replicated for leaf in leaves)
    return sorted({len(leaf.sharding.device_set) for leaf in leaves})


def _noting_batches(make_learner):
    """`make_learner`, of learners whose updates note what they are traced for."""

    def make(experiment):
        core = make_learner(experiment)

        def update(state, batch):
            _batches.append(jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), batch))
            return core.update(state, batch)

        return core._replace(update=update)

    return make


def _flops(experiment: Experiment) -> float:
    """Of an update, on each device."""
    core = making.make_learner(experiment)
    state = jax.eval_shape(core.init, jax.random.PRNGKey(0))
    return jax.jit(core.update).lower(state, _batches[-1]).compile().cost_analysis()["flops"]


def _saved(run_dir: pathlib.Path) -> tuple[int, list[np.ndarray]]:
    """The newest checkpoint's update and its leaves."""
    newest = checkpoint.steps(run_dir / checkpoint.DIRECTORY)[-1]
    with np.load(run_dir / checkpoint.DIRECTORY / f"{newest:012d}.npz") as archive:
        return newest, [archive[name].astype(float) for name in archive.files if name.isdigit()]


def _compare(experiment: Experiment, directory: pathlib.Path) -> dict[str, object]:
    """Trains on one device and on all.

    Returns:
      The updates done; the largest difference of a number of the training state; the FLOPs of a device's part of an
      update, over those of an update; and how many devices held the training state and the replay.
    """
    experiment = dataclasses.replace(experiment, max_steps=None, max_updates=24, eval_every=0, seed=1)
    divided = dataclasses.replace(experiment, learner_devices=_NUM_DEVICES)
    run(experiment, run_dir=directory / "one")
    run(divided, run_dir=directory / "all")
    learner = _learners[-1]
    sources = getattr(learner.replay, "_sources", {}).values()
    (updates, one), (_, all_devices) = _saved(directory / "one"), _saved(directory / "all")
    return {
        "agent": experiment.agent,
        "updates": updates,
        "difference": max(float(np.max(np.abs(x - y))) for x, y in zip(one, all_devices, strict=True)),
        "part": _flops(divided) / _flops(experiment),
        "state": _num_devices(learner._state),
        "replay": _num_devices([(source.state, source.priorities) for source in sources]),
    }


def main() -> None:
    jax.config.update("jax_disable_most_optimizations", True)  # What is compared is no less split.
    directory = pathlib.Path(sys.argv[1])
    training_session.Learner = _Kept
    making.make_learner = _noting_batches(making.make_learner)
    for experiment in (_SAC, _R2D2, _PPO):
        print(json.dumps(_compare(experiment, directory / experiment.agent)), flush=True)
    longer = dataclasses.replace(_SAC, max_steps=None, max_updates=32, eval_every=0, seed=1)
    run(longer, run_dir=directory / "sac" / "all", resume=True)
    updates, leaves = _saved(directory / "sac" / "all")
    finite = all(np.isfinite(leaf).all() for leaf in leaves)
    print(json.dumps({"continued": updates, "finite": finite, "state": _num_devices(_learners[-1]._state)}))


if __name__ == "__main__":
    main()
