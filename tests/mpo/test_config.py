"""Every number of the configuration is explained, and is read by the agent: none is dead."""

import ast
import dataclasses
import itertools
import re

import pytest

from acme_agents.mpo import config

FIELDS = [field.name for field in dataclasses.fields(config.Config)]


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


@pytest.fixture(scope="module")
def folder(repository):
    return repository / "acme_agents" / "mpo"


def test_every_field_is_read(folder):
    sources = [file.read_text() for file in folder.glob("*.py") if file.name != "config.py"]
    assert len(sources) >= 5
    assert _unread(sources, FIELDS) == []
    assert _unread(sources, ["grad_norm_clip", "epsilon_st"]) == ["grad_norm_clip", "epsilon_st"]  # it would notice


def test_every_field_has_a_docstring(folder):
    source = (folder / "config.py").read_text()
    assert _undocumented(source, FIELDS) == []
    bare = source.replace("    critic_layers:", "    dead: int = 0\n    critic_layers:")
    assert _undocumented(bare, ["dead", "critic_layers"]) == ["dead"]  # it would notice
