"""The bootstrap's interval, by hand, and what is compared with what."""

import argparse

import numpy as np
import pytest


@pytest.fixture(scope="module")
def offline(script):
    return script("offline")


def test_the_interval_of_a_mean(offline):
    assert offline.bootstrap([np.array([3.0, 3.0, 3.0])]) == (3, 3)
    # Two seeds: the mean is 0 or 2 with the chance 1/4 each, beyond the interval's tails of 1/40.
    assert offline.bootstrap([np.array([0.0, 2.0])]) == (0, 2)
    # A group of equal values narrows the mean over groups by half.
    assert offline.bootstrap([np.array([0.0, 2.0]), np.array([1.0, 1.0])]) == (0.5, 1.5)
    low, high = offline.bootstrap([np.arange(100.0)])  # standard error 28.9 / 10
    assert low == pytest.approx(49.5 - 5.7, abs=0.4) and high == pytest.approx(49.5 + 5.7, abs=0.4)


def test_bc_has_the_policy_of_what_it_is_compared_with(offline):
    variants = offline._variants(argparse.Namespace(width=8, methods=None, alphas=[0.0]))
    assert list(variants) == ["BC", "BC, mixture", "CRR exp", "CRR binary", "CRR binary max", "DiME(BC), alpha 0"]
    assert (variants["BC"][1].policy, variants["BC, mixture"][1].policy) == ("gaussian", variants["CRR exp"][1].policy)
    assert variants["DiME(BC), alpha 0"][1].preference == (0.0, 1.0)
    assert {config.batch_size for _, config in variants.values()} == {8}
