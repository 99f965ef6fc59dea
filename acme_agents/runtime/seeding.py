"""Python's and NumPy's global generators, which many people's environments draw from: seeded for each worker."""

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
    """Within it the global generators are seeded so; after it they go on as if nothing had been drawn from them."""
    before = random.getstate(), np.random.get_state()
    seed_generators(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
