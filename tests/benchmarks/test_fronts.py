"""The area that a front dominates, by hand."""

import numpy as np
import pytest

from acme_agents.experiments import Experiment


@pytest.fixture(scope="module")
def fronts(script):
    return script("fronts")


@pytest.mark.parametrize(
    ("points", "area"),
    [
        ([(2, 3)], 6),
        ([(2, 3), (1, 1)], 6),  # dominated
        ([(1, 3), (3, 1)], 3 + 2),
        ([(3, 1), (1, 3), (2, 2)], 3 + 2 + 1),
        ([(1, 3), (1, 3)], 3),
        ([(-1, 5), (5, -1), (0, 9)], 0),  # none above the reference point in both
        ([(2, 3), (-1, 9)], 6),
    ],
)
def test_hyper_volume(fronts, points, area):
    assert fronts.hyper_volume(np.array(points, float), (0.0, 0.0)) == area


def test_hyper_volume_is_above_the_reference_point(fronts):
    assert fronts.hyper_volume(np.array([[3.0, -100.0]]), (1.0, -1000.0)) == 2 * 900


def test_the_default_is_nine_preferences_and_every_environment_has_two_objectives(fronts):
    assert len(fronts._ALPHAS) == 9
    for name in fronts._ENVIRONMENTS:
        assert Experiment("dime", name).environment_spec().reward.shape == (2,)
