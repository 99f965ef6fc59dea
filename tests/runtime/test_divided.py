"""A learner of several devices computes what one device does, each device a part of it."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import pytest

from acme_agents.core import errors
from acme_agents.experiments import Experiment
from acme_agents.launch import run


@pytest.mark.slow
def test_four_devices_learn_what_one_does_and_one_goes_on(tmp_path: pathlib.Path) -> None:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    command = [sys.executable, "-m", "tests.runtime.divided", str(tmp_path)]
    done = subprocess.run(command, env=os.environ | {"XLA_FLAGS": flags}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *agents, continued = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [found["agent"] for found in agents] == ["sac", "r2d2", "ppo"]
    for found in agents:
        assert found["updates"] == 24, found
        assert found["difference"] < 1e-5, found  # Sums are in another order.
        assert found["part"] < 0.5, found  # The optimiser's share is not divided.
        assert found["state"] == [4] and found["replay"] == ([4] if found["agent"] != "ppo" else []), found
    assert continued == {"continued": 32, "finite": True, "state": [1]}


@pytest.mark.parametrize(
    ("launcher", "number", "problem"),
    [
        ("in-process", 0, "The number of the learner's devices must be at least 1, not 0"),
        ("in-process", 3, "A batch of 256 transitions does not divide over 3 devices"),
        ("in-process", 128, "The learner is to use 128 devices, and has 1 "),
        ("fused", 2, "--launcher fused runs on one device: leave --learner-devices out"),
    ],
)
def test_devices_that_a_learner_cannot_use(tmp_path, monkeypatch, launcher, number, problem):
    if launcher == "fused":
        monkeypatch.setattr(jax, "local_devices", lambda: jax.devices() * number)
    with pytest.raises(errors.UserError, match=problem):
        experiment = Experiment("sac", "jax:pendulum", learner_devices=number)
        run(experiment, launcher=launcher, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()
