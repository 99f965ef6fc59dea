"""Our losses and returns agree with rlax's, values and gradients, on random numbers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

GRADIENTS = {"log_temperature", "log_penalty_temperature", "log_alpha_mean", "log_alpha_stddev", "mean", "stddev"}
NAMES = {
    *("weights", "temperature_loss", "gaussian_kl", "gaussian_log_prob", "constraint_penalty", "constraint_dual"),
    *("n_step", "categorical", "mpo_loss", "mpo_loss_with_penalty"),
    *("advantages", "v_trace_errors", "v_trace_advantages", "clipped_surrogate"),
    *("rescale", "unrescale", "q_learning", "double_q_learning", "double_q_learning_d_q_values"),
    *(f"sequences_{kind}{gradient}" for kind in ("1", "5", "5_rescaled") for gradient in ("", "_d_q_values")),
    *(f"{loss}_d_{gradient}" for loss in ("mpo_loss", "mpo_loss_with_penalty") for gradient in GRADIENTS),
}


@pytest.fixture(scope="module")
def answers(repository):
    """[seed] {name: (ours, rlax's)}."""
    env = {
        "JAX_NUMPY_RANK_PROMOTION": "allow",  # rlax promotes ranks.
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "true",  # Most of the time is XLA's, compiling what runs once.
        "PYTHONPATH": str(repository),
    }
    result = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("rlax_answers.py")), "0", "1", "2"],
        cwd=repository,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_rlax(seed, answers):
    assert set(answers[seed]) == NAMES
    for name, (ours, theirs) in answers[seed].items():
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5, err_msg=name)
        if name != "mpo_loss_d_log_penalty_temperature":  # without the penalty there is none
            assert np.any(np.abs(theirs) > 1e-4), name
