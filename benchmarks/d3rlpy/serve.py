"""d3rlpy's CRR in an environment of its own, for benchmarks/crr.py: measures when it is told to.

It reads lines of JSON from stdin and answers each with one on stdout. The first is {"dataset": the path of a D4RL HDF5
file whose episodes are all cut short, "threads": of torch, "layers": of both networks, "config": fields of d3rlpy's
`CRRConfig`}; its answer says the versions. The others are {"measure": "update" or "fit", "seconds": about how long};
their answer is milliseconds per update. `update` is `CRR.update` on one batch. `fit` is what a user calls, without its
progress bar and its files: it samples from the replay buffer, updates and keeps the metrics.
"""

import contextlib
import io
import json
import logging
import os
import sys
import time

import h5py
import numpy as np
import structlog
import torch

with contextlib.redirect_stderr(io.StringIO()):  # What gym prints of itself.
    import d3rlpy

_UPDATES_PER_EPOCH = 100  # of `fit`, which can be stopped between epochs


def main() -> None:
    """Answers until stdin is closed."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Whatever is printed must not get between the answers.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))

    def answer(value: object) -> None:
        print(json.dumps(value), file=answers, flush=True)

    settings = json.loads(sys.stdin.readline())
    torch.set_num_threads(settings["threads"])
    contestants = _contestants(settings)
    answer(f"d3rlpy {d3rlpy.__version__}, torch {torch.__version__}")
    for line in sys.stdin:
        request = json.loads(line)
        step, num_updates, began = contestants[request["measure"]], 0, time.perf_counter()
        while time.perf_counter() - began < request["seconds"]:
            num_updates += step()
        answer(1e3 * (time.perf_counter() - began) / num_updates)


def _contestants(settings):
    """Functions that do some updates, and return how many; they are warm."""
    buffer = _replay_buffer(settings["dataset"])
    encoder = d3rlpy.models.VectorEncoderFactory(hidden_units=settings["layers"])
    config = d3rlpy.algos.CRRConfig(**settings["config"], actor_encoder_factory=encoder, critic_encoder_factory=encoder)
    crr = config.create(device=False)
    epochs = crr.fitter(
        buffer,
        n_steps=10**9,
        n_steps_per_epoch=_UPDATES_PER_EPOCH,
        logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
        show_progress=False,
    )
    batch = buffer.sample_transition_batch(config.batch_size)

    def update() -> int:
        crr.update(batch)
        return 1

    def fit() -> int:
        next(epochs)
        return _UPDATES_PER_EPOCH

    fit()  # Builds the networks.
    update()
    return {"update": update, "fit": fit}


def _replay_buffer(path):
    with h5py.File(path) as file:
        observations, actions, rewards = (file[name][:] for name in ("observations", "actions", "rewards"))
        cuts = np.flatnonzero(file["timeouts"][:])[:-1] + 1
    parts = [np.split(array, cuts) for array in (observations, actions, rewards[:, None])]
    episodes = [d3rlpy.dataset.Episode(*arrays, terminated=False) for arrays in zip(*parts)]
    return d3rlpy.dataset.ReplayBuffer(d3rlpy.dataset.InfiniteBuffer(), episodes=episodes)


if __name__ == "__main__":
    main()
