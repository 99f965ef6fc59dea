"""What an installation puts on Python's path: `acme_agents` alone, whatever lies beside a user's script."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import acme_agents

_SCRIPT = """
import environments, launch
from acme_agents import environments as ours
from acme_agents.launch import run
print(environments.MINE, launch.MINE, ours.make("probe:sign", 0).action_spec().shape, run.__name__)
"""


def test_a_users_own_folders_may_be_called_environments_and_launch(tmp_path: pathlib.Path) -> None:
    for number, name in enumerate(("environments", "launch")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"MINE = {number}\n")
    (tmp_path / "script.py").write_text(_SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("0 1 (1,) run\n", 0), done.stderr


def test_a_folder_that_is_no_package_of_the_project_is_not_found_from_elsewhere(tmp_path: pathlib.Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    code = "import importlib.util; print([importlib.util.find_spec(name) for name in ('environments', 'launch')])"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[None, None]\n"


def test_the_citation_has_the_version(repository: pathlib.Path) -> None:
    assert f"version: {acme_agents.__version__}\n" in (repository / "CITATION.cff").read_text()


@pytest.mark.slow
def test_a_wheel_has_all_packages_and_no_other_name(repository: pathlib.Path, tmp_path: pathlib.Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for name in ("acme_agents", "environments", "launch"):
        shutil.copytree(repository / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(repository / name, source)
    made = [sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", str(tmp_path)]
    subprocess.run(made, cwd=source, check=True, capture_output=True)
    (sdist,) = tmp_path.glob("*.tar.gz")
    assert sdist.name == f"acme_agents-{acme_agents.__version__}.tar.gz"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(sdist)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)], check=True)
    assert {path.name.partition("-")[0] for path in target.iterdir()} <= {"acme_agents", "bin"}

    def run(*arguments: str) -> str:
        command, environment = [sys.executable, *arguments], {**os.environ, "PYTHONPATH": str(target)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout

    assert (target / "acme_agents" / "py.typed").is_file()
    listed = run("-m", "acme_agents.launch.main", "list")
    assert "  mpo " in listed and "  control:cheetah:run\n" in listed
    suites = run("-c", "from acme_agents.launch.benchmark import suites; print(suites.get('control-small').steps)")
    assert suites == "100000\n"
    place = run("-c", "from acme_agents import environments; print(environments.__file__)")
    assert pathlib.Path(place.strip()) == target / "acme_agents" / "environments" / "__init__.py"
