"""The scripts in examples/: that they run, and that their agents learn."""

import importlib
import json
import re
import subprocess
import sys

import jax
import numpy as np
import pytest

from acme_agents.agents import td3
from acme_agents.testing import conformance

RANDOM_RETURN, OPTIMAL_RETURN = 12.6, 47.1  # on probe:reach, which they learn

_RUN = """
import json, runpy, sys
path, blocked = sys.argv[1], json.loads(sys.argv[2])
sys.modules.update(dict.fromkeys(blocked))  # None: importing it raises ModuleNotFoundError
runpy.run_path(path, run_name="__main__")
"""


def test_the_readme_lists_every_script(repository):
    listed = re.findall(r"\(examples/(\w+\.py)\)", (repository / "README.md").read_text())
    assert sorted(listed) == sorted(path.name for path in (repository / "examples").glob("*.py"))


@pytest.mark.long
def test_td3_in_one_file_computes_what_td3_does_in_under_150_lines(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "examples"))
    assert len((repository / "examples/twin_delayed.py").read_text().splitlines()) < 150
    small = {"policy_layers": (4,), "critic_layers": (4,), "batch_size": 8}
    states = []
    for module in (td3, importlib.import_module("twin_delayed")):
        subject = conformance.Subject(module.make(module.Config(**small)), conformance.CONTINUOUS)
        state = subject.init()
        for _ in range(2):  # The second updates the policy too.
            state, _ = subject.update(state, subject.batch)
        states.append(state)
    for ours, example in zip(*map(jax.tree.leaves, states), strict=True):
        np.testing.assert_allclose(ours, example, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "blocked", "last_line"),
    [
        ("acme_loop", [], r"\d+ updates, 4000 steps: evaluation return (\S+)"),
        ("own_loop", ["tensorflow", "reverb", "launchpad", "acme", "courier"], r"5000 steps: mean return (\S+)"),
    ],
    ids=["acme_loop", "own_loop"],
)
def test_a_script_learns(name, blocked, last_line, repository, tmp_path):
    command = [sys.executable, "-c", _RUN, str(repository / "examples" / f"{name}.py"), json.dumps(blocked)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.fullmatch(last_line, done.stdout.splitlines()[-1])
    assert found, done.stdout
    assert float(found[1]) > RANDOM_RETURN + 0.6 * (OPTIMAL_RETURN - RANDOM_RETURN)
