"""Sends parameters from the learner to actors, as numbered snapshots that are serialised once."""

import math
import os
import pickle
import threading
import time
from typing import NamedTuple

import jax
import numpy as np

from acme_agents.core.types import Params

# Of parameters, that a learner's process hands to all actors together. To send one MB and to take it in takes 1.5 ms
# of a core (benchmarks/scaling.py). Where actors share the learner's cores, each of its updates waits for whichever
# core they keep from it: what a few of them take, they take from all.
BYTES_PER_SECOND = 5e6 * len(os.sched_getaffinity(0))


class Snapshot(NamedTuple):
    """Parameters at one moment, on the wire."""

    version: int  # the learner's update count
    payload: bytes  # `unpack` makes the parameters of it


class Publisher:
    """Holds the newest snapshot; one thread publishes, any number of threads ask.

    The bytes sent to actors are bounded, so that large networks and many actors do not slow the learner down: each of
    `num_actors` actors has a turn every `num_actors * size / bytes_per_second` seconds, and the turns are spread over
    that time. Actors ask every half second, or less often if there are many (`workers.sync_seconds`); if that is
    longer than a turn, nothing is held back.
    """

    def __init__(self, num_actors: int = 1, bytes_per_second: float = math.inf):
        """Initialises with nothing published.

        Args:
          num_actors: that ask.
          bytes_per_second: to hand to all of them together; no bound if left out.
        """
        self._num_actors = num_actors
        self._bytes_per_second = bytes_per_second
        self._lock = threading.Lock()
        self._snapshots: tuple[Snapshot, ...] = ()  # the newest one, once there is one
        self._published_at = -math.inf
        self._turns: dict[str, float] = {}  # actor's name -> when its next turn begins

    def publish(self, version: int, params: Params) -> None:
        """Makes a snapshot of the parameters, which may be overwritten afterwards."""
        snapshot = Snapshot(version, pickle.dumps(jax.tree.map(np.asarray, params), protocol=5))
        with self._lock:
            self._snapshots = (snapshot,)
        self._published_at = time.monotonic()

    def is_due(self) -> bool:
        """Whether any actor could receive another snapshot by now; before that it is not worth copying one."""
        return time.monotonic() >= self._published_at + self._seconds()

    def newest(self, but: int | None = None) -> tuple[Snapshot, ...]:
        """The newest snapshot; nothing if there is none yet, or if it is of the version `but`."""
        with self._lock:
            return tuple(snapshot for snapshot in self._snapshots if snapshot.version != but)

    def take_turn(self, name: str, version: int | None) -> tuple[Snapshot, ...]:
        """The newest snapshot, if it is this actor's turn; an actor that has no version yet need not wait for one."""
        snapshots = self.newest(but=version)
        period, now = self._num_actors * self._seconds(), time.monotonic()
        if not snapshots or not period:
            return snapshots
        with self._lock:
            if name not in self._turns:  # The golden ratio spreads any number of actors evenly.
                self._turns[name] = now + period * ((len(self._turns) + 1) * 0.618034 % 1)
            elif now >= self._turns[name]:
                # From the turn that it was, so that the turns stay spread; unless whole ones were missed.
                self._turns[name] += period * max(1, math.ceil((now - self._turns[name]) / period))
                return snapshots
        return snapshots if version is None else ()

    def _seconds(self) -> float:
        """Seconds that sending one snapshot may take: its size over the limit."""
        return sum(len(snapshot.payload) for snapshot in self._snapshots) / self._bytes_per_second


def unpack(snapshot: Snapshot) -> Params:
    """The parameters of a snapshot, as NumPy arrays."""
    return pickle.loads(snapshot.payload)
