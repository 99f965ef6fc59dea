"""Samples per insert, by counting."""

import dataclasses
import math

import numpy as np
import pytest

from acme_agents.replay.rate import RateControl
from tests.replay import toys

REPLAY = dataclasses.replace(toys.REPLAY, batch_size=8, min_size=40, samples_per_insert=2.0)


def test_nothing_is_sampled_before_min_size_and_then_two_for_each_insertion():
    rate = RateControl(REPLAY, tolerance=100)
    updates = []
    for rate.inserted in (0, 40, 43, 44, 47, 48, 60):
        updates.append(rate.updates_allowed())
    assert updates == [0, 0, 0, 1, 1, 2, 5]  # 8 are owed for 4 insertions more than 40
    rate.sampled = 32
    assert rate.updates_allowed() == 1


def test_room_is_what_may_come_in_before_the_tolerance_is_owed():
    rate = RateControl(REPLAY, tolerance=100)
    assert rate.room() == 40 + 50  # 100 are owed for 50 insertions more than 40
    rate.inserted = 40 + 50
    assert rate.room() == 0
    rate.inserted = 40 + 51
    assert rate.room() == 0
    rate.sampled = 8
    assert rate.room() == 3


def test_having_sampled_too_much_allows_no_update():
    """As after the replay server lost what came since its checkpoint."""
    rate = RateControl(REPLAY, tolerance=100)
    rate.inserted, rate.sampled = 60, 400
    assert (rate.updates_allowed(), rate.room()) == (0, (100 - 40 + 400) / 2)


def test_the_measured_ratio():
    rate = RateControl(REPLAY, tolerance=100)
    assert math.isnan(rate.samples_per_insert())
    rate.inserted = 40
    assert math.isnan(rate.samples_per_insert())
    rate.inserted, rate.sampled = 50, 16
    assert rate.samples_per_insert() == 1.6


@pytest.mark.parametrize("ratio", [0.1, 0.25, 1.0, 7.3, 64.0])
def test_the_line_is_never_crossed_and_never_left_by_a_batch(ratio):
    replay = dataclasses.replace(REPLAY, samples_per_insert=ratio)
    rate = RateControl(replay, tolerance=1e9)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        rate.inserted += int(rng.integers(1, 33))
        rate.sampled += replay.batch_size * rate.updates_allowed()
        line = max(0.0, ratio * (rate.inserted - replay.min_size))
        assert line - replay.batch_size < rate.sampled <= line
