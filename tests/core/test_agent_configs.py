"""Every number of an agent's configuration is explained, and is read by the agent: none is dead."""

import ast
import dataclasses
import importlib
import itertools
import re
from pathlib import Path

import pytest

FOLDERS = sorted(file.parent for file in Path(__file__).parents[2].glob("acme_agents/*/config.py"))


def _unread(sources, fields):
    text = "\n".join(sources)
    return [field for field in fields if not re.search(rf"\bconfig\.{field}\b", text)]


def _undocumented(source, fields):
    (body,) = (n.body for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ClassDef) and n.name == "Config")
    documented = {
        field.target.id
        for field, doc in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(doc, ast.Expr) and isinstance(doc.value.value, str)
    }
    return [field for field in fields if field not in documented]


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request):
    return request.param


def _fields(folder):
    config = importlib.import_module(f"acme_agents.{folder.name}.config").Config
    inherited = {field.name for base in config.__mro__[1:-1] for field in dataclasses.fields(base)}
    own = [field.name for field in dataclasses.fields(config) if field.name in vars(config).get("__annotations__", {})]
    return own, sorted(inherited)


def _sources(folder, repository, imports_of):
    """The agent's files, core's, and the modules of other agents that it imports, in one step or in several."""
    package = repository / "acme_agents"
    modules = {f"{file.parent.name}.{file.stem}": file for file in package.glob("*/*.py")}
    files = {*folder.glob("*.py"), *(package / "core").glob("*.py")}
    new = files
    while new:
        imported = {".".join(name.split(".")[1:3]) for file in new for name in imports_of(file)}
        new = {modules[name] for name in imported if name in modules} - files
        files |= new
    return [file.read_text() for file in files if file.name != "config.py"]


def test_every_field_is_read(folder, repository, imports_of):
    own, inherited = _fields(folder)
    sources = _sources(folder, repository, imports_of)
    assert _unread(sources, [*own, *inherited]) == []
    assert _unread(sources, ["grad_norm_clip", "epsilon_st"]) == ["grad_norm_clip", "epsilon_st"]  # it would notice


def test_every_field_has_a_docstring(folder):
    source = (folder / "config.py").read_text()
    own, _ = _fields(folder)
    assert _undocumented(source, own) == []
    bare = source.replace(f"    {own[-1]}:", f"    dead: int = 0\n    {own[-1]}:")
    assert _undocumented(bare, ["dead", own[-1]]) == ["dead"]  # it would notice
