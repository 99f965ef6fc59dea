"""The maths imports quickly and without the runtime: on a machine that has only JAX, and in front of a reader."""

import json
import subprocess
import sys

import pytest

from acme_agents.experiments import registry

RUNTIME = ["tensorflow", "reverb", "launchpad", "acme", "courier", "dm_env", "gymnasium", "dm_control", "ray", "pytest"]
CORE_MAY_IMPORT = {"jax", "haiku", "optax", "chex", "numpy", *sys.stdlib_module_names}
PURE_FILES = ["__init__", "config", "networks", "losses", "learning", "acting", "agent", "wrapping", "tabular"]
CPU_SECONDS = 2.0

IMPORT_ALL = """
import importlib, json, sys, time
blocked, modules = json.loads(sys.argv[1])
sys.modules.update(dict.fromkeys(blocked))  # None: importing it raises ModuleNotFoundError
start = time.perf_counter()
for module in modules:
    importlib.import_module(module)
print(json.dumps({"cpu": time.process_time(), "wall": time.perf_counter() - start}))
"""


@pytest.fixture(scope="module")
def core_files(repository):
    files = sorted((repository / "acme_agents" / "core").rglob("*.py"))
    assert "interfaces.py" in {file.name for file in files}
    return files


@pytest.fixture(scope="module")
def agent_files(repository):
    folders = sorted(file.parent for file in (repository / "acme_agents" / "agents").glob("*/config.py"))
    assert {name.replace("-", "_") for name in registry.AGENTS} <= {folder.name for folder in folders}
    checks = sorted((repository / "acme_agents" / "testing").glob("*.py"))
    folders += sorted(file.parent for file in (repository / "acme_agents" / "exploration").rglob("config.py"))
    files = [folder / f"{name}.py" for folder in folders for name in PURE_FILES if (folder / f"{name}.py").exists()]
    return [*checks, *files]


def _module(file, repository):
    return ".".join(file.relative_to(repository).with_suffix("").parts).removesuffix(".__init__")


def _import_all(modules, repository):
    """Imports the modules in a new process; returns its seconds of CPU, from the process's start, and of wall time."""
    command = [sys.executable, "-c", IMPORT_ALL, json.dumps([RUNTIME, modules])]
    result = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.long
def test_pure_modules_import_quickly_without_the_runtime(core_files, agent_files, repository, record_property):
    modules = [_module(file, repository) for file in (*core_files, *agent_files)]
    _import_all(modules, repository)  # compiles the bytecode
    runs = [_import_all(modules, repository) for _ in range(3)]
    best = {clock: round(min(run[clock] for run in runs), 2) for clock in ("cpu", "wall")}
    record_property("import_seconds", best)
    print(f"importing {len(modules)} modules: {best} seconds, best of {runs}")
    assert best["cpu"] < CPU_SECONDS, (best, runs)


def test_an_import_of_the_runtime_would_be_noticed(repository):
    with pytest.raises(AssertionError, match="import of reverb halted"):
        _import_all(["reverb"], repository)


def test_core_imports_only_jax_and_itself(core_files, imports_of):
    wrong = {
        f"{file.name} imports {name}"
        for file in core_files
        for name in imports_of(file)
        if name.split(".")[0] not in CORE_MAY_IMPORT and not f"{name}.".startswith("acme_agents.core.")
    }
    assert not wrong
