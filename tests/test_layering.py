"""Imports point one way: launch, runtime, experiments, then agents, exploration, replay, datasets and others; core."""

import graphlib
import subprocess
import sys
from collections import defaultdict

import pytest

TOP = ("acme_agents", "environments", "launch")
LOWEST = {"core"}
MIDDLE = {"agents", "exploration", "replay", "datasets", "environments"}
MAY_IMPORT = {
    "core": set(),
    "agents": LOWEST,
    "exploration": LOWEST,
    "replay": LOWEST,
    "datasets": LOWEST,
    "environments": LOWEST,
    "testing": LOWEST,
    "experiments": LOWEST | MIDDLE,
    "runtime": LOWEST | MIDDLE | {"experiments"},
    "launch": LOWEST | MIDDLE | {"experiments", "runtime", "testing"},
}


def _room(name: str) -> str | None:
    """`acme_agents.core.types` -> `core`, `launch.main` -> `launch`; None for acme_agents itself and for others."""
    parts = name.split(".")
    if parts[0] not in TOP:
        return None
    return parts[0] if parts[0] != "acme_agents" else (parts[1] if len(parts) > 1 else None)


@pytest.fixture(scope="module")
def imports(repository, imports_of):
    """{room: {room it imports: a place where it does}}."""
    graph = defaultdict(dict)
    for top in TOP:
        for file in sorted((repository / top).rglob("*.py")):
            path = file.relative_to(repository)
            room = _room(".".join(path.with_suffix("").parts))
            for name in imports_of(file):
                other = _room(name)
                if other not in (None, room, "__version__"):
                    graph[room][other] = f"{path} imports {name}"
            graph[room]  # a room that imports nothing of ours is there too
    return graph


def test_finds_the_rooms(imports):
    assert set(imports) == {*MAY_IMPORT, "__init__"}
    assert _room("acme_agents.core.types.Step") == "core"


def test_imports_point_down(imports):
    # acme_agents/__init__.py: everything below it imports it, so what it hands on is imported when it is asked for.
    allowed = MAY_IMPORT | {"__init__": {"runtime"}}
    wrong = [where for room, others in imports.items() for other, where in others.items() if other not in allowed[room]]
    assert not wrong


def test_the_package_itself_imports_nothing():
    code = "import acme_agents, sys; print([name for name in sys.modules if name.startswith(('acme_agents.', 'jax'))])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_rooms_do_not_import_each_other_in_a_circle(imports):
    graphlib.TopologicalSorter({room: set(others) for room, others in imports.items()}).prepare()
