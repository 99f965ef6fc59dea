"""One process on another Python and the newest JAX: `pip install .`, and nothing else.

`make test-modern` runs this file alone, `make test-modern MODERN_PYTHON=3.12` with another Python.
"""

import os
import pathlib
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.slow

_PYTHON = os.environ.get("MODERN_PYTHON", "3.13")
_TINY = ("--steps", "300", "--eval-every", "0", "--config.min-replay-size", "20", "--config.batch-size", "4")
_LAYERS = ("--config.policy-layers", "4", "--config.critic-layers", "4", "--config.critic", "scalar")
_RUNS = {
    "mpo": ("--env", "probe:reach", *_LAYERS),
    "dqn": ("--env", "gym:CartPole-v1", "--config.torso-layers", "4", "--config.head-layers", "4"),
    "r2d2": (
        *("--env", "probe:memory", "--config.torso-layers", "4", "--config.head-layers", "4"),
        *("--config.lstm-size", "4", "--config.trace-length", "4", "--config.burn-in-length", "1"),
        *("--config.sequence-period", "2"),
    ),
}


@pytest.fixture(scope="module")
def command(repository: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The command of an installation in an environment of its own."""
    found = subprocess.run(["scripts/find_python.sh", _PYTHON], cwd=repository, capture_output=True, text=True)
    if found.returncode:
        pytest.skip(f"there is no Python {_PYTHON}: {found.stderr.strip()}")
    directory = tmp_path_factory.mktemp("modern")
    source, venv = directory / "source", directory / "venv"
    left_out = shutil.ignore_patterns(".*", "runs", "tests", "benchmarks", "build", "*.egg-info", "__pycache__")
    shutil.copytree(repository, source, ignore=left_out, symlinks=True)
    subprocess.run([found.stdout.strip(), "-m", "venv", str(venv)], check=True)
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", str(source)]
    installed = subprocess.run(pip, capture_output=True, text=True)
    assert installed.returncode == 0, installed.stderr
    return str(venv / "bin" / "acme-agents")


def _run(command: str, *arguments: str, cwd: pathlib.Path) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "JAX_COMPILATION_CACHE_DIR")}
    env["XDG_CACHE_HOME"] = str(cwd)
    return subprocess.run([command, *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=200)


@pytest.mark.parametrize("agent", _RUNS)
def test_it_trains_and_resumes(command: str, tmp_path: pathlib.Path, agent: str) -> None:
    begun = _run(command, "train", agent, *_RUNS[agent], *_TINY, "--run-dir", "run", cwd=tmp_path)
    assert begun.returncode == 0, begun.stderr
    resumed = _run(command, "resume", "run", "--steps", "500", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    table = (tmp_path / "run" / "actor.csv").read_text().splitlines()
    steps = [int(float(line.split(",")[table[0].split(",").index("actor_steps")])) for line in table[1:]]
    assert steps == sorted(steps) and 400 < steps[-1] <= 500
    updates = [int(path.stem) for path in (tmp_path / "run" / "checkpoints").glob("*.npz")]
    assert max(updates) > min(updates) > 0


def test_what_is_not_installed_is_one_sentence(command: str, tmp_path: pathlib.Path) -> None:
    listed = _run(command, "list", cwd=tmp_path)
    assert listed.returncode == 0 and "probe:reach" in listed.stdout, listed.stderr
    tiny = ("--steps", "2000", "--eval-every", "0")
    for arguments, package, extra in (
        (("--env", "control:cheetah:run"), "dm_control", "environments"),
        (("--env", "probe:reach", "--launcher", "processes"), "courier", "distributed"),
    ):
        ended = _run(command, "train", "mpo", *arguments, *tiny, cwd=tmp_path)
        assert ended.returncode == 2
        assert f"error: {package} is not installed: pip install 'acme_agents[{extra}]'" in ended.stderr
