"""Python's and NumPy's global generators, which many environments draw from, seeded for each worker."""

import contextlib
import random
from collections.abc import Iterator

import numpy as np


def seed_generators(seed: int) -> None:
    """Seeds the global generators of this process; 0 <= seed < 2^32."""
    random.seed(seed)
    np.random.seed(seed)


@contextlib.contextmanager
def own_generators(seed: int) -> Iterator[None]:
    """A context in which the global generators have this seed; afterwards they continue as if it had not been."""
    before = random.getstate(), np.random.get_state()
    seed_generators(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
