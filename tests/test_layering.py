"""Imports point one way: launch -> experiments -> runtime, replay -> agents -> core, and environments,
datasets -> core."""

import graphlib
from collections import defaultdict

import pytest

TOP = ("acme_agents", "environments", "launch")
AGENT = "an agent"
SHARED_MAY_IMPORT = {
    "core": set(),
    "testing": {"core"},
    "environments": {"core"},
    "datasets": {"core"},
    "replay": {"core"},
    "runtime": {"core", "replay", "environments"},
    "experiments": {"core", "replay", "runtime", "environments", "datasets", AGENT},
    "launch": {"core", "replay", "runtime", "environments", "datasets", "experiments", AGENT},
}
AGENT_MAY_IMPORT = {"core", AGENT}  # one agent may build on another


def _package(name: str) -> str | None:
    """`acme_agents.mpo.losses` -> `mpo`, `launch.main` -> `launch`; None for acme_agents itself and for others."""
    parts = name.split(".")
    if parts[0] not in TOP:
        return None
    return parts[0] if parts[0] != "acme_agents" else (parts[1] if len(parts) > 1 else None)


@pytest.fixture(scope="module")
def imports(repository, imports_of):
    """{package: {package it imports: a place where it does}}."""
    graph = defaultdict(dict)
    for top in TOP:
        for file in sorted((repository / top).rglob("*.py")):
            path = file.relative_to(repository)
            package = _package(".".join(path.with_suffix("").parts))
            for name in imports_of(file):
                other = _package(name)
                if other not in (None, package, "__version__"):
                    graph[package][other] = f"{path} imports {name}"
            graph[package]  # a package that imports nothing of ours is there too
    return graph


def test_finds_the_packages(imports):
    assert "core" in imports
    assert _package("acme_agents.core.types.Step") == "core"


def test_imports_point_down(imports):
    wrong = []
    for package, others in imports.items():
        if package == "__init__":  # acme_agents/__init__.py: everything below it imports it, so it imports nothing
            wrong += others.values()
            continue
        allowed = SHARED_MAY_IMPORT.get(package, AGENT_MAY_IMPORT)
        for other, where in others.items():
            kind = other if other in SHARED_MAY_IMPORT else AGENT
            if kind not in allowed:
                wrong.append(where)
    assert not wrong


def test_packages_do_not_import_each_other_in_a_circle(imports):
    graphlib.TopologicalSorter({package: set(others) for package, others in imports.items()}).prepare()
