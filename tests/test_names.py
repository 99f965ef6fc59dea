"""What an installation puts on Python's path: `acme_agents` alone, whatever lies beside a user's script."""

import os
import pathlib
import subprocess
import sys

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
