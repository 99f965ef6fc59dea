"""Sequences: how near does the prioritised path come to Reverb's own limit of sampling? (specs 4)

A Reverb server in another process holds sequences that uniformly random actions made. Four readers take turns to draw
batches of 32 from the same table, by priority:

  ours     replay.ChunkSampler as the learner uses it: each batch is drawn ahead, stacked, and its new priorities are
           written back
  limit    Reverb's sampler, the one that `ours` draws with: what a batch holds is drawn, and let go at once; nothing is
           written back
  dataset  reverb.TrajectoryDataset in batches of the same size, as NumPy arrays; nothing is written back
  client   reverb.Client.sample, one call for each batch, not stacked; nothing is written back

    python benchmarks/sequences.py --output benchmarks/results/sequences.md

Reading it: `ours / limit` is what is left of Reverb's own rate after stacking in Python and writing priorities back;
`ours` does this in a thread of its own, while Reverb's threads draw on. `dataset` is what Reverb's authors advise for
training, and does all of its work in C++ threads. Ratios are medians over rounds of the ratio within a round. On two
cores the server shares them with the reader. An update of R2D2 takes 32 sequences: what a learner needs is 32 times its
updates per second.
"""

import contextlib
import functools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import common
import numpy as np
import reverb

from acme_agents.agents import r2d2
from acme_agents.experiments import Experiment, making
from acme_agents.replay import chunks, tables, writer
from acme_agents.replay.sampler import ChunkSampler
from acme_agents.runtime import replay_server

_READERS = ("ours", "limit", "dataset", "client")
_BATCH = 32
_TIMEOUT = 60.0  # seconds for a batch
_WARM_UP = 8  # batches: more than any reader draws ahead
# Label -> environment, T, sequences in the table and batches that a reader draws in a round.
_CASES = {
    "T = 21, 3 x 3 cells": ("key-door:8", 21, 2_000, 300),
    "T = 81, 84 x 84 x 4 pixels": ("ale:Pong", 81, 100, 5),
}


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--repeats", default=7, type=int, help="rounds")
    options = parser.parse_args()
    report = common.Report(
        "Prioritised path, sequences per second",
        ["sequences", "KiB each", *_READERS, *(f"ours / {name}" for name in _READERS[1:])],
    )
    for label, (environment, num_rows, num_sequences, num_batches) in _CASES.items():
        experiment = Experiment(
            agent="r2d2",
            environment=environment,
            config=r2d2.Config(
                burn_in_length=0,
                trace_length=num_rows - 1,
                sequence_period=(num_rows - 1) // 2,
                batch_size=_BATCH,
                initial_state="zero",
            ),
        )
        with _contestants(experiment, num_sequences, num_batches) as (contestants, nbytes):
            rates = common.interleave(contestants, options.repeats)
        report.row(
            label,
            nbytes / 2**10,
            *(statistics.median(rates[name]) for name in _READERS),
            *(common.median_ratio(rates["ours"], rates[name]) for name in _READERS[1:]),
        )
    report.note(
        f"Medians of {options.repeats} interleaved rounds; sizes are of the arrays, before Reverb's compression."
    )
    report.finish(options.output)


@contextlib.contextmanager
def _contestants(
    experiment: Experiment, num_sequences: int, num_batches: int
) -> Iterator[tuple[dict[str, Callable[[], float]], int]]:
    """The readers of a filled table, each a function that returns its sequences per second; and a sequence's bytes."""
    agent, spec = making.make_agent(experiment), experiment.environment_spec()
    steps, replay = chunks.step_spec(agent, spec), making.replay_spec(experiment, spec)
    with common.reverb_server(replay_server.make_tables, experiment) as (address, _):
        client = reverb.Client(address)
        _fill(experiment, common.chunk_writer(address, agent, spec, into=(tables.REPLAY,)), num_sequences)
        columns = next(client.sample(tables.REPLAY, 1, emit_timesteps=False)).data
        sampler = ChunkSampler(client, steps, replay, seed=0)
        rng = np.random.default_rng(0)

        def ours() -> None:
            drawn = sampler.next(_TIMEOUT)
            if drawn is None:
                raise TimeoutError(f"No batch came in {_TIMEOUT} seconds.")
            sampler.prioritise(drawn, rng.random(_BATCH, np.float32) + 0.5)

        def draw() -> None:
            for _ in range(_BATCH):
                limit.GetNextTrajectory()

        limit = client._client.NewSampler(tables.REPLAY, 2**60, _BATCH)
        readers = {
            "ours": ours,
            "limit": draw,
            "dataset": functools.partial(next, _dataset(address, columns)),
            "client": lambda: list(client.sample(tables.REPLAY, _BATCH, emit_timesteps=False)),
        }

        def rate(read: Callable[[], Any]) -> float:
            for _ in range(_WARM_UP):  # It may have drawn these ahead while it was not its turn.
                read()
            began = time.perf_counter()
            for _ in range(num_batches):
                read()
            return num_batches * _BATCH / (time.perf_counter() - began)

        try:
            yield (
                {name: lambda read=read: rate(read) for name, read in readers.items()},
                sum(column.nbytes for column in columns),
            )
        finally:
            sampler.close()
            limit.Close()


def _fill(experiment: Experiment, chunk_writer: writer.ChunkWriter, num_sequences: int) -> None:
    """Writes sequences of uniformly random actions."""
    environment, rng = experiment.make_environment("actor"), np.random.default_rng(0)
    num_actions = environment.action_spec().num_values
    timestep = None
    while chunk_writer.num_chunks < num_sequences:
        if timestep is None or timestep.last():
            timestep = environment.reset()
            chunk_writer.observe_first(timestep)
        action = np.int32(rng.integers(num_actions))
        timestep = environment.step(action)
        chunk_writer.observe(action, timestep)
    chunk_writer.flush()
    chunk_writer.close()


def _dataset(address: str, columns: list[np.ndarray]) -> Iterator[Any]:
    """Batches of the table, whose columns are such arrays."""
    import tensorflow as tf

    dataset = reverb.TrajectoryDataset(
        address,
        tables.REPLAY,
        dtypes=tuple(tf.as_dtype(column.dtype) for column in columns),
        shapes=tuple(tf.TensorShape(column.shape) for column in columns),
        max_in_flight_samples_per_worker=2 * _BATCH,
    )
    return dataset.batch(_BATCH, drop_remainder=True).prefetch(1).as_numpy_iterator()


if __name__ == "__main__":
    main()
