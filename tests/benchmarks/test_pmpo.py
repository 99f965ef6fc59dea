"""PMPO's loss on one state: rejecting alone needs a divergence above 1, accepting alone needs none."""

import numpy as np
import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("alpha", "beta", "runs_away"), [(0.0, 0.5, True), (0.0, 2.0, False), (1.0, 0.0, False), (0.5, 0.0, True)]
)
def test_rejecting_needs_a_divergence(script, alpha, beta, runs_away):
    mean, _ = script("pmpo").bandit(alpha, beta, None, "forward", 3)
    assert np.all(mean > 1) if runs_away else np.allclose(mean, 0.5, atol=0.02)
