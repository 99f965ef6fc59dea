"""When a run counts as solved, by hand."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def deep_sea(script):
    return script("deep_sea")


@pytest.mark.parametrize(
    ("found", "in_a_row", "expected"),
    [
        ([0, 1, 1, 0, 1, 1, 1], 3, 4),
        ([0, 1, 1, 0, 1, 1, 1], 2, 1),
        ([1, 1], 2, 0),
        ([0, 1, 1], 3, None),
        ([1, 1, 0, 1, 1], 3, None),
        ([], 1, None),
    ],
)
def test_solved_after_so_many_in_a_row(deep_sea, found, in_a_row, expected):
    assert deep_sea.solved_after(np.array(found, bool), in_a_row) == expected
