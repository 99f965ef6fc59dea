"""The compilation cache: where it is, who shares it, and that a second process compiles nothing."""

import os
import pathlib
import subprocess
import sys

import pytest

from acme_agents.core import errors
from acme_agents.runtime import compilation

_COMPILE = """
import sys
from acme_agents.runtime import compilation
if sys.argv[2] == "before":
    import jax
    jax.jit(lambda x: x + 1)(1.0)  # JAX has looked for a cache, and has none
print(compilation.use_cache(None if sys.argv[1] == "default" else sys.argv[1]))
import jax
from jax._src import monitoring
hits = []
monitoring.register_event_listener(lambda name, **_: hits.append(name.rpartition("/")[2]))
jax.jit(lambda x: x * 3 + 2)(1.0)
print(hits.count("cache_hits"), hits.count("cache_misses"))
"""


def _compile(directory: str, cache_home: pathlib.Path, when: str = "after") -> tuple[str, int, int]:
    """Where a process keeps what it compiles, and what it found there and did not find."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_COMP")}
    environment |= {"XDG_CACHE_HOME": str(cache_home), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    command = [sys.executable, "-c", _COMPILE, directory, when]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    path, counts = done.stdout.splitlines()
    hits, misses = counts.split()
    return path, int(hits), int(misses)


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_one_process_compiled_the_next_one_finds(tmp_path: pathlib.Path, when: str) -> None:
    path, hits, misses = _compile("default", tmp_path, when)
    assert (hits, misses) == (0, 1)
    assert pathlib.Path(path).parent == tmp_path / "acme_agents"
    assert _compile("default", tmp_path, when) == (path, 1, 0)


def test_off_keeps_nothing(tmp_path: pathlib.Path) -> None:
    assert _compile("off", tmp_path) == ("None", 0, 0)
    assert not list(tmp_path.iterdir())


def test_what_one_run_is_given_is_not_the_next_ones(tmp_path: pathlib.Path) -> None:
    script = "from acme_agents.runtime import compilation\n" + "".join(
        f"print(compilation.use_cache({directory!r}))\n" for directory in (str(tmp_path / "one"), None, "off", None)
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_COMP")}
    environment |= {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    given, default, off, again = done.stdout.splitlines()
    assert (given, off) == (str(tmp_path / "one"), "None")
    assert pathlib.Path(default).parent == tmp_path / "acme_agents" and again == default


def test_a_cache_that_cannot_be_written_is_refused_if_it_was_given_and_else_left_out(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.UserError, match=r"file cannot be written \(File exists\): give another --compilation"):
        compilation.use_cache(str(tmp_path / "file"))
    monkeypatch.setattr(compilation, "_CHOSEN", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(compilation, "_set", lambda path: path)
    assert compilation.use_cache(None) is None


def test_old_entries_go_and_the_oldest_until_the_rest_fits(tmp_path: pathlib.Path) -> None:
    now = 1_000_000_000.0
    for age, name in enumerate(("new", "newer-than-old", "old", "ancient")):
        path = tmp_path / f"{name}-cache"
        path.write_bytes(bytes(100))
        os.utime(path, (now - age, now - age))
    os.utime(tmp_path / "ancient-cache", (0, 0))
    (tmp_path / "other").write_bytes(bytes(1000))
    compilation._prune(tmp_path, 250, float("inf"))
    assert {path.name for path in tmp_path.iterdir()} == {"new-cache", "newer-than-old-cache", "other"}
    compilation._prune(tmp_path, 250, 1.0)
    assert {path.name for path in tmp_path.iterdir()} == {"other"}
