"""Parameters on their way from the learner to actors: numbered snapshots, serialised once for all who ask."""

import pickle
import threading
from typing import NamedTuple

import jax
import numpy as np

from acme_agents.core.types import Params


class Snapshot(NamedTuple):
    """Parameters at one moment, on the wire."""

    version: int  # the learner's update count
    payload: bytes  # `unpack` makes the parameters of it


class Publisher:
    """Holds the newest snapshot; one thread publishes, any number ask."""

    def __init__(self) -> None:
        """Initialises with nothing published."""
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None

    def publish(self, version: int, params: Params) -> None:
        """Makes a snapshot of the parameters, which may be overwritten afterwards."""
        snapshot = Snapshot(version, pickle.dumps(jax.tree.map(np.asarray, params), protocol=5))
        with self._lock:
            self._snapshot = snapshot

    def newer_than(self, version: int | None) -> Snapshot | None:
        """The snapshot, if it is another than the one asked with; None otherwise."""
        with self._lock:
            if self._snapshot is None or self._snapshot.version == version:
                return None
            return self._snapshot


def unpack(snapshot: Snapshot) -> Params:
    """The parameters of a snapshot, as NumPy arrays."""
    return pickle.loads(snapshot.payload)
