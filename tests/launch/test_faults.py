"""What a person is told of an exception: a sentence where one is enough, else the frames of their own code."""

import errno
import functools
import importlib.util
import pathlib
import subprocess
import types
from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest

from acme_agents import environments
from acme_agents.core import errors
from acme_agents.launch import faults

_USERS = """\
import pathlib
import jax.numpy as jnp

def broadcast(x):
    return inner(x)

def inner(x):
    return x + jnp.ones(4)

def translated():
    try:
        {}["density"]
    except KeyError as error:
        raise ValueError("the simulator crashed") from error

def missing():
    return pathlib.Path("no-such-model.xml").read_text()

def down(depth):
    return 1 / 0 if depth == 0 else down(depth - 1)
"""


@pytest.fixture
def users(tmp_path: pathlib.Path) -> types.ModuleType:
    """A module of a user's."""
    path = tmp_path / "simulator.py"
    path.write_text(_USERS)
    spec = importlib.util.spec_from_file_location("simulator", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _raised(function: Callable[[], object]) -> Exception:
    try:
        function()
    except Exception as error:
        # The frames are those from here on, as where the command line catches it; this file is not ours to it.
        error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
        return error
    raise AssertionError("It raised nothing.")


def test_the_users_frames_are_shown_and_those_of_jax_are_not(users: types.ModuleType) -> None:
    error = _raised(functools.partial(jax.jit(users.broadcast), jnp.ones(3)))
    assert faults.report(error) == (
        "TypeError: add got incompatible shapes for broadcasting: (3,), (4,).\n"
        f"  {users.__file__}:5, in broadcast\n    return inner(x)\n"
        f"  {users.__file__}:8, in inner\n    return x + jnp.ones(4)"
    )
    assert faults.place(error) == f"TypeError at {users.__file__}:8"
    assert faults.is_users(error) and faults.sentence(error) is None and not faults.is_mendable(error)


def test_what_is_shown_is_what_was_raised_last(users: types.ModuleType) -> None:
    error = _raised(users.translated)
    source = '    raise ValueError("the simulator crashed") from error'
    expected = f"ValueError: the simulator crashed\n  {users.__file__}:14, in translated\n{source}"
    assert faults.report(error) == expected


def test_only_the_innermost_frames_are_shown(users: types.ModuleType) -> None:
    lines = faults.report(_raised(lambda: users.down(40))).splitlines()
    assert lines[0] == "ZeroDivisionError: division by zero"
    assert lines[1:] == [f"  {users.__file__}:20, in down", f"    {_USERS.splitlines()[19].strip()}"] * 5


def test_an_environments_fault_is_its_sentence_and_the_frames_of_its_cause(users: types.ModuleType) -> None:
    error = errors.EnvironmentFault("the environment raised ValueError in step().")
    error.__cause__ = _raised(users.translated)
    head, frame, _ = faults.report(error).splitlines()
    assert head == "the environment raised ValueError in step()." and frame == f"  {users.__file__}:14, in translated"
    assert faults.place(error).endswith(f"{users.__file__}:14") and not faults.is_mendable(error)
    wrong = errors.EnvironmentFault("its reward is a vector", permanent=True)
    assert faults.sentence(wrong) == "its reward is a vector" and faults.is_mendable(wrong)


def test_a_fault_without_the_users_frames_shows_where_it_was() -> None:
    error = _raised(functools.partial(environments.make, None, 0))  # type: ignore[arg-type]
    report = faults.report(error)
    assert faults.sentence(error) is None and not faults.is_users(error)
    assert report.startswith("AttributeError: ") and f"{environments.__file__}:" in report and ", in " in report


def test_a_file_that_does_not_parse_is_shown(tmp_path: pathlib.Path) -> None:
    error = _raised(lambda: compile("x = = 1\n", str(tmp_path / "agent.py"), "exec"))
    error.__traceback__ = None
    assert f'File "{tmp_path / "agent.py"}", line 1' in faults.report(error) and "x = = 1" in faults.report(error)


def test_sentences() -> None:
    assert faults.report(errors.UserError("Give --steps.")) == "Give --steps."
    assert faults.is_mendable(errors.NotFinite("x")) and not faults.is_mendable(errors.RunFailed("x"))
    assert faults.sentence(errors.RunFailed("It died.")) == "It died."
    full = OSError(errno.ENOSPC, "No space left on device")
    assert faults.sentence(full) == "No space left on device: free some space, then continue with --resume."
    denied = PermissionError(errno.EACCES, "Permission denied", "/root/run")
    assert faults.sentence(denied) == "Permission denied (/root/run): choose a path that you may use."
    assert faults.is_mendable(denied)


def test_errors_of_the_system_are_sentences_only_where_they_are_of_our_files(users: types.ModuleType) -> None:
    error = _raised(users.missing)
    assert faults.sentence(error) is None
    report = faults.report(error).splitlines()
    assert report[0] == "FileNotFoundError: [Errno 2] No such file or directory: 'no-such-model.xml'"
    assert report[1] == f"  {users.__file__}:17, in missing"
    assert faults.sentence(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")) is None
    assert faults.sentence(OSError("a simulator's own")) is None


def test_the_full_trace_is_written_once(users: types.ModuleType, tmp_path: pathlib.Path) -> None:
    error = _raised(users.translated)
    log = faults.log_of(error)
    assert log is not None
    text = log.read_text()
    log.unlink()
    assert "KeyError: 'density'" in text and "ValueError: the simulator crashed" in text
    faults.note_log(error, tmp_path / "in-process.log")
    assert faults.log_of(error) == tmp_path / "in-process.log"


def test_pythons_own_files_are_not_the_users(users: types.ModuleType) -> None:
    assert not faults._is_users_file(subprocess.__file__)
    assert not faults._is_users_file(jax.__file__)
    assert not faults._is_users_file(faults.__file__)
    assert not faults._is_users_file("<frozen importlib._bootstrap>")
    assert not faults._is_users_file("_mt19937.pyx")
    assert users.__file__ is not None and faults._is_users_file(users.__file__)
