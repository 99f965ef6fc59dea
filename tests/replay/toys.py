"""Replay servers, episodes to write, and the transitions that a plain reading of the episodes gives."""

import contextlib
import functools
import pathlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import dm_env
import numpy as np
import reverb

from acme_agents.core.experience import Sequences, Transitions
from acme_agents.core.interfaces import ReplaySpec
from acme_agents.core.types import ArraySpec, Step
from acme_agents.replay import chunks, tables
from acme_agents.replay.reverb_transport import ReverbReceiver, ReverbSender
from acme_agents.replay.writer import ChunkWriter, make_id

STEPS = Step(
    observation=ArraySpec((2,)),
    action=ArraySpec((1,)),
    reward=ArraySpec(()),
    discount=ArraySpec(()),
    last=ArraySpec((), "bool"),
)
REPLAY = ReplaySpec(Transitions(3, 0.9), batch_size=8, min_size=40, max_size=1000, samples_per_insert=2.0)
SEQUENCES = ReplaySpec(
    Sequences(length=6, period=3),
    batch_size=8,
    min_size=10,
    max_size=200,
    samples_per_insert=2.0,
    priority_exponent=0.5,
    drawn_by="server",
)


class Episode(NamedTuple):
    """An episode of L steps."""

    observations: np.ndarray  # [L + 1, 2]: the episode's number, and t
    actions: np.ndarray  # [L, 1]
    rewards: np.ndarray  # [L]
    discounts: np.ndarray  # [L]


def episode(number: int, length: int, *, final_discount: float = 0.0) -> Episode:
    """Random actions, rewards and discounts; everything float32."""
    rng = np.random.default_rng((number, length))
    observations = np.stack([np.full(length + 1, number), np.arange(length + 1)], axis=1)
    discounts = rng.uniform(0.5, 1, length)
    discounts[-1] = final_discount
    arrays = observations, rng.normal(size=(length, 1)), rng.normal(size=length), discounts
    return Episode(*(array.astype(np.float32) for array in arrays))


def episodes(num: int, max_length: int, *, seed: int = 0) -> list[Episode]:
    """Episodes of random lengths, half of them terminations and half truncations."""
    rng = np.random.default_rng(seed)
    return [
        episode(number, int(rng.integers(1, max_length + 1)), final_discount=float(rng.integers(2)))
        for number in range(num)
    ]


def timesteps(e: Episode) -> Iterator[dm_env.TimeStep]:
    yield dm_env.restart(e.observations[0])
    for t, (reward, discount) in enumerate(zip(e.rewards, e.discounts), start=1):
        step_type = dm_env.StepType.LAST if t == len(e.rewards) else dm_env.StepType.MID
        yield dm_env.TimeStep(step_type, reward, discount, e.observations[t])


def write(writer: ChunkWriter, e: Episode, num_steps: int | None = None) -> None:
    """Writes the episode, or its first steps."""
    steps = timesteps(e)
    writer.observe_first(next(steps))
    for action, timestep in list(zip(e.actions, steps))[:num_steps]:
        writer.observe(action, timestep)


def transitions(e: Episode, n: int, gamma: float) -> dict[tuple, tuple]:
    """(number, t) -> action, n-step reward, discount and next observation, computed step by step in float64."""
    result = {}
    for t in range(len(e.rewards)):
        reward, factor, i = 0.0, 1.0, t
        while i < min(t + n, len(e.rewards)):
            reward += factor * float(e.rewards[i])
            factor *= gamma * float(e.discounts[i])
            i += 1
        result[tuple(e.observations[t])] = (e.actions[t], reward, factor, e.observations[i])
    return result


class Replay:
    """Who talks to a replay server."""

    def __init__(
        self, port: int, replay: ReplaySpec = REPLAY, steps: Step = STEPS, directory: pathlib.Path = pathlib.Path()
    ):
        self.directory = directory
        self.address, self.replay, self.steps = f"localhost:{port}", replay, steps
        self.client = reverb.Client(self.address)
        self.structure = chunks.empty(steps)

    def writer(self, *, stop: threading.Event | None = None, writer_id: int | None = None, **kwargs) -> ChunkWriter:
        sender = ReverbSender(self.client, stop or threading.Event(), **kwargs)
        return ChunkWriter(sender, self.steps, self.replay.experience, writer_id=writer_id or make_id())

    def receiver(self, counts: dict[str, Any] | None = None) -> ReverbReceiver:
        """A learner's end, new or from what `save` returned."""
        receiver = ReverbReceiver(self.client, self.steps, self.replay, self.directory)
        if counts is not None:
            receiver.restore(counts)
        return receiver

    def cut(self, written: Sequence[Episode]) -> list[chunks.Chunk]:
        """The chunks that a new writer makes of episodes, as the learner gets them."""
        writer, receiver = self.writer(), self.receiver()
        result = []
        for e in written:
            write(writer, e)
            writer.flush()
            result += receiver.poll(10_000)
        writer.close()
        return result

    def size(self, table: str) -> int:
        return self.client.server_info(timeout=5)[table].current_size


@contextlib.contextmanager
def serve(replay: ReplaySpec = REPLAY, steps: Step = STEPS, directory: pathlib.Path | None = None) -> Iterator[Replay]:
    """A replay server with the project's tables, in this process; checkpoints go to `directory`, if it is given."""
    make_tables = functools.partial(tables.make_tables, replay)
    server = reverb.Server(make_tables()) if directory is None else tables.serve(make_tables, directory)
    yield Replay(server.port, replay, steps, directory or pathlib.Path())
    server.stop()
