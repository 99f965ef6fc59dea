"""Every number of an agent's configuration is explained."""

import ast
import dataclasses
import importlib
import itertools
from pathlib import Path

import pytest

FOLDERS = sorted(file.parent for file in Path(__file__).parents[2].glob("acme_agents/*/config.py"))


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


def _own_fields(folder):
    config = importlib.import_module(f"acme_agents.{folder.name}.config").Config
    return [field.name for field in dataclasses.fields(config) if field.name in vars(config).get("__annotations__", {})]


def test_every_field_has_a_docstring(folder):
    source = (folder / "config.py").read_text()
    own = _own_fields(folder)
    assert _undocumented(source, own) == []
    bare = source.replace(f"    {own[-1]}:", f"    dead: int = 0\n    {own[-1]}:")
    assert _undocumented(bare, ["dead", own[-1]]) == ["dead"]  # it would notice
